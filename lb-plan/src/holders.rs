//! What the controller says of holders that can say nothing themselves any more.
//!
//! A VirtualIP names its holder because that node's agent wrote so, and only that agent takes the name out again, or the
//! agent that takes over. Of a node that is gone nobody knows: its kernel program may answer until the lease runs out, or
//! the machine is off. So the name stays and the reason becomes [`UNKNOWN`]. Pure: `lb-controller` writes it.
//!
//! A node that is back is named anew by its agent: the name is taken out for that. No two writers take turns: an agent
//! that finds itself named writes nothing.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::api::core::v1::Node;
use lb_api::{VirtualIP, VirtualIPStatus, virtual_ip::UNKNOWN};

/// The VirtualIPs whose status has to be written. All Nodes must be known: one that is not given is gone.
pub fn marks<'a>(
    vips: impl IntoIterator<Item = &'a Arc<VirtualIP>>,
    nodes: impl IntoIterator<Item = &'a Arc<Node>>,
) -> Vec<VirtualIP> {
    let nodes: HashMap<&str, bool> =
        nodes.into_iter().filter_map(|node| Some((node.metadata.name.as_deref()?, is_silent(node)))).collect();
    let marked = vips.into_iter().filter_map(|vip| {
        let status = vip.status.as_ref()?;
        let is_gone = nodes.get(status.holder.as_deref()?).copied().unwrap_or(true);
        let is_marked = status.why.as_deref() == Some(UNKNOWN);
        let status = match (is_gone, is_marked) {
            (true, false) => VirtualIPStatus { why: Some(UNKNOWN.to_owned()), ..status.clone() },
            (false, true) => VirtualIPStatus { holder: None, since: None, why: None, ..status.clone() },
            (true, true) | (false, false) => return None,
        };
        Some(VirtualIP { status: Some(status), ..VirtualIP::clone(vip) })
    });
    marked.collect()
}

/// The node has not said for long that it lives (Kubernetes: the node controller sets `Ready` to `Unknown` then).
fn is_silent(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "Unknown")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{NodeCondition, NodeStatus};

    use super::*;

    fn vip(holder: Option<&str>, why: &str) -> Arc<VirtualIP> {
        let mut vip = VirtualIP::new("192.0.2.1", Default::default());
        let why = holder.map(|_| why.to_owned());
        vip.status = Some(VirtualIPStatus { holder: holder.map(str::to_owned), why, ..VirtualIPStatus::default() });
        Arc::new(vip)
    }

    fn node(name: &str, ready: Option<&str>) -> Arc<Node> {
        let condition =
            |ready: &str| NodeCondition { type_: "Ready".into(), status: ready.to_owned(), ..NodeCondition::default() };
        let conditions = ready.map(|ready| vec![condition(ready)]);
        let mut node = Node { status: Some(NodeStatus { conditions, ..NodeStatus::default() }), ..Node::default() };
        node.metadata.name = Some(name.to_owned());
        Arc::new(node)
    }

    /// What is written of one VirtualIP: holder and reason.
    fn written(vip: &Arc<VirtualIP>, nodes: &[Arc<Node>]) -> Option<(Option<String>, Option<String>)> {
        let status = marks([vip], nodes).pop()?.status?;
        Some((status.holder, status.why))
    }

    #[test]
    fn what_a_node_holds_that_is_gone_or_silent_is_unknown_until_it_is_back() {
        let held = vip(Some("node-1"), "FirstRanked");
        let marked = vip(Some("node-1"), UNKNOWN);
        let unknown = Some((Some("node-1".to_owned()), Some(UNKNOWN.to_owned())));
        for (nodes, of_held, of_marked) in [
            (vec![node("node-1", Some("True"))], None, Some((None, None))),
            // Not ready is not silent, and not every cluster's nodes say anything.
            (vec![node("node-1", Some("False"))], None, Some((None, None))),
            (vec![node("node-1", None)], None, Some((None, None))),
            (vec![node("node-1", Some("Unknown"))], unknown.clone(), None),
            (vec![node("node-2", Some("True"))], unknown, None),
        ] {
            assert_eq!(written(&held, &nodes), of_held, "held, {nodes:?}");
            assert_eq!(written(&marked, &nodes), of_marked, "marked, {nodes:?}");
        }
        assert_eq!(written(&vip(None, ""), &[]), None, "nobody holds it");
    }
}
