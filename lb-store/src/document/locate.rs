//! Where a field stands in a document, and which field stands at a place. Used only when something is wrong, so it
//! parses the document again and keeps nothing.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use crate::decode::child;

/// The line of `field` within `text`, from 1: that of its key, or of the nearest field around it that exists.
pub(crate) fn line_of(text: &str, field: &str) -> u32 {
    let mut line = 1;
    visit(text, &mut |path, key_line, _| {
        // Parents come before children, so the last prefix is the longest.
        if field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            && !path.is_empty()
        {
            line = key_line;
        }
    });
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// The path of the value, or of the key, that starts at a line and column from 1.
pub(crate) fn field_at(text: &str, line: u64, column: u64) -> Option<String> {
    let mut found = None;
    visit(text, &mut |path, _, places| {
        if places.contains(&(line, column)) {
            found = Some(path.to_owned());
        }
    });
    found
}

/// What is told of a node: its path, the line of its key, and where its key and its value start.
type Seen<'a> = dyn FnMut(&str, u64, &[(u64, u64)]) + 'a;

/// A document that does not parse has no fields.
fn visit(text: &str, seen: &mut Seen<'_>) {
    let options = serde_saphyr::options! { strict_booleans: true };
    if let Ok(root) = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options) {
        walk("", &root, (root.referenced.line(), root.referenced.column()), seen);
    }
}

fn walk(path: &str, node: &Spanned<Node>, key: (u64, u64), seen: &mut Seen<'_>) {
    seen(path, key.0, &[key, (node.referenced.line(), node.referenced.column())]);
    match &node.value {
        Node::Map(entries) => {
            for (key, value) in entries {
                let child = child(path, &key.value);
                walk(&child, value, (key.referenced.line(), key.referenced.column()), seen);
            }
        }
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let place = (item.referenced.line(), item.referenced.column());
                walk(&format!("{path}[{index}]"), item, place, seen);
            }
        }
        Node::Scalar => {}
    }
}

/// The shape of a document.
enum Node {
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
}
