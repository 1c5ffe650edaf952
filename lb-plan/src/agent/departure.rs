//! What an agent does with its addresses when it is told to stop: leave them to a successor, or let go.
//!
//! A Pod that is replaced has a successor within the minute, and nobody should notice. A node that leaves, or one that
//! the DaemonSet is for no more, has none: its addresses belong to others at once. Only what was read says that; an API
//! server that does not answer, or refuses to, says nothing, and in doubt the addresses stay.
//!
//! Pure. Node selection: Kubernetes API reference, `NodeSelectorTerm` and `NodeSelectorRequirement`.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm},
};

/// What was learnt about an object.
#[derive(Debug, PartialEq)]
pub enum Answer<'a, K> {
    /// It is there.
    Found(&'a K),
    /// It does not exist: the API server said so.
    Gone,
    /// Nobody could say.
    Unknown,
}

// A derive would ask the object itself to be copied.
impl<K> Clone for Answer<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Answer<'_, K> {}

/// What to do, and the reason as a sentence's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// A successor takes the addresses up; until then they stay answered.
    HandOver(&'static str),
    /// The addresses are others' from now on.
    LetGo(&'static str),
}

/// Judges by the node and the DaemonSet whether a successor will come.
pub fn judge(node: Answer<'_, Node>, daemon_set: Answer<'_, DaemonSet>) -> Departure {
    let node = match node {
        Answer::Gone => return Departure::LetGo("the Node is gone"),
        Answer::Found(node) if node.metadata.deletion_timestamp.is_some() => {
            return Departure::LetGo("the Node is being deleted");
        }
        Answer::Found(node) => Some(node),
        Answer::Unknown => None,
    };
    match (daemon_set, node) {
        (Answer::Gone, _) => Departure::LetGo("the DaemonSet is gone"),
        (Answer::Found(set), _) if set.metadata.deletion_timestamp.is_some() => {
            Departure::LetGo("the DaemonSet is being deleted")
        }
        (Answer::Found(set), Some(node)) if !wants(set, node) => {
            Departure::LetGo("the DaemonSet does not select this node any more")
        }
        (Answer::Found(_), Some(_)) => Departure::HandOver("the DaemonSet still wants this node"),
        (Answer::Found(_), None) | (Answer::Unknown, _) => Departure::HandOver("the API server could not be asked"),
    }
}

/// Whether a DaemonSet's Pods may run on the node, as far as its selector and its required affinity say.
fn wants(set: &DaemonSet, node: &Node) -> bool {
    let Some(spec) = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()) else { return true };
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    selected
        && required.is_none_or(|required| required.node_selector_terms.iter().any(|term| fits(term, &labels, name)))
}

/// An empty term selects nothing.
fn fits(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let expressions = || term.match_expressions.iter().flatten();
    let fields = || term.match_fields.iter().flatten();
    let is_empty = expressions().next().is_none() && fields().next().is_none();
    // `metadata.name` is the only field there is.
    let of_field = |field: &NodeSelectorRequirement| (field.key == "metadata.name").then_some(name);
    !is_empty
        && expressions().all(|expression| holds(expression, labels.get(&expression.key).map(String::as_str)))
        && fields().all(|field| holds(field, of_field(field)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_among = value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    let compare = |is_so: fn(i64, i64) -> bool| {
        let number = value.and_then(|value| value.parse().ok());
        let bound = values.first().and_then(|bound| bound.parse().ok());
        number.zip(bound).is_some_and(|(number, bound)| is_so(number, bound))
    };
    match requirement.operator.as_str() {
        "In" => is_among,
        "NotIn" => !is_among,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(|number, bound| number > bound),
        "Lt" => compare(|number, bound| number < bound),
        // One that this version does not know must not take addresses away.
        _ => true,
    }
}

#[cfg(test)]
mod tests;
