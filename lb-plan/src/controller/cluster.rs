//! Pools, advertisements, Nodes and endpoints as allocation and ranking need them.
//!
//! A MetalLoadBalancerClass and an IPAddressPool are both a [`Pool`] here: addresses that some Services may have. They
//! differ in who may have them ([`super::choice`]) and in who may hold them ([`reach`]). A MetalLoadBalancerPool stands
//! for the IPAddressPool of its name in the configuration namespace, unless there is one ([`written`]).
//!
//! A pool is named by its position, and in `VirtualIP.spec.pool` by its [`Pool::reference`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Namespace;
use lb_api::{
    AddressRange, MetalLoadBalancerClass, Terms, metallb::ServiceAllocation, pool_ranges, selector, virtual_ip::Family,
};

use super::{Snapshot, inventory::Inventory, planner::Memory, pool::Intervals};

mod endpoints;
mod nodes;
mod reach;
mod written;

pub(super) use endpoints::Endpoints;
pub(super) use nodes::Nodes;
pub(super) use reach::{NodeSet, Reach};
pub(super) use written::Written;

/// A pool by its position.
pub(super) type PoolId = usize;

/// Addresses that some Services may have.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    /// What `VirtualIP.spec.pool` says: the name of a class, or `namespace/name` of an IPAddressPool or what stands for one.
    pub(super) reference: String,
    pub(super) name: &'a str,
    pub(super) source: Source<'a>,
    pub(super) ranges: Vec<AddressRange>,
    pub(super) ipv4: Intervals,
    pub(super) ipv6: Intervals,
    /// Whether the pool is all that its author meant: something is in it, and every entry can be used.
    pub(super) whole: bool,
}

/// Where a pool is written down.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Class { object: &'a MetalLoadBalancerClass, reach: Reach, meant: usize },
    Pool { object: Written<'a>, namespaces: Option<BTreeSet<&'a str>>, advertisements: Vec<usize> },
}

impl Pool<'_> {
    pub(super) fn of(&self, family: Family) -> &Intervals {
        match family {
            Family::IPv4 => &self.ipv4,
            Family::IPv6 => &self.ipv6,
        }
    }

    /// As messages name it.
    pub(super) fn title(&self) -> String {
        match self.source {
            Source::Class { .. } => format!("class `{}`", self.name),
            Source::Pool { object, .. } => format!("{} `{}`", object.kind(), self.name),
        }
    }

    pub(super) fn is_class(&self) -> bool {
        matches!(self.source, Source::Class { .. })
    }

    /// Whether a Service of that namespace and with those labels may have addresses of it.
    pub(super) fn allows(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let Source::Pool { object, namespaces, .. } = &self.source else { return true };
        let Some(allocation) = object.allocation() else { return true };
        let selectors = &allocation.service_selectors;
        namespaces.as_ref().is_none_or(|names| names.contains(namespace))
            && (selectors.is_empty() || selector::any_matches(selectors, labels))
    }

    /// 0 and less come last.
    fn priority(&self) -> i64 {
        let Source::Pool { object, .. } = &self.source else { return i64::MAX };
        let priority = object.allocation().and_then(|allocation| allocation.priority);
        priority.filter(|&priority| priority > 0).unwrap_or(i64::MAX)
    }
}

/// Everything but Services and VirtualIPs.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// Classes by name, then IPAddressPools by name.
    pub(super) pools: Vec<Pool<'a>>,
    classes: BTreeMap<&'a str, PoolId>,
    /// Those of the configuration namespace.
    address_pools: BTreeMap<&'a str, PoolId>,
    by_reference: BTreeMap<String, PoolId>,
    /// IPAddressPools for everybody.
    pub(super) open: Vec<PoolId>,
    /// IPAddressPools for some, in the order in which they are tried.
    pub(super) pinned: Vec<PoolId>,
    pub(super) nodes: Nodes,
    pub(super) endpoints: Endpoints<'a>,
    /// What the snapshot leaves out, if it is a part.
    pub(super) rest: Option<&'a Memory>,
}

impl<'a> Cluster<'a> {
    pub(super) fn read(snapshot: &'a Snapshot, inventory: &Inventory<'_>) -> Self {
        Self::beside(None, snapshot, inventory)
    }

