//! The part of Helm's template language that the chart uses: `{{ .Path }}`, `{{ toJson .Path }}`, `if`, `if not`, `with`, `end`,
//! and `-` that eats the white space on its side. Anything else is an error: keep the chart plain.
//!
//! Semantics of Go's `text/template`.

use serde_json::Value;

/// A text with its actions carried out.
pub(super) fn render(text: &str, context: &Value) -> String {
    let mut pieces = pieces(text).into_iter();
    let mut output = String::new();
    block(&mut pieces, context, context, true, &mut output);
    assert!(pieces.next().is_none(), "an `end` too many");
    output
}

enum Piece {
    Text(String),
    Action(String),
}

fn pieces(text: &str) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), text.to_owned());
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, mut after) = after.split_once("}}").expect("an action ends");
        let before = if action.starts_with('-') { before.trim_end() } else { before };
        if action.ends_with('-') {
            after = after.trim_start();
        }
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Action(action.trim_matches('-').trim().to_owned()));
        rest = after.to_owned();
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Up to its `end`. `shown`: whether the block is carried out.
fn block(pieces: &mut impl Iterator<Item = Piece>, context: &Value, dot: &Value, shown: bool, output: &mut String) {
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                output.push_str(if shown { &text } else { "" });
                continue;
            }
            Piece::Action(action) => action,
        };
        let words: Vec<&str> = action.split_whitespace().collect();
        match words.as_slice() {
            ["end"] => return,
            ["if", path] => block(pieces, context, dot, shown && holds(find(context, dot, path)), output),
            ["if", "not", path] => block(pieces, context, dot, shown && !holds(find(context, dot, path)), output),
            ["with", path] => {
                let value = find(context, dot, path);
                block(pieces, context, value, shown && holds(value), output);
            }
            ["toJson", path] if shown => output.push_str(&find(context, dot, path).to_string()),
            [path] if shown => {
                let value = find(context, dot, path);
                output.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            ["toJson", _] | [_] => {}
            other => panic!("`{}` is more than this test can render", other.join(" ")),
        }
    }
}

/// The value at a path; a field that is not there would be an empty text in a user's manifest.
fn find<'v>(context: &'v Value, dot: &'v Value, path: &str) -> &'v Value {
    if path == "." {
        return dot;
    }
    let pointer = path.strip_prefix('.').expect("a path begins with a dot").replace('.', "/");
    context.pointer(&format!("/{pointer}")).unwrap_or_else(|| panic!("values.yaml has no `{path}`"))
}

fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}
