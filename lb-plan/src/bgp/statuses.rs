//! `ServiceBGPStatus`: what MetalLB's tools read of which node tells which peers of a Service.
//!
//! Intent, not state: the session may be down. One object for each Service that this node tells anybody of, with MetalLB's
//! labels, in the namespace of its objects. Pure.
//!
//! Two differences from MetalLB: the name is made of what the object is about, so that a create that went through unseen
//! is not repeated under another one; and the owner is the Node, because a Pod of another namespace cannot be one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{
    api::core::v1::Node,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use lb_api::{
    ServiceBGPStatus,
    metallb::{ServiceBGPStatusSpec, ServiceBGPStatusStatus},
    names::bgp_status::{NODE, SERVICE_NAME, SERVICE_NAMESPACE},
};

use super::ServiceName;

/// The peers that are told of each Service, by the names of the BGPPeers.
pub type Told = BTreeMap<ServiceName, Arc<BTreeSet<String>>>;

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum StatusStep {
    /// Without a status: that is the next step, once it is there.
    Create(ServiceBGPStatus),
    /// Its status.
    Write(ServiceBGPStatus),
    /// Nobody is told any more.
    Delete(Arc<ServiceBGPStatus>),
}

/// Whose statuses these are.
#[derive(Debug, Clone, Copy)]
pub struct Reporter<'a> {
    /// The node.
    pub node: &'a str,
    /// The same as an object: the statuses go with it.
    pub object: Option<&'a Node>,
    /// Where MetalLB's objects are.
    pub namespace: &'a str,
}

/// The writes that make the statuses of this node say what it tells. `known` may hold other nodes' too.
pub fn statuses(reporter: Reporter<'_>, told: &Told, known: &[Arc<ServiceBGPStatus>]) -> Vec<StatusStep> {
    let mut own: BTreeMap<String, &Arc<ServiceBGPStatus>> = BTreeMap::new();
    let is_own = |status: &&Arc<ServiceBGPStatus>| {
        label(status, NODE) == Some(reporter.node)
            && status.metadata.namespace.as_deref() == Some(reporter.namespace)
            && status.metadata.deletion_timestamp.is_none()
    };
    for status in known.iter().filter(is_own) {
        own.insert(status.metadata.name.clone().unwrap_or_default(), status);
    }
    let mut steps = Vec::new();
    for (service, peers) in told {
        let name = name(reporter.node, service);
        let wanted = ServiceBGPStatusStatus {
            node: Some(reporter.node.to_owned()),
            service_name: Some(service.name.clone()),
            service_namespace: Some(service.namespace.clone()),
            peers: peers.iter().cloned().collect(),
        };
        match own.remove(&name) {
            None => steps.push(StatusStep::Create(created(reporter, service, name))),
            Some(known) if known.status.as_ref() != Some(&wanted) => {
                let object = ServiceBGPStatus { status: Some(wanted), ..ServiceBGPStatus::clone(known) };
                steps.push(StatusStep::Write(object));
            }
            Some(_) => {}
        }
    }
    // Also what MetalLB's speaker on this node has left.
    steps.extend(own.into_values().map(|status| StatusStep::Delete(Arc::clone(status))));
    steps
}

fn created(reporter: Reporter<'_>, service: &ServiceName, name: String) -> ServiceBGPStatus {
    let labels = [(NODE, reporter.node), (SERVICE_NAME, &service.name), (SERVICE_NAMESPACE, &service.namespace)];
    let mut object = ServiceBGPStatus::new(&name, ServiceBGPStatusSpec {});
    object.metadata = ObjectMeta {
        name: Some(name),
        namespace: Some(reporter.namespace.to_owned()),
        labels: Some(labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()),
        owner_references: reporter.object.and_then(owner).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    object
}

pub(super) fn owner(node: &Node) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: node.metadata.name.clone()?,
        uid: node.metadata.uid.clone()?,
        ..OwnerReference::default()
    })
}

