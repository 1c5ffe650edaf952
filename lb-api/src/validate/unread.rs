//! Annotations of Herald's own that nobody reads where they stand: a slip of the pen, or the wrong kind of object.
//!
//! They are told and refuse nothing: a newer Herald may know more of them, and it must be possible to go back.

use std::collections::BTreeMap;

use super::Problem;
use crate::names::GROUP;

/// What the message about such an annotation begins with.
pub const UNREAD: &str = "is not read on a ";

/// One problem for each annotation of Herald's group that is none of `known`.
pub(crate) fn unread(kind: &str, annotations: Option<&BTreeMap<String, String>>, known: &[&str]) -> Vec<Problem> {
    let is_own = |name: &&String| name.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/'));
    let names = annotations.into_iter().flat_map(BTreeMap::keys).filter(is_own);
    let advice = match known {
        [] => "leave it out".to_owned(),
        [one] => format!("write {one}, or leave it out"),
        several => format!("write one of {}, or leave it out", several.join(", ")),
    };
    let strange = names.filter(|name| !known.contains(&name.as_str()));
    strange
        .map(|name| Problem::new(format!("metadata.annotations[{name}]"), format!("{UNREAD}{kind}: {advice}")))
        .collect()
}
