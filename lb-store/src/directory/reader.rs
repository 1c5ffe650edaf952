//! What a manifest file holds. Pure: text in, objects and faults out.

use serde_json::Value;

use crate::{
    Key,
    document::{self, Document, Fault},
    kind::{Checked, Kind, Verdict, judge},
};

/// An object of a kind, by the kind's index.
pub(crate) type Id = (usize, Key);

/// What became of one document.
pub(crate) enum Found {
    /// An object.
    Good {
        /// What it is.
        id: Id,
        /// The first line of the document.
        line: u32,
        /// The object.
        checked: Checked,
    },
    /// Something wrong.
    Bad {
        /// What it is, if that is known for sure.
        id: Option<Id>,
        /// The kind, as far as it could be read.
        kind: Option<String>,
        /// The name, as far as it could be read.
        object: Option<String>,
        /// All that is wrong.
        faults: Vec<Fault>,
    },
}

/// Reads all documents of a file.
pub(crate) fn read(kinds: &[Kind], text: &str) -> Vec<Found> {
    document::split(text).iter().filter_map(|document| read_document(kinds, document)).collect()
}

fn read_document(kinds: &[Kind], document: &Document<'_>) -> Option<Found> {
    let mut value = match document.value() {
        Ok(value) => value,
        Err(fault) => return Some(unparsed(kinds, document, fault)),
    };
    let text = |field: &str| value.pointer(field).and_then(Value::as_str).map(str::to_owned);
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let bad = |field: &str, message: String| Found::Bad {
        id: None,
        kind: text("/kind"),
        object: text("/metadata/name"),
        faults: vec![document.fault_at(field, message)],
    };
    let Some(api_version) = api_version else {
        return Some(bad("apiVersion", "is missing: every document needs apiVersion, kind and metadata.name".into()));
    };
    let Some(kind) = kind else {
        return Some(bad("kind", "is missing: every document needs apiVersion, kind and metadata.name".into()));
    };
    let index = match judge(kinds, &api_version, &kind) {
        Verdict::Foreign => return None,
        Verdict::Wrong(field, message) => return Some(bad(field, message)),
        Verdict::Known(index) => index,
    };
    let known = &kinds[index];
    let namespace = match text("/metadata/namespace") {
        _ if !known.namespaced => String::new(),
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => "default".into(),
    };
    let key = Key::new(namespace, name.unwrap_or_default());
    if let Some(problem) = known.name_problem(&key) {
        return Some(bad(&problem.field, problem.message));
    }
    // In these groups an object without a spec is one with an empty spec, as Deckhouse's schema has it.
    if ["lb.herald.dev", "network.deckhouse.io"].contains(&known.group.as_str())
        && let Value::Object(fields) = &mut value
    {
        fields.entry("spec").or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    Some(match (known.check)(document, value, &key) {
        Ok(checked) => Found::Good { id: (index, key), line: document.line, checked },
        Err(faults) => Found::Bad { kind: Some(kind), object: Some(key.to_string()), id: Some((index, key)), faults },
    })
}

/// A document that is not YAML still tells, in most cases, what it was meant to be.
fn unparsed(kinds: &[Kind], document: &Document<'_>, fault: Fault) -> Found {
    let (mut top, mut api_version, mut kind, mut name, mut namespace) = ("", None, None, None, None);
    let mut indent = 0;
    for line in document.text.lines() {
        let content = line.trim_start();
        let Some((field, value)) = content.split_once(':') else { continue };
        let value = value.trim().trim_matches(['"', '\'']);
        if content.len() == line.len() {
            (top, indent) = (field, 0);
        } else if indent == 0 {
            indent = line.len() - content.len();
        }
        let slot = match (top, field) {
            ("apiVersion", "apiVersion") => &mut api_version,
            ("kind", "kind") => &mut kind,
            ("metadata", "name") if line.len() - content.len() == indent => &mut name,
            ("metadata", "namespace") if line.len() - content.len() == indent => &mut namespace,
            _ => continue,
        };
        slot.get_or_insert(value.to_owned());
    }
    let index = match (&api_version, &kind) {
        (Some(api_version), Some(kind)) => match judge(kinds, api_version, kind) {
            Verdict::Known(index) => Some(index),
            Verdict::Foreign | Verdict::Wrong(..) => None,
        },
        _ => None,
    };
    let id = index.zip(name.clone()).map(|(index, name)| {
        let namespace = match kinds[index].namespaced {
            true => namespace.unwrap_or_else(|| "default".into()),
            false => String::new(),
        };
        (index, Key::new(namespace, name))
    });
    let id = id.filter(|(index, key)| kinds[*index].name_problem(key).is_none());
    Found::Bad { object: id.as_ref().map(|(_, key)| key.to_string()).or(name), id, kind, faults: vec![fault] }
}
