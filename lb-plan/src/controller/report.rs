//! What Herald reports of IPAddressPools: the counters in their status, and a `ConfigurationState` as MetalLB's
//! controller writes it.

use jiff::Timestamp;
use lb_api::{
    IPAddressPool,
    metallb::IPAddressPoolStatus,
    names::configuration_state::{COMPONENT, CONTROLLER},
    virtual_ip::Family,
};

use super::{
    Action, Step, Why,
    cluster::{Cluster, Pool, Source, Written},
    inventory::Inventory,
    problems,
};
use crate::configuration_state;

/// The one condition in the ConfigurationState.
const CONDITION: &str = "poolReconcilerValid";

/// What differs from what should be reported.
pub(super) fn steps(cluster: &Cluster<'_>, inventory: &Inventory<'_>, now: Timestamp) -> Vec<Step> {
    let mut steps = counters(cluster, inventory);
    steps.extend(state(cluster, now));
    steps
}

fn counters(cluster: &Cluster<'_>, inventory: &Inventory<'_>) -> Vec<Step> {
    let mut assigned = vec![(0_i64, 0_i64); cluster.pools.len()];
    match cluster.rest {
        Some(rest) => {
            for (pool, counter) in cluster.pools.iter().zip(&mut assigned) {
                *counter = rest.assigned(&pool.reference);
            }
        }
        None => {
            for vip in inventory.vips.iter().filter(|vip| vip.is_bound()) {
                let counter = cluster.referred(&vip.object.spec.pool).and_then(|id| assigned.get_mut(id));
                match (counter, Family::of(vip.address)) {
                    (Some(counter), Family::IPv4) => counter.0 += 1,
                    (Some(counter), Family::IPv6) => counter.1 += 1,
                    (None, _) => {}
                }
            }
        }
    }
    let listed = cluster.pools.iter().zip(assigned);
    let changed = listed.filter_map(|(pool, assigned)| {
        let Source::Pool { object: Written::MetalLb(object), .. } = pool.source else { return None };
        let status = status(pool, assigned);
        if object.status == Some(status) {
            return None;
        }
        let wanted = IPAddressPool { status: Some(status), ..IPAddressPool::clone(object) };
        Some(Step { action: Action::WritePoolStatus(Box::new(wanted)), why: Why::Status })
    });
    changed.collect()
}

fn status(pool: &Pool<'_>, (ipv4, ipv6): (i64, i64)) -> IPAddressPoolStatus {
    let left = |family, assigned: i64| pool.of(family).size().saturating_sub(assigned).max(0);
    IPAddressPoolStatus {
        assigned_ipv4: ipv4,
        assigned_ipv6: ipv6,
        available_ipv4: left(Family::IPv4, ipv4),
        available_ipv6: left(Family::IPv6, ipv6),
    }
}

/// Only where there is an IPAddressPool: whoever has none has no tool that reads this.
fn state(cluster: &Cluster<'_>, now: Timestamp) -> Option<Step> {
    let namespace = &cluster.snapshot.configuration.namespace;
    let mut listed = cluster.snapshot.configuration_states.iter();
    let existing = listed.find(|state| {
        state.metadata.name.as_deref() == Some(CONTROLLER) && state.metadata.namespace.as_ref() == Some(namespace)
    });
    if !cluster.pools.iter().any(is_metallbs) {
        return None;
    }
    let Some(existing) = existing else {
        let made = configuration_state::new(namespace, CONTROLLER, &[(COMPONENT, "controller")]);
        return Some(Step { action: Action::CreateState(Box::new(made)), why: Why::Status });
    };
    let wanted = configuration_state::judged(existing, CONDITION, &summary(cluster), now)?;
    Some(Step { action: Action::WriteState(Box::new(wanted)), why: Why::Status })
}

fn is_metallbs(pool: &Pool<'_>) -> bool {
    matches!(pool.source, Source::Pool { object: Written::MetalLb(_), .. })
}

/// What is wrong with IPAddressPools, one problem a line. Deckhouse's kinds are not MetalLB's.
fn summary(cluster: &Cluster<'_>) -> String {
    let lines = problems::of_pools(cluster).into_iter().filter_map(|(id, _, problem)| {
        let pool = cluster.pool(id).filter(|pool| is_metallbs(pool))?;
        Some(format!("{}: {problem}", pool.title()))
    });
    lines.collect::<Vec<_>>().join("\n")
}
