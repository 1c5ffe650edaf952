//! Nodes that may hold addresses.
//!
//! A node is eligible if it has no exclude label and is not known to be without a network; selectors narrow further. A
//! Node that is ranked for an address and may stand in an unreadable document stays eligible for that pool.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::Node;
use lb_api::names::{label, node_annotation};

use super::NodeSet;
use crate::controller::{Snapshot, inventory::Inventory, rank::Candidate};

/// A Node.
#[derive(Debug)]
struct Known {
    candidate: Candidate,
    labels: BTreeMap<String, String>,
    has_network: bool,
}

/// All Nodes without the exclude label, by name, and those in doubt.
#[derive(Debug, Default)]
pub(in crate::controller) struct Nodes {
    known: Vec<Known>,
    positions: HashMap<String, usize>,
    /// By what VirtualIPs say they are from: nodes that are ranked, are not listed, and may exist.
    doubtful: BTreeMap<String, BTreeSet<usize>>,
}

impl Nodes {
    pub(super) fn read(snapshot: &Snapshot, inventory: &Inventory<'_>) -> Self {
        let mut nodes = Self::default();
        let mut listed = BTreeSet::new();
        let mut known: Vec<Known> = Vec::new();
        for node in &snapshot.nodes {
            let Some(name) = node.metadata.name.as_deref() else { continue };
            listed.insert(name);
            let labels = node.metadata.labels.clone().unwrap_or_default();
            if !labels.contains_key(label::EXCLUDE) {
                let candidate = candidate(name, node, &labels);
                known.push(Known { candidate, labels, has_network: !lacks_network(node) });
            }
        }
        let doubt = &snapshot.doubts.nodes;
        let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        if doubt.cluster_scoped().next().is_some() {
            for vip in &inventory.vips {
                let spec = &vip.object.spec;
                for node in spec.nodes.iter().map(String::as_str) {
                    if !listed.contains(node) && doubt.may_exist("", node) {
                        missing.entry(node).or_default().insert(&spec.pool);
                    }
                }
            }
        }
        let unknown = |name: &&str| {
            let candidate = Candidate { name: (*name).to_owned(), ..Candidate::default() };
            Known { candidate, labels: BTreeMap::new(), has_network: false }
        };
        known.extend(missing.keys().map(unknown));
        known.sort_by(|a, b| a.candidate.name.cmp(&b.candidate.name));
        nodes.positions =
            known.iter().enumerate().map(|(position, known)| (known.candidate.name.clone(), position)).collect();
        nodes.known = known;
        for (node, pools) in missing {
            let Some(&position) = nodes.positions.get(node) else { continue };
            for pool in pools {
                nodes.doubtful.entry(pool.to_owned()).or_default().insert(position);
            }
        }
        nodes
    }

    /// The nodes of a class, and how many are meant to be: those and the ones whose network is away for the moment.
    pub(super) fn of_class(&self, reference: &str, selector: &BTreeMap<String, String>) -> (NodeSet, usize) {
        let doubtful = self.doubtful.get(reference);
        let is_doubtful = |position: usize| doubtful.is_some_and(|nodes| nodes.contains(&position));
        let matches = |known: &Known| selector.iter().all(|(key, value)| known.labels.get(key) == Some(value));
        let (mut set, mut meant) = (NodeSet::new(), 0);
        for (position, known) in self.known.iter().enumerate() {
            let matching = matches(known) && !self.is_only_doubtful(position);
            meant += usize::from(matching);
            if (matching && known.has_network) || is_doubtful(position) {
                set.push((position, 0));
            }
        }
        let meant = meant.max(set.len());
        (set, meant)
    }

    /// Every node of a pool, with its score; a node that `score` gives none is left out.
    pub(super) fn scored(&self, reference: &str, score: impl Fn(&BTreeMap<String, String>) -> Option<u32>) -> NodeSet {
        let doubtful = self.doubtful.get(reference);
        let scored = self.known.iter().enumerate().filter_map(|(position, known)| {
            if doubtful.is_some_and(|nodes| nodes.contains(&position)) {
                return Some((position, 0));
            }
            let eligible = known.has_network && !self.is_only_doubtful(position);
            eligible.then(|| score(&known.labels)).flatten().map(|score| (position, score))
        });
        scored.collect()
    }

    /// How many nodes with such labels there are, with a network or without.
    pub(super) fn meant(&self, selects: impl Fn(&BTreeMap<String, String>) -> bool) -> usize {
        let known = self.known.iter().enumerate();
        known.filter(|(position, known)| !self.is_only_doubtful(*position) && selects(&known.labels)).count()
    }

    /// The nodes of a set, as ranking takes them.
    pub(in crate::controller) fn candidates(&self, set: &NodeSet) -> Vec<Candidate> {
        let scored = set.iter().filter_map(|&(position, score)| Some((self.known.get(position)?, score)));
        scored.map(|(known, score)| Candidate { score, ..known.candidate.clone() }).collect()
    }

    /// A Node by name.
    pub(in crate::controller) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// Whether the node is here for pools that rank it only.
    fn is_only_doubtful(&self, position: usize) -> bool {
        self.doubtful.values().any(|nodes| nodes.contains(&position))
    }
}

fn lacks_network(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == "True")
}

fn candidate(name: &str, node: &Node, labels: &BTreeMap<String, String>) -> Candidate {
    Candidate {
        name: name.to_owned(),
        zone: labels.get(label::ZONE).cloned(),
        cordoned: node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
            || node.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(node_annotation::DRAIN)),
        score: 0,
    }
}
