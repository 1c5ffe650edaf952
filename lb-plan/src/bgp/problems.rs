//! What is wrong with the objects of BGP, in the whole cluster: for the controller, which tells it on each object.
//!
//! The agents judge with the same functions, each for its own node. Secrets are left to them: the controller reads none.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Node;
use lb_api::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, validate};

use super::{
    Deckhouse, Problem, SecretName,
    configuration::{Configuration, Context, read_advertisement, read_communities, read_peer, selects},
    node::{ThisNode, labels_of},
    secrets,
    sources::{Listed, Sources},
};

/// The objects of BGP, and the Nodes that they select from.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    /// Where MetalLB's objects are read from.
    pub namespace: &'a str,
    /// All BGPPeers.
    pub peers: &'a [Arc<BGPPeer>],
    /// All BGPAdvertisements.
    pub advertisements: &'a [Arc<BGPAdvertisement>],
    /// All BFDProfiles.
    pub profiles: &'a [Arc<BFDProfile>],
    /// All Communities.
    pub communities: &'a [Arc<Community>],
    /// All IPAddressPools.
    pub pools: &'a [Arc<IPAddressPool>],
    /// Deckhouse's kinds.
    pub deckhouse: &'a Deckhouse,
    /// All Nodes. Without any, selectors of nodes are assumed to have nodes in common, as in MetalLB.
    pub nodes: &'a [Arc<Node>],
}

impl Objects<'_> {
    fn sources(&self) -> Sources {
        let Self { namespace, peers, advertisements, profiles, communities, pools, deckhouse, nodes: _ } = *self;
        Sources::read(Listed { namespace, peers, advertisements, profiles, communities, pools, deckhouse })
    }

    /// The Secrets that the objects name: what the agents' Roles have to allow.
    pub fn needed_secrets(&self) -> BTreeSet<SecretName> {
        secrets::of(&self.sources(), self.namespace)
    }
}

/// Everything that is wrong, each with whose it is and what would be right.
pub fn problems(objects: &Objects<'_>) -> Vec<Problem> {
    let sources = objects.sources();
    let (aliases, told) = read_communities(&sources.communities);
    let mut problems: BTreeSet<Problem> = told.into_iter().chain(sources.problems.iter().cloned()).collect();
    let context = Context { namespace: objects.namespace, sources: &sources, secrets: None, aliases };
    for source in &sources.peers {
        problems.extend(read_peer(source, &context).1);
    }
    for source in &sources.advertisements {
        problems.extend(read_advertisement(source, &context).1);
    }
    for source in sources.profiles.values() {
        let told = validate::bfd_profile(&source.object).into_iter();
        problems.extend(told.map(|told| source.origin.problem(&told.field, told.message)));
    }
    if objects.nodes.is_empty() {
        problems.extend(Configuration::of_node(&context, ThisNode::default(), &|_| true).problems);
    }
    for labels in kinds_of_nodes(objects, &sources) {
        let selected = |selectors: &[_]| selects(selectors, &labels);
        problems.extend(Configuration::of_node(&context, ThisNode::default(), &selected).problems);
    }
    problems.into_iter().collect()
}

/// The labels of one node for each set of objects that meet on a node: as many as there are kinds of nodes, not nodes.
fn kinds_of_nodes(objects: &Objects<'_>, sources: &Sources) -> Vec<BTreeMap<String, String>> {
    let of_peers = sources.peers.iter().map(|source| &source.object.spec.node_selectors);
    let of_advertisements = sources.advertisements.iter().map(|source| &source.object.spec.node_selectors);
    let selectors: Vec<_> = of_peers.chain(of_advertisements).collect();
    let mut kinds = BTreeMap::new();
    for node in objects.nodes {
        let labels = labels_of(Some(node), node.metadata.name.as_deref().unwrap_or_default());
        let kind: Vec<bool> = selectors.iter().map(|selectors| selects(selectors, &labels)).collect();
        kinds.entry(kind).or_insert(labels);
    }
    kinds.into_values().collect()
}
