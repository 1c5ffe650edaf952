//! What a Service's status should say.
//!
//! * `loadBalancer.ingress`: every address of the Service by index, and within an index in the order of the Service's
//!   `ipFamilies`; `ipMode: VIP`.
//! * Deckhouse's conditions: the class (its message is the record of the binding) and whether all are assigned.
//! * `lb.herald.dev/Invalid` while something that the user wrote cannot be honoured; without it the condition is absent.
//!
//! Other writers' conditions stay. `lastTransitionTime` moves only with a condition's status. A Service of another
//! implementation loses what Herald wrote on it when it was ours, and is not touched otherwise.

use std::{collections::BTreeSet, net::IpAddr};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{LoadBalancerIngress, Service, ServiceStatus},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use lb_api::names::condition;

use super::{
    allocate::{Allocation, Fate, Place},
    choice::{Claimant, Standing, recorded},
    inventory::{Inventory, Slot, Vip},
};

/// The Service with the status that it should have; `None` if it has it, or if the next plan will know better.
pub(super) fn wanted(
    service: usize,
    claimant: &Claimant<'_>,
    inventory: &Inventory<'_>,
    allocation: &Allocation,
    now: Timestamp,
) -> Option<Service> {
    let current = claimant.service.status.clone().unwrap_or_default();
    let mut status = current.clone();
    match claimant.standing {
        Standing::Frozen => invalid(&mut status, claimant, now),
        Standing::NotOurs | Standing::Unbound => withdraw(&mut status, claimant, inventory, allocation, now),
        Standing::Bound(class) => {
            // A class without a node to hold the addresses is not recorded: it would be sticky.
            if !claimant.wish.may_grow && recorded(claimant.service).is_none() && allocation.is_empty(service) {
                invalid(&mut status, claimant, now);
            } else {
                let shown = addresses(service, claimant, inventory, allocation);
                if shown.pending && claimant.shown().iter().all(|address| shown.staying.contains(address)) {
                    return None;
                }
                bound(&mut status, claimant, class, &shown.ready, now);
            }
        }
    }
    (status != current).then(|| Service { status: Some(status), ..claimant.service.clone() })
}

/// How many addresses a Service has, written ones only.
pub(super) fn assigned(service: usize, claimant: &Claimant<'_>, inventory: &Inventory<'_>, all: &Allocation) -> usize {
    addresses(service, claimant, inventory, all).ready.len()
}

/// The addresses of a Service.
struct Shown {
    /// Those whose VirtualIP says so, in order.
    ready: Vec<IpAddr>,
    /// Those, and those whose VirtualIP is being written.
    staying: BTreeSet<IpAddr>,
    /// Whether any is being written.
    pending: bool,
}

fn addresses(service: usize, claimant: &Claimant<'_>, inventory: &Inventory<'_>, allocation: &Allocation) -> Shown {
    let mut shown = Shown { ready: Vec::new(), staying: BTreeSet::new(), pending: false };
    let Some(slots) = allocation.slots.get(service) else { return shown };
    let rank = |family| claimant.wish.families.iter().position(|&listed| listed == family);
    let mut ordered: Vec<(&Slot, &Place)> = slots.iter().collect();
    ordered.sort_by_key(|(slot, _)| (slot.index, rank(slot.family)));
    for (&slot, place) in ordered {
        let vip = match place {
            Place::Has(position) => inventory.vips.get(*position),
            Place::New(..) => None,
        };
        let address = match (place, vip) {
            (Place::New(address, _), _) => *address,
            (Place::Has(_), Some(vip)) => vip.address,
            (Place::Has(_), None) => continue,
        };
        shown.staying.insert(address);
        match vip.is_some_and(|vip| vip.is_bound() && vip.claims().contains(&claimant.claim(slot))) {
            true => shown.ready.push(address),
            false => shown.pending = true,
        }
    }
    shown
}

