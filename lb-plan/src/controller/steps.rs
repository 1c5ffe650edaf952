//! From the allocation to the writes that bring it about, in their order.

use std::sync::Arc;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use lb_api::{
    VirtualIP, VirtualIPSpec,
    virtual_ip::{Phase, name_of},
};

use super::{
    Action, Figures, Plan, Snapshot, Step, Why,
    allocate::{Allocation, Fate, Place},
    choice::{Claimant, Standing},
    cluster::Cluster,
    event,
    inventory::{Inventory, Vip},
    status,
};

mod ranking;

use ranking::Rankings;

/// The whole plan.
pub(super) fn build(
    snapshot: &Snapshot,
    cluster: &Cluster<'_>,
    claimants: &[Claimant<'_>],
    inventory: &Inventory<'_>,
    allocation: &Allocation,
) -> Plan {
    // Kubernetes writes times in whole seconds. Rounding up keeps the quarantine from ending early.
    let now = whole_second(snapshot.now);
    let rankings = Rankings::of(cluster, claimants, inventory, allocation);
    let (mut releases, mut updates, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
    let mut deadline = None;
    for (position, vip) in inventory.vips.iter().enumerate() {
        match allocation.fate(position) {
            Fate::Untouched if vip.is_bound() || cluster.classes.is_empty() => {}
            Fate::Untouched => match quarantine_end(vip, snapshot).filter(|&end| end > snapshot.now) {
                Some(end) => deadline = Some(earliest(deadline, end)),
                None => deletes.push(step(Action::Delete(Arc::clone(vip.object)), Why::QuarantineOver)),
            },
            Fate::Released(why) => releases.push(step(Action::Update(Box::new(released(vip, now))), *why)),
            Fate::Bound { .. } => updates.extend(bound(position, vip, cluster, claimants, allocation, &rankings)),
        }
    }
    let statuses = claimants.iter().enumerate().filter_map(|(service, claimant)| {
        let wanted = status::wanted(service, claimant, inventory, allocation, now)?;
        Some(step(Action::WriteStatus(Box::new(wanted)), Why::Status))
    });
    let mut steps: Vec<Step> = statuses.collect();
    steps.append(&mut releases);
    steps.append(&mut updates);
    steps.extend(creations(cluster, claimants, allocation, &rankings));
    steps.append(&mut deletes);
    let (events, event_deadline) = event::steps(snapshot, cluster, claimants);
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

fn bound(
    position: usize,
    vip: &Vip<'_>,
    cluster: &Cluster<'_>,
    claimants: &[Claimant<'_>],
    allocation: &Allocation,
    rankings: &Rankings,
) -> Option<Step> {
    let Fate::Bound { claims, owner, why } = allocation.fate(position) else { return None };
    let current = &vip.object.spec;
    let mut spec = VirtualIPSpec { claims: claims.clone(), phase: Phase::Bound, released_at: None, ..current.clone() };
    if let Some((service, slot)) = *owner
        && let Some(Standing::Bound(name)) = claimants.get(service).map(|claimant| claimant.standing)
        && let Some(class) = cluster.classes.get(name)
    {
        name.clone_into(&mut spec.pool);
        spec.interfaces.clone_from(&class.interfaces);
        spec.nodes = rankings.nodes(service, slot.index);
    }
    (spec != *current).then(|| step(Action::Update(Box::new(VirtualIP { spec, ..VirtualIP::clone(vip.object) })), *why))
}

fn creations<'a>(
    cluster: &'a Cluster<'_>,
    claimants: &'a [Claimant<'_>],
    allocation: &'a Allocation,
    rankings: &'a Rankings,
) -> impl Iterator<Item = Step> + 'a {
    claimants.iter().zip(&allocation.slots).enumerate().flat_map(move |(service, (claimant, slots))| {
        let class = match claimant.standing {
            Standing::Bound(name) => cluster.classes.get(name).map(|class| (name, class)),
            Standing::NotOurs | Standing::Unbound | Standing::Frozen => None,
        };
        slots.iter().filter_map(move |(&slot, place)| {
            let (name, class) = class?;
            let &Place::New(address, why) = place else { return None };
            let spec = VirtualIPSpec {
                address: address.to_string(),
                phase: Phase::Bound,
                pool: name.to_owned(),
                claims: vec![claimant.claim(slot)],
                nodes: rankings.nodes(service, slot.index),
                interfaces: class.interfaces.clone(),
                ranking_key: rankings.key(service, slot.index),
                released_at: None,
            };
            let metadata = ObjectMeta { name: Some(name_of(address)), ..ObjectMeta::default() };
            Some(step(Action::Create(Box::new(VirtualIP { metadata, spec, status: None })), why))
        })
    })
}

fn figures(claimants: &[Claimant<'_>], inventory: &Inventory<'_>, allocation: &Allocation) -> Figures {
    let mut figures =
        Figures { released: inventory.vips.iter().filter(|vip| !vip.is_bound()).count(), ..Figures::default() };
    for (service, claimant) in claimants.iter().enumerate() {
        if matches!(claimant.standing, Standing::Bound(_)) {
            figures.services += 1;
            figures.wanted += claimant.wish.total();
            figures.assigned += status::assigned(service, claimant, inventory, allocation) as u64;
        }
    }
    figures
}