    pub(super) fn beside(rest: Option<&'a Memory>, snapshot: &'a Snapshot, inventory: &Inventory<'_>) -> Self {
        let nodes = Nodes::read(snapshot, inventory);
        let mut pools: Vec<Pool<'a>> = classes(snapshot, &nodes);
        let (class_count, configuration) = (pools.len(), snapshot.configuration.namespace.as_str());
        pools.extend(address_pools(snapshot, configuration));
        pools.get_mut(..class_count).unwrap_or_default().sort_by_key(|pool| pool.name);
        pools.get_mut(class_count..).unwrap_or_default().sort_by_key(|pool| pool.name);
        let positions = |of_class: bool| {
            let listed = pools.iter().enumerate().filter(move |(_, pool)| pool.is_class() == of_class);
            listed.map(|(id, pool)| (pool.name, id)).collect::<BTreeMap<_, _>>()
        };
        let (classes, address_pools) = (positions(true), positions(false));
        let by_reference = pools.iter().enumerate().map(|(id, pool)| (pool.reference.clone(), id)).collect();
        let automatic = |pinned: bool| -> Vec<PoolId> {
            let fits = |id: &PoolId| match pools.get(*id).map(|pool| &pool.source) {
                Some(Source::Pool { object, .. }) => {
                    object.assigns_by_itself() && object.allocation().is_some() == pinned
                }
                Some(Source::Class { .. }) | None => false,
            };
            address_pools.values().copied().filter(fits).collect()
        };
        let (open, mut pinned) = (automatic(false), automatic(true));
        pinned.sort_by_key(|&id| pools.get(id).map(Pool::priority));
        let endpoints = Endpoints::read(rest, snapshot);
        Self { snapshot, pools, classes, address_pools, by_reference, open, pinned, nodes, endpoints, rest }
    }

    pub(super) fn pool(&self, id: PoolId) -> Option<&Pool<'a>> {
        self.pools.get(id)
    }

    /// A class by name.
    pub(super) fn class(&self, name: &str) -> Option<PoolId> {
        self.classes.get(name).copied()
    }

    /// An IPAddressPool, or what stands for one, by name.
    pub(super) fn address_pool(&self, name: &str) -> Option<PoolId> {
        self.address_pools.get(name).copied()
    }

    pub(super) fn has_address_pools(&self) -> bool {
        !self.address_pools.is_empty()
    }

    /// What the pools that are no classes are, for a message that means any of them.
    pub(super) fn kinds_of_address_pools(&self) -> &'static str {
        let is_deckhouses =
            |pool: &&Pool<'_>| matches!(pool.source, Source::Pool { object: Written::Deckhouse(_), .. });
        let deckhouses = self.pools.iter().filter(is_deckhouses).count();
        match deckhouses {
            0 => "IPAddressPool",
            all if all == self.address_pools.len() => "MetalLoadBalancerPool",
            _ => "IPAddressPool or MetalLoadBalancerPool",
        }
    }

    /// What a VirtualIP says it is from.
    pub(super) fn referred(&self, reference: &str) -> Option<PoolId> {
        self.by_reference.get(reference).copied()
    }

    /// Whether an object of that reference may exist although it is not listed.
    pub(super) fn is_doubtful(&self, reference: &str) -> bool {
        let doubts = &self.snapshot.doubts;
        match reference.split_once('/') {
            Some((namespace, name)) => doubts.ip_address_pools.may_exist(namespace, name),
            None => doubts.classes.may_exist("", reference),
        }
    }

    /// Whether somebody who lost what it has from there may lose it: the kind of object it is from is known at all. Of
    /// the pools of a namespace that is not read nothing is known: somebody may have configured another one.
    pub(super) fn is_settled(&self, reference: &str) -> bool {
        match reference.split_once('/') {
            None if reference.is_empty() => !self.pools.is_empty(),
            None => self.classes.contains_key(reference),
            Some((namespace, _)) => {
                let is_read = *namespace == *self.snapshot.configuration.namespace;
                is_read && self.has_address_pools() && !self.is_doubtful(reference)
            }
        }
    }

    /// The class that Services without a choice get: of several the first by name.
    pub(super) fn default(&self) -> Option<PoolId> {
        self.defaults().next()
    }

    /// Every class that says it is the default, by name.
    pub(super) fn defaults(&self) -> impl Iterator<Item = PoolId> {
        let is_default = |id: &PoolId| match self.pools.get(*id).map(|pool| &pool.source) {
            Some(Source::Class { object, .. }) => object.spec.is_default,
            Some(Source::Pool { .. }) | None => false,
        };
        self.classes.values().copied().filter(is_default)
    }

    pub(super) fn name(&self, id: PoolId) -> &'a str {
        self.pools.get(id).map(|pool| pool.name).unwrap_or_default()
    }
}