fn bound(status: &mut ServiceStatus, claimant: &Claimant<'_>, class: &str, ready: &[IpAddr], now: Timestamp) {
    let entry = |address: &IpAddr| LoadBalancerIngress {
        ip: Some(address.to_string()),
        ip_mode: Some("VIP".into()),
        ..LoadBalancerIngress::default()
    };
    set_ingress(status, ready.iter().map(entry).collect());
    set(status, now, condition::CLASS, true, condition::CLASS_BOUND, class.to_owned());
    let all = ready.len() as u64 == claimant.wish.total();
    let reason = if all { condition::ALL_IPS_ASSIGNED } else { condition::NOT_ALL_IPS_ASSIGNED };
    let message = format!("{} of {} public IPs were assigned", ready.len(), claimant.wish.total());
    set(status, now, condition::ALL_ASSIGNED, all, reason, message);
    invalid(status, claimant, now);
}

/// Takes back what Herald wrote, as long as a VirtualIP shows that the Service was ours. While it holds one, because
/// the class is gone, it is left as it is.
fn withdraw(
    status: &mut ServiceStatus,
    claimant: &Claimant<'_>,
    inventory: &Inventory<'_>,
    allocation: &Allocation,
    now: Timestamp,
) {
    let named = inventory.of(claimant.namespace, claimant.name);
    let holds = named.iter().any(|&position| match allocation.fate(position) {
        Fate::Bound { .. } => true,
        Fate::Untouched => inventory.vips.get(position).is_some_and(Vip::is_bound),
        Fate::Released(_) => false,
    });
    let was_ours = !named.is_empty() && !holds;
    if was_ours {
        let vips = named.iter().filter_map(|&position| inventory.vips.get(position));
        let ours: BTreeSet<String> = vips.map(|vip| vip.address.to_string()).collect();
        // With the record of the binding the whole list is Herald's, lost addresses included.
        let all = recorded(claimant.service).is_some();
        let ingress = status.load_balancer.as_mut().and_then(|balancer| balancer.ingress.take()).unwrap_or_default();
        let theirs = |entry: &LoadBalancerIngress| !all && entry.ip.as_ref().is_none_or(|ip| !ours.contains(ip));
        set_ingress(status, ingress.into_iter().filter(theirs).collect());
        for type_ in [condition::CLASS, condition::ALL_ASSIGNED] {
            remove(status, type_);
        }
    }
    match claimant.standing {
        Standing::Unbound => invalid(status, claimant, now),
        Standing::NotOurs if was_ours => remove(status, condition::INVALID),
        Standing::NotOurs | Standing::Frozen | Standing::Bound(_) => {}
    }
}

fn invalid(status: &mut ServiceStatus, claimant: &Claimant<'_>, now: Timestamp) {
    if claimant.problems.is_empty() {
        return remove(status, condition::INVALID);
    }
    let message = claimant.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    set(status, now, condition::INVALID, true, condition::INVALID_VALUE, message);
}

/// An empty list and none are the same to every reader; none is what a store keeps.
fn set_ingress(status: &mut ServiceStatus, ingress: Vec<LoadBalancerIngress>) {
    match ingress.is_empty() {
        true => status.load_balancer = None,
        false => status.load_balancer.get_or_insert_default().ingress = Some(ingress),
    }
}

fn set(status: &mut ServiceStatus, now: Timestamp, type_: &str, value: bool, reason: &str, message: String) {
    let value = if value { "True" } else { "False" };
    let conditions = status.conditions.get_or_insert_default();
    let previous = conditions.iter_mut().find(|condition| condition.type_ == type_);
    let since = previous.as_ref().filter(|previous| previous.status == value);
    let new = Condition {
        type_: type_.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: since.map_or(Time(now), |previous| previous.last_transition_time.clone()),
        observed_generation: previous.as_ref().and_then(|previous| previous.observed_generation),
    };
    match previous {
        Some(previous) => *previous = new,
        None => conditions.push(new),
    }
}

fn remove(status: &mut ServiceStatus, type_: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != type_);
        if conditions.is_empty() {
            status.conditions = None;
        }
    }
}

impl Allocation {
    fn is_empty(&self, service: usize) -> bool {
        self.slots.get(service).is_none_or(std::collections::BTreeMap::is_empty)
    }

    /// What becomes of a VirtualIP.
    pub(super) fn fate(&self, position: usize) -> &Fate {
        self.fates.get(position).unwrap_or(&Fate::Untouched)
    }
}