/// `bgp-` and ten letters and digits, as MetalLB's generated names begin.
fn name(node: &str, service: &ServiceName) -> String {
    const LETTERS: &[u8; 32] = b"bcdfghjklmnpqrstvwxz2456789aeiou";
    // FNV-1a: the same in every build.
    let octets = [node, &service.namespace, &service.name].join("/");
    let hash = octets
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3));
    let letter = |place: u32| char::from(LETTERS[(hash >> (5 * place) & 31) as usize]);
    format!("bgp-{}", (0..10).map(letter).collect::<String>())
}

fn label<'a>(status: &'a ServiceBGPStatus, label: &str) -> Option<&'a str> {
    status.metadata.labels.as_ref()?.get(label).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter() -> Reporter<'static> {
        Reporter { node: "iris", object: None, namespace: "metallb-system" }
    }

    fn told(services: &[(&str, &[&str])]) -> Told {
        let one = |(name, peers): &(&str, &[&str])| {
            let service = ServiceName { namespace: "shop".into(), name: (*name).to_owned() };
            (service, Arc::new(peers.iter().map(|peer| (*peer).to_owned()).collect()))
        };
        services.iter().map(one).collect()
    }

    /// Carries out the steps as an API server would; how many writes it took.
    fn settle(told: &Told, known: &mut Vec<Arc<ServiceBGPStatus>>) -> usize {
        let mut writes = 0;
        for _ in 0..3 {
            for step in statuses(reporter(), told, known) {
                writes += 1;
                match step {
                    StatusStep::Create(object) => {
                        assert_eq!(object.status, None, "a create drops it");
                        known.push(Arc::new(object));
                    }
                    StatusStep::Write(object) => {
                        known.retain(|other| other.metadata.name != object.metadata.name);
                        known.push(Arc::new(object));
                    }
                    StatusStep::Delete(object) => known.retain(|other| !Arc::ptr_eq(other, &object)),
                }
            }
        }
        writes
    }

    #[test]
    fn a_service_has_one_status_with_its_peers_and_loses_it_with_the_last() {
        let mut known = Vec::new();
        assert_eq!(settle(&told(&[("web", &["b", "a"])]), &mut known), 2);
        let status = known[0].status.clone().expect("it was written");
        assert_eq!(status.peers, ["a", "b"]);
        assert_eq!((status.node.as_deref(), status.service_name.as_deref()), (Some("iris"), Some("web")));
        assert_eq!(label(&known[0], SERVICE_NAMESPACE), Some("shop"));
        assert!(known[0].metadata.name.as_ref().is_some_and(|name| name.starts_with("bgp-") && name.len() == 14));

        assert_eq!(settle(&told(&[("web", &["a", "b"])]), &mut known), 0, "no news");
        assert_eq!(settle(&told(&[("web", &["a"])]), &mut known), 1, "one write for one change");
        assert_eq!(settle(&told(&[]), &mut known), 1);
        assert_eq!(known, []);
    }

    #[test]
    fn other_nodes_statuses_are_not_touched_and_a_predecessors_is_replaced() {
        let labels = |node: &str| Some([(NODE.to_owned(), node.to_owned())].into());
        let made = |node: &str, name: &str| {
            let mut object = ServiceBGPStatus::new(name, ServiceBGPStatusSpec {});
            object.metadata.namespace = Some("metallb-system".into());
            object.metadata.labels = labels(node);
            Arc::new(object)
        };
        let mut known = vec![made("rose", "bgp-x"), made("iris", "bgp-y")];
        settle(&told(&[("web", &["a"])]), &mut known);
        let names: BTreeSet<_> = known.iter().filter_map(|status| status.metadata.name.as_deref()).collect();
        assert_eq!((names.len(), names.contains("bgp-x"), names.contains("bgp-y")), (2, true, false));
    }
}