fn classes<'a>(snapshot: &'a Snapshot, nodes: &Nodes) -> Vec<Pool<'a>> {
    let named = snapshot.classes.iter().filter_map(|object| Some((object.metadata.name.as_deref()?, object.as_ref())));
    let class = |(name, object): (&'a str, &'a MetalLoadBalancerClass)| {
        let spec = &object.spec;
        let (ranges, problems) = pool_ranges(spec);
        let (set, meant) = nodes.of_class(name, &spec.node_selector);
        let interfaces = spec.l2.iter().flat_map(|l2| &l2.interfaces).map(|name| name.trim());
        let interfaces = interfaces.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let (terms, _told) = Terms::read(object.metadata.annotations.as_ref());
        let source = Source::Class { object, reach: Reach { nodes: set, interfaces, terms }, meant };
        pool(name.to_owned(), name, source, ranges, problems.is_empty(), false)
    };
    named.map(class).collect()
}

fn address_pools<'a>(snapshot: &'a Snapshot, configuration: &'a str) -> impl Iterator<Item = Pool<'a>> {
    let listed = snapshot.ip_address_pools.iter().filter(|_| snapshot.configuration.reads_metallb);
    let ours = listed.filter(move |object| object.metadata.namespace.as_deref() == Some(configuration));
    let metallb = ours.map(|object| Written::MetalLb(object));
    let names: BTreeSet<&str> = metallb.clone().filter_map(Written::name).collect();
    let deckhouse = snapshot.bgp.deckhouse.pools.iter().filter(|_| snapshot.configuration.reads_metallb);
    let deckhouse = deckhouse.map(|object| Written::Deckhouse(object));
    let deckhouse = deckhouse.filter(move |object| object.name().is_some_and(|name| !names.contains(name)));
    metallb.chain(deckhouse).filter_map(move |object| {
        let name = object.name()?;
        let (ranges, problems) = object.ranges();
        let namespaces = object.allocation().and_then(|allocation| namespaces(snapshot, allocation));
        let advertisements = reach::advertisements(snapshot, configuration, object);
        let source = Source::Pool { object, namespaces, advertisements };
        let reference = format!("{configuration}/{name}");
        Some(pool(reference, name, source, ranges, problems.is_empty(), object.avoids_buggy()))
    })
}

/// The namespaces that a pool is for; `None`: all. Selectors that match no namespace restrict it to none: unlike in
/// MetalLB, a selector never widens a pool.
fn namespaces<'a>(snapshot: &'a Snapshot, allocation: &'a ServiceAllocation) -> Option<BTreeSet<&'a str>> {
    if allocation.namespaces.is_empty() && allocation.namespace_selectors.is_empty() {
        return None;
    }
    let none = BTreeMap::new();
    let matches = |namespace: &Namespace| {
        let labels = namespace.metadata.labels.as_ref().unwrap_or(&none);
        selector::any_matches(&allocation.namespace_selectors, labels)
    };
    let matching = snapshot.namespaces.iter().filter(|namespace| matches(namespace));
    let selected = matching.filter_map(|namespace| namespace.metadata.name.as_deref());
    // One that cannot be read may match: nobody loses an address for it.
    let doubtful = snapshot.doubts.namespaces.cluster_scoped().filter(|_| !allocation.namespace_selectors.is_empty());
    Some(allocation.namespaces.iter().map(String::as_str).chain(selected).chain(doubtful).collect())
}

fn pool<'a>(
    reference: String,
    name: &'a str,
    source: Source<'a>,
    ranges: Vec<AddressRange>,
    readable: bool,
    avoids: bool,
) -> Pool<'a> {
    let ipv4 = Intervals::of(&ranges, Family::IPv4);
    let ipv4 = if avoids { ipv4.avoiding() } else { ipv4 };
    let ipv6 = Intervals::of(&ranges, Family::IPv6);
    let whole = readable && !ranges.is_empty();
    Pool { reference, name, source, ranges, ipv4, ipv6, whole }
}
