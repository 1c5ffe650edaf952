//! From the allocation to the writes that bring it about, in their order.

use std::sync::Arc;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use lb_api::{
    VirtualIP, VirtualIPSpec,
    virtual_ip::{Claim, Phase, name_of},
};

use super::{
    Action, Figures, Plan, Snapshot, Step, Why,
    allocate::{Allocation, Fate, Hold, Home},
    choice::Claimant,
    cluster::Cluster,
    event,
    inventory::{Inventory, Vip},
    report, status,
};

mod ranking;

pub(super) use ranking::Rankings;

/// The whole plan.
pub(super) fn build(
    snapshot: &Snapshot,
    cluster: &Cluster<'_>,
    claimants: &[Claimant<'_>],
    inventory: &Inventory<'_>,
    allocation: &Allocation,
    rankings: &Rankings,
) -> Plan {
    // Kubernetes writes times in whole seconds. Rounding up keeps the quarantine from ending early.
    let now = whole_second(snapshot.now);
    let (mut releases, mut updates, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
    let mut deadline = None;
    for (position, vip) in inventory.vips.iter().enumerate() {
        match allocation.fate(position) {
            Fate::Untouched if vip.is_bound() || cluster.pools.is_empty() => {}
            Fate::Untouched => match quarantine_end(vip, snapshot).filter(|&end| end > snapshot.now) {
                Some(end) => deadline = Some(earliest(deadline, end)),
                None => deletes.push(step(Action::Delete(Arc::clone(vip.object)), Why::QuarantineOver)),
            },
            Fate::Released(why) => releases.push(step(Action::Update(Box::new(released(vip, now))), *why)),
            Fate::Bound(hold) => updates.extend(bound(vip, hold, cluster, rankings)),
        }
    }
    let (mut steps, mut annotations, mut news) = (Vec::new(), Vec::new(), Vec::new());
    for (service, claimant) in claimants.iter().enumerate() {
        // The name of the IPAddressPool on each Service that shows addresses of one.
        let annotates = snapshot.configuration.annotates;
        let annotated =
            annotates.then(|| status::annotated(service, claimant, cluster, inventory, allocation)).flatten();
        match status::wanted(service, claimant, cluster, inventory, allocation, now) {
            Some(mut wanted) => {
                news.extend(status::news(service, claimant, &wanted));
                // In one write: a second one would be judged on what the first has changed.
                if let Some(annotated) = annotated {
                    wanted.metadata.annotations = annotated.metadata.annotations;
                }
                steps.push(step(Action::WriteStatus(Box::new(wanted)), Why::Status));
            }
            None => {
                annotations.extend(annotated.map(|wanted| step(Action::Annotate(Box::new(wanted)), Why::Status)));
            }
        }
    }
    steps.append(&mut releases);
    steps.append(&mut updates);
    steps.extend(creations(cluster, allocation, rankings));
    steps.append(&mut deletes);
    steps.append(&mut annotations);
    steps.extend(report::steps(cluster, inventory, now));
    let (events, event_deadline) = event::steps(snapshot, cluster, claimants, allocation, &news);
    steps.extend(events);
    let deadline = event_deadline.map_or(deadline, |end| Some(earliest(deadline, end)));
    Plan { steps, deadline, figures: figures(claimants, inventory, allocation) }
}

fn step(action: Action, why: Why) -> Step {
    Step { action, why }
}

fn earliest(deadline: Option<Timestamp>, other: Timestamp) -> Timestamp {
    deadline.map_or(other, |deadline| deadline.min(other))
}

fn whole_second(time: Timestamp) -> Timestamp {
    // Fails only within a second of the last representable time.
    time.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil)).unwrap_or(time)
}

/// A released address without its time, which validation refuses, waits for nothing.
fn quarantine_end(vip: &Vip<'_>, snapshot: &Snapshot) -> Option<Timestamp> {
    vip.object.spec.released_at.as_ref().and_then(|time| time.0.checked_add(snapshot.quarantine).ok())
}

/// Nobody answers for it; the claims stay, they name the former owner. So does the ranking: an input if it comes back.
fn released(vip: &Vip<'_>, now: Timestamp) -> VirtualIP {
    let mut object = VirtualIP::clone(vip.object);
    object.spec.phase = Phase::Released;
    object.spec.released_at = Some(Time(now));
    object
}

