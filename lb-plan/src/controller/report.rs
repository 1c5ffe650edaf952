//! What Herald reports of IPAddressPools: the counters in their status, and a `ConfigurationState` as MetalLB's
//! controller writes it. Unlike MetalLB's, its times move only when the judgement does.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use lb_api::{
    ConfigurationState, IPAddressPool,
    metallb::{ConfigurationResult, ConfigurationStateSpec, ConfigurationStateStatus, IPAddressPoolStatus},
    virtual_ip::Family,
};

use super::{
    Action, Step, Why,
    cluster::{Cluster, Pool, Source, Written},
    inventory::Inventory,
    problems,
};

/// The name of the object, and of the one condition in it.
const STATE: &str = "controller";
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
        state.metadata.name.as_deref() == Some(STATE) && state.metadata.namespace.as_ref() == Some(namespace)
    });
    if !cluster.pools.iter().any(is_metallbs) {
        return None;
    }
    let summary = summary(cluster);
    let Some(existing) = existing else {
        let labels = [("metallb.io/component-type".to_owned(), "controller".to_owned())].into();
        let metadata = ObjectMeta {
            name: Some(STATE.into()),
            namespace: Some(namespace.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        let made = ConfigurationState { metadata, spec: ConfigurationStateSpec {}, status: None };
        return Some(Step { action: Action::CreateState(Box::new(made)), why: Why::Status });
    };
    let status = judgement(existing.status.as_ref(), &summary, now);
    let wanted = ConfigurationState { status: Some(status), ..ConfigurationState::clone(existing) };
    let differs = wanted.status != existing.status;
    differs.then(|| Step { action: Action::WriteState(Box::new(wanted)), why: Why::Status })
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

fn judgement(before: Option<&ConfigurationStateStatus>, summary: &str, now: Timestamp) -> ConfigurationStateStatus {
    let valid = summary.is_empty();
    let status = if valid { "True" } else { "False" };
    let conditions = before.map(|before| before.conditions.clone()).unwrap_or_default();
    let previous = conditions.iter().find(|condition| condition.type_ == CONDITION && condition.status == status);
    let condition = Condition {
        type_: CONDITION.into(),
        status: status.into(),
        reason: if valid { "Reconciled" } else { "ConfigurationError" }.into(),
        message: summary.to_owned(),
        last_transition_time: previous.map_or(Time(now), |previous| previous.last_transition_time.clone()),
        observed_generation: None,
    };
    let others = conditions.into_iter().filter(|condition| condition.type_ != CONDITION);
    ConfigurationStateStatus {
        result: Some(if valid { ConfigurationResult::Valid } else { ConfigurationResult::Invalid }),
        error_summary: summary.to_owned(),
        conditions: std::iter::once(condition).chain(others).collect(),
    }
}
