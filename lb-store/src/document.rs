//! One file as documents, and one document as a value or an object. Pure: text in, values or [`Fault`]s out.
//!
//! A file is split before it is parsed, so that a document that does not parse costs only itself. A line that starts
//! with `---` ends a document wherever it stands (YAML 1.2.2 §9.1.2 forbids it within any scalar).
//!
//! Invariant: a fault's line counts from 1 within the file.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::decode::{self, Undecodable};

mod locate;

pub(crate) use locate::line_of;

/// One document of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    /// The line it starts on, from 1.
    pub(crate) line: u32,
    /// Its text.
    pub(crate) text: &'a str,
}

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From 1 within the file.
    pub(crate) line: u32,
    /// The path of the field, empty if the whole document is meant.
    pub(crate) field: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// The documents of a file, without those that hold nothing but comments.
pub(crate) fn split(text: &str) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 1, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let next = at + line.len();
        if is_marker(line, "---") {
            documents.push(Document { line: first_line, text: &text[start..at] });
            (start, first_line) = (at, number);
        } else if is_marker(line, "...") {
            documents.push(Document { line: first_line, text: &text[start..at] });
            (start, first_line) = (next, number + 1);
        }
        at = next;
    }
    documents.push(Document { line: first_line, text: &text[start..] });
    documents.retain(|document| document.text.lines().any(has_content));
    documents
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace))
}

fn has_content(line: &str) -> bool {
    let line = if is_marker(line, "---") { &line[3..] } else { line };
    let line = line.trim();
    !(line.is_empty() || line.starts_with('#') || line.starts_with('%'))
}

impl Document<'_> {
    /// The document as a tree.
    pub(crate) fn value(&self) -> Result<Value, Fault> {
        // What Herald writes and what machines write is often JSON, which is read twenty times faster.
        if self.text.starts_with('{')
            && let Ok(value) = serde_json::from_str(self.text)
        {
            return Ok(value);
        }
        serde_saphyr::from_str_with_options(self.text, untyped()).map_err(|error| self.fault(&error))
    }

    /// The document as an object; `value` is what [`Document::value`] gave.
    pub(crate) fn decode<K: DeserializeOwned>(&self, value: Value) -> Result<K, Fault> {
        decode::decode(value).map_err(|Undecodable { field, mut message }| {
            if is_bare(&message) {
                message.push_str(": a text that looks like something else must be quoted");
            }
            self.fault_at(&field, message)
        })
    }

    /// A fault at a field that was read but is wrong.
    pub(crate) fn fault_at(&self, field: &str, message: String) -> Fault {
        Fault { line: self.line + line_of(self.text, field).saturating_sub(1), field: field.to_owned(), message }
    }

    fn fault(&self, error: &serde_saphyr::Error) -> Fault {
        let place = error.location().map(|location| (location.line(), location.column()));
        let line = place.map_or(1, |(line, _)| u32::try_from(line).unwrap_or(u32::MAX).max(1));
        let field = place.and_then(|(line, column)| locate::field_at(self.text, line, column)).unwrap_or_default();
        let text = error.without_snippet().to_string();
        // The place is in fields of its own.
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
        Fault { line: self.line + line - 1, field, message }
    }
}

/// YAML 1.2: `yes` and `on` are text.
fn untyped() -> serde_saphyr::Options {
    serde_saphyr::options! { strict_booleans: true }
}

/// `80` and `true` are a text only in quotes. An API server says the same of JSON, where nobody leaves them out.
fn is_bare(message: &str) -> bool {
    let of_another_type = ["integer", "floating point", "boolean"]
        .iter()
        .any(|found| message.strip_prefix("invalid type: ").is_some_and(|rest| rest.starts_with(found)));
    of_another_type && message.ends_with("expected a string")
}

#[cfg(test)]
mod tests;