fn bound(vip: &Vip<'_>, hold: &Hold, cluster: &Cluster<'_>, rankings: &Rankings) -> Option<Step> {
    let current = &vip.object.spec;
    let mut spec =
        VirtualIPSpec { claims: hold.claims.clone(), phase: Phase::Bound, released_at: None, ..current.clone() };
    if let Some(ranked) = rankings.of_hold(hold) {
        spec.pool = reference(hold.home, cluster);
        // Advertisements that cannot be read may be what answers now, and so may the endpoints of a Service that shares.
        let of_class = !spec.pool.is_empty() && !spec.pool.contains('/');
        let unadvertised = !of_class && !cluster.snapshot.doubts.l2_advertisements.is_empty();
        let is_unread =
            |claim: &Claim| cluster.snapshot.doubts.endpoint_slices.may_be_made_of(&claim.namespace, &claim.name);
        let unserved = hold.claims.iter().any(is_unread);
        let doubtful = unadvertised || unserved || hold.holders.len() < hold.claims.len();
        if spec.nodes.is_empty() || !doubtful {
            spec.interfaces.clone_from(&ranked.interfaces);
            spec.nodes.clone_from(&ranked.nodes);
            (spec.failback, spec.conflict) = (ranked.terms.failback, ranked.terms.conflict);
        }
    }
    let changed = spec != *current;
    changed.then(|| step(Action::Update(Box::new(VirtualIP { spec, ..VirtualIP::clone(vip.object) })), hold.why))
}

/// What `spec.pool` says.
fn reference(home: Home, cluster: &Cluster<'_>) -> String {
    match home {
        Home::Pool(pool) => cluster.pool(pool).map(|pool| pool.reference.clone()).unwrap_or_default(),
        Home::Adopted | Home::Recorded => String::new(),
    }
}

/// In the order of the Services, and of the slots of each.
fn creations<'a>(
    cluster: &'a Cluster<'_>,
    allocation: &'a Allocation,
    rankings: &'a Rankings,
) -> impl Iterator<Item = Step> + 'a {
    let mut fresh: Vec<_> = allocation.fresh.iter().filter(|fresh| fresh.hold.owner().is_some()).collect();
    fresh.sort_by_key(|fresh| fresh.hold.owner());
    fresh.into_iter().filter_map(move |fresh| {
        let ranked = rankings.of_hold(&fresh.hold)?;
        let spec = VirtualIPSpec {
            address: fresh.address.to_string(),
            phase: Phase::Bound,
            pool: reference(fresh.hold.home, cluster),
            claims: fresh.hold.claims.clone(),
            nodes: ranked.nodes.clone(),
            interfaces: ranked.interfaces.clone(),
            failback: ranked.terms.failback,
            conflict: ranked.terms.conflict,
            ranking_key: ranked.key.clone(),
            released_at: None,
        };
        let metadata = ObjectMeta { name: Some(name_of(fresh.address)), ..ObjectMeta::default() };
        Some(step(Action::Create(Box::new(VirtualIP { metadata, spec, status: None })), fresh.hold.why))
    })
}

fn figures(claimants: &[Claimant<'_>], inventory: &Inventory<'_>, allocation: &Allocation) -> Figures {
    let mut figures =
        Figures { released: inventory.vips.iter().filter(|vip| !vip.is_bound()).count(), ..Figures::default() };
    for (service, claimant) in claimants.iter().enumerate() {
        if let Some((wanted, assigned)) = wanted_and_assigned(service, claimant, inventory, allocation) {
            figures.services += 1;
            figures.wanted += wanted;
            figures.assigned += assigned;
        }
    }
    figures
}

/// How many addresses a Service should have and has; `None` if it gets none.
pub(super) fn wanted_and_assigned(
    service: usize,
    claimant: &Claimant<'_>,
    inventory: &Inventory<'_>,
    allocation: &Allocation,
) -> Option<(u64, u64)> {
    claimant.is_bound().then(|| {
        let assigned = status::assigned(service, claimant, inventory, allocation) as u64;
        (status::total(service, claimant, allocation), assigned)
    })
}
