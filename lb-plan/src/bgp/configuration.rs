//! Everything but Services, read for one node: its sessions, and the advertisements of each pool.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use lb_api::selector;

use super::{
    Attributes, Peer, Problem, Snapshot,
    node::ThisNode,
    snapshot::SecretContent,
    sources::{Origin, Sources},
};

mod advertisements;
mod communities;
mod peers;
mod pools;

pub(super) use pools::{Pool, PoolFamilies};

/// An advertisement by its position.
pub(super) type AdvertisementId = usize;

/// An advertisement that this node can use.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Advertisement {
    pub(super) name: String,
    pub(super) origin: Origin,
    length_v4: u8,
    length_v6: u8,
    pub(super) attributes: Attributes,
    /// `None`: every peer.
    peers: Option<BTreeSet<String>>,
    source: Arc<lb_api::BGPAdvertisement>,
}

impl Advertisement {
    /// The length of the prefix that an address is announced in.
    pub(super) const fn length(&self, address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(_) => self.length_v4,
            IpAddr::V6(_) => self.length_v6,
        }
    }

    /// Whether it is for the peer of that name.
    pub(super) fn is_told(&self, peer: &str) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.contains(peer))
    }

    fn is_for_some_services(&self) -> bool {
        !self.source.spec.service_selectors.is_empty()
    }
}

/// Whether two advertisements of one pool want different LOCAL_PREFs for one prefix at one peer (metallb.md section 6.3).
/// Both are for this node.
pub(super) fn conflict(one: &Advertisement, other: &Advertisement, families: PoolFamilies) -> bool {
    let prefers_otherwise = one.attributes.local_pref != other.attributes.local_pref;
    let same_length =
        (families.ipv4 && one.length_v4 == other.length_v4) || (families.ipv6 && one.length_v6 == other.length_v6);
    let same_peer = match (&one.peers, &other.peers) {
        (Some(one), Some(other)) => !one.is_disjoint(other),
        (None, _) | (_, None) => true,
    };
    prefers_otherwise && same_length && same_peer
}

/// What this node is configured to do.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    pub(super) node: ThisNode,
    pub(super) peers: BTreeMap<String, Arc<Peer>>,
    pub(super) problems: Vec<Problem>,
    advertisements: Vec<Advertisement>,
    /// By what VirtualIPs call them.
    pools: BTreeMap<String, Arc<Pool>>,
    namespace: String,
}

/// What one object's reading needs of the others.
pub(super) struct Context<'a> {
    pub(super) namespace: &'a str,
    pub(super) sources: &'a Sources,
    /// `None`: they cannot be read here.
    pub(super) secrets: Option<&'a BTreeMap<super::SecretName, SecretContent>>,
    pub(super) aliases: communities::Aliases,
}

impl Configuration {
    pub(super) fn read(snapshot: &Snapshot) -> Self {
        let sources = Sources::read(snapshot.listed());
        let (aliases, problems) = communities::read(&sources.communities);
        let context =
            Context { namespace: &snapshot.namespace, sources: &sources, secrets: Some(&snapshot.secrets), aliases };
        let node = ThisNode::read(snapshot);
        let labels = node.labels.clone();
        let mut configuration = Self::of_node(&context, node, &|selectors| selects(selectors, &labels));
        configuration.problems.extend(problems);
        configuration.problems.extend(sources.problems.iter().cloned());
        configuration.problems.sort();
        configuration.problems.dedup();
        configuration
    }

    /// For one node, which `selected` says it of. Problems are those of objects that select it, and of pairs that meet on it.
    pub(super) fn of_node(context: &Context<'_>, node: ThisNode, selected: &Selected<'_>) -> Self {
        let mut configuration = Self { node, namespace: context.namespace.to_owned(), ..Self::default() };
        peers::read(&mut configuration, context, selected);
        for source in &context.sources.advertisements {
            if !selected(&source.object.spec.node_selectors) {
                continue;
            }
            let (advertisement, problems) = advertisements::read(source, context);
            configuration.advertisements.extend(advertisement);
            configuration.problems.extend(problems);
        }
        pools::read(&mut configuration, context);
        configuration
    }

    pub(super) fn advertisement(&self, id: AdvertisementId) -> Option<&Advertisement> {
        self.advertisements.get(id)
    }

    /// The pool that a VirtualIP names. One that is not listed may still be named by an advertisement.
    pub(super) fn pool(&self, reference: &str) -> Arc<Pool> {
        self.pools.get(reference).cloned().unwrap_or_else(|| Arc::new(pools::unlisted(self, reference)))
    }

    /// Whether an advertisement is for Services with such labels.
    pub(super) fn is_for(&self, id: AdvertisementId, labels: Option<&BTreeMap<String, String>>) -> bool {
        let none = BTreeMap::new();
        let Some(advertisement) = self.advertisement(id) else { return false };
        selects(&advertisement.source.spec.service_selectors, labels.unwrap_or(&none))
    }
}

/// Whether selectors of nodes select the node that is looked at.
pub(super) type Selected<'a> = dyn Fn(&[LabelSelector]) -> bool + 'a;

/// Of no selectors, everything is selected.
pub(super) fn selects(selectors: &[LabelSelector], labels: &BTreeMap<String, String>) -> bool {
    selectors.is_empty() || selector::any_matches(selectors, labels)
}

pub(super) use advertisements::read as read_advertisement;
pub(super) use communities::read as read_communities;
pub(super) use peers::read_one as read_peer;
