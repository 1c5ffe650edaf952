//! A tree as an object. The one place where a kind is decoded, whatever it was written in: what each kind's decoder
//! costs in code is then paid once, not once a format.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::defaults;

/// Why a tree is not an object of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undecodable {
    /// As `spec.addressPool[0]`; empty if the whole is meant.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// Decodes a tree. A kind in whose spec nothing is required may be written without one.
pub(crate) fn decode<K: DeserializeOwned>(tree: Value) -> Result<K, Undecodable> {
    let complete = defaults::with_spec(&tree);
    serde_path_to_error::deserialize(tree)
        .or_else(|error| match complete {
            Some(complete) => serde_path_to_error::deserialize(complete).map_err(|_as_before| error),
            None => Err(error),
        })
        .map_err(|error| Undecodable { field: field(error.path()), message: error.inner().to_string() })
}

/// Keys with dots, as annotations have, stand in brackets.
fn field(path: &Path) -> String {
    path.iter().fold(String::new(), |path, segment| match segment {
        Segment::Seq { index } => format!("{path}[{index}]"),
        Segment::Map { key } => child(&path, key),
        Segment::Enum { variant } => child(&path, variant),
        Segment::Unknown => path,
    })
}

/// The path of a field's own field.
pub(crate) fn child(path: &str, key: &str) -> String {
    match path {
        _ if key.contains('.') => format!("{path}[{key}]"),
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}
