//! Classes and Nodes as allocation and ranking need them.
//!
//! A node is eligible for a class if it has the class's labels, no exclude label, and is not known to be without a
//! network. A Node that is ranked for an address of the class and may stand in an unreadable document stays eligible.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;
use lb_api::{MetalLoadBalancerClass, names::label, pool_ranges, virtual_ip::Family};

use super::{Doubt, Snapshot, inventory::Inventory, pool::Intervals, rank::Candidate};

/// A class.
#[derive(Debug)]
pub(super) struct Class<'a> {
    pub(super) object: &'a MetalLoadBalancerClass,
    pub(super) ipv4: Intervals,
    pub(super) ipv6: Intervals,
    /// Whether the pool is all that its author meant: something is in it, and every entry can be used.
    pub(super) whole: bool,
    /// Who may hold its addresses, by name.
    pub(super) nodes: Vec<Candidate>,
    /// How many nodes are meant to: those and the ones whose network is away for the moment.
    pub(super) meant: usize,
    /// The interfaces that may answer; empty means all.
    pub(super) interfaces: Vec<String>,
}

impl Class<'_> {
    pub(super) fn pool(&self, family: Family) -> &Intervals {
        match family {
            Family::IPv4 => &self.ipv4,
            Family::IPv6 => &self.ipv6,
        }
    }
}

/// All classes, with their nodes.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) classes: BTreeMap<&'a str, Class<'a>>,
    pub(super) doubt: &'a Doubt,
}

impl<'a> Cluster<'a> {
    pub(super) fn read(snapshot: &'a Snapshot, inventory: &Inventory<'_>) -> Self {
        let nodes = nodes(snapshot);
        let mut doubtful = doubtful(snapshot, inventory, &nodes);
        let classes = snapshot
            .classes
            .iter()
            .filter_map(|object| object.metadata.name.as_deref().map(|name| (name, object)))
            .map(|(name, object)| (name, class(object, &nodes, doubtful.remove(name).unwrap_or_default())))
            .collect();
        Self { classes, doubt: &snapshot.doubts.classes }
    }

    /// The class that Services without a choice get: of several the first by name.
    pub(super) fn default(&self) -> Option<&'a str> {
        self.defaults().next()
    }

    /// Every class that says it is the default, by name.
    pub(super) fn defaults(&self) -> impl Iterator<Item = &'a str> {
        self.classes.iter().filter(|(_, class)| class.object.spec.is_default).map(|(&name, _)| name)
    }
}

fn nodes(snapshot: &Snapshot) -> BTreeMap<&str, &Node> {
    snapshot.nodes.iter().filter_map(|node| Some((node.metadata.name.as_deref()?, node.as_ref()))).collect()
}

/// By class: nodes that are ranked for its addresses, are not listed, and may exist.
fn doubtful(
    snapshot: &Snapshot,
    inventory: &Inventory<'_>,
    nodes: &BTreeMap<&str, &Node>,
) -> BTreeMap<String, BTreeSet<String>> {
    let doubt = &snapshot.doubts.nodes;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if doubt.cluster_scoped().next().is_none() {
        return found;
    }
    for vip in &inventory.vips {
        let spec = &vip.object.spec;
        let missing = spec.nodes.iter().filter(|node| !nodes.contains_key(node.as_str()) && doubt.may_exist("", node));
        found.entry(spec.pool.clone()).or_default().extend(missing.cloned());
    }
    found
}

fn class<'a>(
    object: &'a MetalLoadBalancerClass,
    nodes: &BTreeMap<&str, &Node>,
    doubtful: BTreeSet<String>,
) -> Class<'a> {
    let spec = &object.spec;
    let (ranges, problems) = pool_ranges(spec);
    let meant = nodes.iter().filter(|(_, node)| is_meant(node, &spec.node_selector));
    let mut eligible: Vec<Candidate> = meant
        .clone()
        .filter(|(_, node)| !lacks_network(node))
        .map(|(name, node)| candidate(name, node))
        .chain(doubtful.into_iter().map(|name| Candidate { name, zone: None, cordoned: false }))
        .collect();
    eligible.sort_by(|a, b| a.name.cmp(&b.name));
    let interfaces = spec.l2.iter().flat_map(|l2| &l2.interfaces).map(|name| name.trim());
    Class {
        object,
        ipv4: Intervals::of(&ranges, Family::IPv4),
        ipv6: Intervals::of(&ranges, Family::IPv6),
        whole: problems.is_empty() && !ranges.is_empty(),
        meant: meant.count().max(eligible.len()),
        nodes: eligible,
        interfaces: interfaces.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    }
}

fn is_meant(node: &Node, selector: &BTreeMap<String, String>) -> bool {
    let none = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&none);
    !labels.contains_key(label::EXCLUDE) && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn lacks_network(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == "True")
}

fn candidate(name: &str, node: &Node) -> Candidate {
    Candidate {
        name: name.to_owned(),
        zone: node.metadata.labels.as_ref().and_then(|labels| labels.get(label::ZONE)).cloned(),
        cordoned: node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false),
    }
}
