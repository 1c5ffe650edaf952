//! What a user wrote and Herald cannot use, told so that it can be found and put right.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// One document, object or field that is not used as written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rejection {
    /// The file, relative to the store's directory; empty for an object of an API server.
    pub file: PathBuf,
    /// The line within the file, from 1; 0 if the whole file is meant, or there is none.
    pub line: u32,
    /// The kind, as far as it could be read.
    pub kind: Option<String>,
    /// `namespace/name`, or `name` where there is no namespace, as far as it could be read.
    pub object: Option<String>,
    /// The path of the field, `spec.addressPool[0]`; empty if the whole document is meant.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// What works in its place.
    pub effect: Effect,
}

/// What a rejection leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Effect {
    /// Nothing of the document is used.
    Unused,
    /// The object goes on as it was when it was last good.
    LastGood,
    /// The object is used without this field.
    Partly,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(f, "{}:{}: ", self.file.display(), self.line)?;
        }
        if let Some(kind) = &self.kind {
            write!(f, "{kind} ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        let effect = match self.effect {
            Effect::Unused => "not used",
            Effect::LastGood => "the last good state stays in use",
            Effect::Partly => "used without it",
        };
        write!(f, "{} ({effect})", self.message)
    }
}
