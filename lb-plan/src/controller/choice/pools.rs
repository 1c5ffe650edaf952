//! Which pools a Service takes from, and what a Service with a class asks of pools in vain.

use lb_api::{
    names::annotation,
    service::{self, PoolName},
};

use super::Claimant;
use crate::controller::{
    cluster::{Cluster, PoolId},
    event::Reason,
};

pub(super) fn choose(claimant: &mut Claimant<'_>, cluster: &Cluster<'_>) {
    if claimant.request.ipv4.is_empty()
        && claimant.request.ipv6.is_empty()
        && let Some(asked) = claimant.request.metallb.clone()
    {
        match asked.problem {
            Some(problem) => claimant.problems.push((Reason::LoadBalancerFailed, problem)),
            None => {
                (claimant.request.ipv4, claimant.request.ipv6) = (asked.ipv4, asked.ipv6);
                claimant.request.field = asked.field;
            }
        }
    }
    if let Some(asked) = claimant.request.pool.clone() {
        return named(claimant, cluster, &asked);
    }
    let allowed = |id: &PoolId| cluster.pool(*id).is_some_and(|pool| pool.allows(claimant.namespace, claimant.labels));
    let pinned: Vec<PoolId> = cluster.pinned.iter().copied().filter(allowed).collect();
    claimant.tiers = vec![pinned, cluster.open.clone()];
}

fn named(claimant: &mut Claimant<'_>, cluster: &Cluster<'_>, asked: &PoolName) {
    let (name, field) = (asked.name.as_str(), service::field(asked.annotation));
    let namespace = &cluster.snapshot.configuration.namespace;
    match cluster.address_pool(name).and_then(|id| Some((id, cluster.pool(id)?))) {
        Some((id, pool)) if pool.allows(claimant.namespace, claimant.labels) => claimant.tiers = vec![vec![id]],
        Some((_, pool)) => {
            let message = format!(
                "{} is not compatible with the Service: its spec.serviceAllocation leaves it out",
                pool.title()
            );
            claimant.complain(Reason::AllocationFailed, field, message);
        }
        None if cluster.snapshot.doubts.ip_address_pools.may_exist(namespace, name) => {}
        None => {
            let right = match asked.annotation == annotation::DECKHOUSE_POOL {
                true => "a MetalLoadBalancerPool".to_owned(),
                false => format!("an IPAddressPool in namespace {namespace}"),
            };
            let message = format!("unknown pool `{name}`: write the name of {right}");
            claimant.complain(Reason::AllocationFailed, field, message);
            // What it has it keeps: the name may be a slip of the pen.
            claimant.request.pool = None;
        }
    }
}

/// Deckhouse reads none of these wishes for a Service with a class; neither do we, because honouring them would move
/// addresses.
pub(super) fn class_only(claimant: &mut Claimant<'_>, class: &str) {
    let pool =
        claimant.request.pool.as_ref().map(|asked| (service::field(asked.annotation), annotation::DECKHOUSE_CLASS));
    let addresses = claimant.request.metallb.as_ref().map(|asked| (asked.field.clone(), annotation::DECKHOUSE_IPS));
    for (field, write) in pool.into_iter().chain(addresses) {
        let message = format!("is not read, because the Service has class `{class}`: write {write} instead");
        claimant.complain(Reason::InvalidValue, field, message);
    }
}
