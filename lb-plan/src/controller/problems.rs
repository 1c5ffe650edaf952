//! What is wrong with pools and advertisements, beyond what each says for itself.
//!
//! None of it stops anything: an address that two pools contain is given once, from the first that may give it.

use lb_api::{
    AddressRange, L2Advertisement, MetalLoadBalancerPool, Problem,
    validate::{self, range_text},
};

use super::{
    cluster::{Cluster, PoolId, Source, Written},
    event::Reason,
};

/// By pool.
pub(super) fn of_pools(cluster: &Cluster<'_>) -> Vec<(PoolId, Reason, Problem)> {
    let mut problems = Vec::new();
    for (id, pool) in cluster.pools.iter().enumerate() {
        let own = match &pool.source {
            Source::Class { object, .. } => validate::class(object),
            Source::Pool { object, .. } => object.problems(),
        };
        problems.extend(own.into_iter().map(|problem| (id, Reason::InvalidValue, problem)));
    }
    problems.extend(overlaps(cluster).into_iter().map(|overlap| (overlap.pool, Reason::Overlap, overlap.problem)));
    problems
}

/// Two pools that have addresses in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Overlap {
    /// The one that comes later: it is told.
    pub(super) pool: PoolId,
    pub(super) problem: Problem,
    pub(super) other: PoolId,
}

/// Every overlap of two pools.
pub(super) fn overlaps(cluster: &Cluster<'_>) -> Vec<Overlap> {
    let ranges =
        cluster.pools.iter().enumerate().flat_map(|(id, pool)| pool.ranges.iter().map(move |range| (*range, id)));
    let mut ranges: Vec<(AddressRange, PoolId)> = ranges.collect();
    ranges.sort();
    let mut overlaps: Vec<Overlap> = Vec::new();
    // The range of those so far that ends last: what begins before its end overlaps it.
    let mut widest: Option<(AddressRange, PoolId)> = None;
    for (range, id) in ranges {
        if let Some((other, first)) = widest.filter(|(other, first)| *first != id && validate::overlap(other, &range)) {
            let (id, range, first, other) =
                if id > first { (id, range, first, other) } else { (first, other, id, range) };
            if let Some((pool, known)) = cluster.pool(id).zip(cluster.pool(first)) {
                let field = if pool.is_class() { "spec.addressPool" } else { "spec.addresses" };
                let message = format!(
                    "{} overlaps with already defined CIDR {} of {}: each address is given once",
                    range_text(&range),
                    range_text(&other),
                    known.title()
                );
                overlaps.push(Overlap { pool: id, problem: Problem::new(field, message), other: first });
            }
        }
        let is_wider = |(other, _): &(AddressRange, PoolId)| {
            other.last.is_ipv4() != range.last.is_ipv4() || range.last > other.last
        };
        if widest.as_ref().is_none_or(is_wider) {
            widest = Some((range, id));
        }
    }
    overlaps.sort();
    overlaps.dedup();
    overlaps
}

/// MetalLoadBalancerPools whose name an IPAddressPool has that says otherwise. One that says the same is Deckhouse's own.
pub(super) fn shadowed<'a>(cluster: &Cluster<'a>) -> Vec<(&'a MetalLoadBalancerPool, Problem)> {
    let configuration = &cluster.snapshot.configuration.namespace;
    let mut problems = Vec::new();
    for object in &cluster.snapshot.bgp.deckhouse.pools {
        let Some(name) = object.metadata.name.as_deref() else { continue };
        let Some(pool) = cluster.address_pool(name).and_then(|id| cluster.pool(id)) else { continue };
        let Source::Pool { object: used @ Written::MetalLb(_), .. } = pool.source else { continue };
        if !used.says_the_same_as(object) {
            let message = format!(
                "{} in namespace {configuration} has the name too, says otherwise, and is used: remove it, or give this \
                 pool another name",
                pool.title()
            );
            problems.push((object.as_ref(), Problem::new("metadata.name", message)));
        }
    }
    problems
}

/// By advertisement of the configuration namespace.
pub(super) fn of_advertisements<'a>(cluster: &Cluster<'a>) -> Vec<(&'a L2Advertisement, Problem)> {
    let configuration = &cluster.snapshot.configuration.namespace;
    let objects = cluster.snapshot.l2_advertisements.iter();
    let objects = objects.filter(|object| object.metadata.namespace.as_ref() == Some(configuration));
    let mut problems = Vec::new();
    for object in objects {
        problems.extend(validate::l2_advertisement(object).into_iter().map(|problem| (object.as_ref(), problem)));
        for (index, name) in object.spec.ip_address_pools.iter().enumerate() {
            let doubts = &cluster.snapshot.doubts.ip_address_pools;
            if cluster.address_pool(name).is_none() && !doubts.may_exist(configuration, name) {
                let message = format!("there is no IPAddressPool `{name}` in namespace {configuration}");
                problems.push((object.as_ref(), Problem::new(format!("spec.ipAddressPools[{index}]"), message)));
            }
        }
    }
    problems
}
