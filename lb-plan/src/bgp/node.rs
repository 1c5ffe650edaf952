//! This node as eligibility sees it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use lb_api::names::{label, node_annotation::DRAIN};

use super::{Snapshot, Withheld};

/// Kubernetes: the label that a node's name is under.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// This node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ThisNode {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Why it may announce nothing at all.
    pub(super) withheld: Option<Withheld>,
    /// It is cordoned: others are to be preferred (RFC 8326), and in doubt it still serves.
    pub(super) is_draining: bool,
}

impl ThisNode {
    pub(super) fn read(snapshot: &Snapshot) -> Self {
        let object = snapshot.node_object.as_deref();
        let labels = labels_of(object, &snapshot.node);
        let withheld = if object.is_some_and(lacks_network) {
            Some(Withheld::NodeNetworkUnavailable)
        } else if !snapshot.ignores_exclude_label && labels.contains_key(label::EXCLUDE) {
            Some(Withheld::NodeLabeledExcludeBalancers)
        } else {
            None
        };
        let is_draining = object
            .and_then(|node| node.spec.as_ref())
            .and_then(|spec| spec.unschedulable)
            .unwrap_or(false)
            || object.and_then(|node| node.metadata.annotations.as_ref()).is_some_and(|all| all.contains_key(DRAIN));
        Self { name: snapshot.node.clone(), labels, withheld, is_draining }
    }
}

/// A node's labels; where nobody wrote its name there, it is added.
pub(super) fn labels_of(node: Option<&Node>, name: &str) -> BTreeMap<String, String> {
    let mut labels = node.and_then(|node| node.metadata.labels.clone()).unwrap_or_default();
    labels.entry(HOSTNAME.to_owned()).or_insert_with(|| name.to_owned());
    labels
}

fn lacks_network(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == "True")
}
