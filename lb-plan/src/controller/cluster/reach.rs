//! Who may hold the addresses of a pool, and on which interfaces.
//!
//! The nodes of a class are the class's own. Those of an IPAddressPool come from L2Advertisements: of all that select
//! the pool and match the Service, the nodes are united, so are the interfaces (one without interfaces means all), and
//! the weights of preferred nodes add up. A pool without any is allocated, and nobody answers for it.

use std::collections::BTreeMap;

use lb_api::{L2Advertisement, Terms, selector};

use super::{Cluster, PoolId, Source, Written};
use crate::controller::Snapshot;

/// Nodes by position, in the order of their names, with their scores.
pub(in crate::controller) type NodeSet = Vec<(usize, u32)>;

/// Who may hold an address, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::controller) struct Reach {
    pub(in crate::controller) nodes: NodeSet,
    /// Empty means all.
    pub(in crate::controller) interfaces: Vec<String>,
    /// How the addresses move. Of several advertisements the first by name that says something.
    pub(in crate::controller) terms: Terms,
}

type Labels = BTreeMap<String, String>;

impl Cluster<'_> {
    /// The advertisements of a pool that are for one of the Services with these labels. With no pool those that select
    /// every pool. Empty for a class.
    pub(in crate::controller) fn advertisements(&self, pool: Option<PoolId>, services: &[&Labels]) -> Vec<usize> {
        let of_pool: Vec<usize> = match pool.and_then(|id| self.pools.get(id)).map(|pool| &pool.source) {
            Some(Source::Pool { advertisements, .. }) => advertisements.clone(),
            Some(Source::Class { .. }) => return Vec::new(),
            None => (0..self.snapshot.l2_advertisements.len()).filter(|&position| self.selects_all(position)).collect(),
        };
        let matching = |position: &usize| {
            let Some(object) = self.snapshot.l2_advertisements.get(*position) else { return false };
            let selectors = &object.spec.service_selectors;
            selectors.is_empty() || services.iter().any(|labels| selector::any_matches(selectors, labels))
        };
        of_pool.into_iter().filter(matching).collect()
    }

    /// Who may hold an address of a pool, through these advertisements.
    pub(in crate::controller) fn reach(&self, pool: Option<PoolId>, advertisements: &[usize]) -> Reach {
        let pool = pool.and_then(|id| self.pools.get(id));
        if let Some(Source::Class { reach, .. }) = pool.map(|pool| &pool.source) {
            return reach.clone();
        }
        let listed = advertisements.iter().filter_map(|&position| self.snapshot.l2_advertisements.get(position));
        let listed: Vec<&L2Advertisement> = listed.map(AsRef::as_ref).collect();
        if listed.is_empty() {
            return Reach::default();
        }
        let score = |labels: &Labels| {
            let selected: Vec<_> = listed.iter().filter(|object| selects_node(object, labels)).collect();
            let preferred = selected.iter().flat_map(|object| &object.spec.preferred_node_selectors);
            let liked = preferred.filter(|preferred| selector::matches(&preferred.preference, labels));
            let weights = liked.map(|preferred| u32::try_from(preferred.weight).unwrap_or_default());
            let score = weights.fold(0, u32::saturating_add);
            (!selected.is_empty()).then_some(score)
        };
        let reference = pool.map(|pool| pool.reference.as_str()).unwrap_or_default();
        let nodes = self.nodes.scored(reference, score);
        Reach { nodes, interfaces: interfaces(&listed), terms: terms(&listed) }
    }

    /// How many nodes are meant to hold an address of a pool, through these advertisements: also those whose network is
    /// away for the moment.
    pub(in crate::controller) fn meant(&self, pool: Option<PoolId>, advertisements: &[usize]) -> usize {
        if let Some(Source::Class { meant, .. }) = pool.and_then(|id| self.pools.get(id)).map(|pool| &pool.source) {
            return *meant;
        }
        let listed = advertisements.iter().filter_map(|&position| self.snapshot.l2_advertisements.get(position));
        let listed: Vec<&L2Advertisement> = listed.map(AsRef::as_ref).collect();
        self.nodes.meant(|labels| listed.iter().any(|object| selects_node(object, labels)))
    }

    fn selects_all(&self, position: usize) -> bool {
        let namespace = &self.snapshot.configuration.namespace;
        self.snapshot.l2_advertisements.get(position).is_some_and(|object| {
            let spec = &object.spec;
            object.metadata.namespace.as_ref() == Some(namespace)
                && spec.ip_address_pools.is_empty()
                && spec.ip_address_pool_selectors.is_empty()
        })
    }
}

fn selects_node(object: &L2Advertisement, labels: &Labels) -> bool {
    object.spec.node_selectors.is_empty() || selector::any_matches(&object.spec.node_selectors, labels)
}

fn terms(listed: &[&L2Advertisement]) -> Terms {
    let mut listed = listed.to_vec();
    listed.sort_by_key(|object| object.metadata.name.as_deref());
    let said = listed.iter().map(|object| Terms::read(object.metadata.annotations.as_ref()).0);
    said.fold(Terms::default(), Terms::or)
}

/// In the order of their names, each once.
fn interfaces(listed: &[&L2Advertisement]) -> Vec<String> {
    let named = |object: &L2Advertisement| -> Vec<String> {
        let names = object.spec.interfaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    let all: Vec<Vec<String>> = listed.iter().map(|object| named(object)).collect();
    if all.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let mut names: Vec<String> = all.into_iter().flatten().collect();
    names.sort();
    names.dedup();
    names
}

/// The advertisements of the configuration namespace that select a pool, by position.
pub(super) fn advertisements(snapshot: &Snapshot, configuration: &str, pool: Written<'_>) -> Vec<usize> {
    let none = Labels::new();
    let labels = pool.labels().unwrap_or(&none);
    let selects = |object: &L2Advertisement| {
        let spec = &object.spec;
        let all = spec.ip_address_pools.is_empty() && spec.ip_address_pool_selectors.is_empty();
        let by_name = pool.name().is_some_and(|name| spec.ip_address_pools.iter().any(|named| named == name));
        object.metadata.namespace.as_deref() == Some(configuration)
            && (all || by_name || selector::any_matches(&spec.ip_address_pool_selectors, labels))
    };
    let positions = snapshot.l2_advertisements.iter().enumerate();
    positions.filter(|(_, object)| selects(object)).map(|(position, _)| position).collect()
}
