//! What a Service's status should say.
//!
//! * `loadBalancer.ingress`: every address of the Service by index, and within an index in the order of the Service's
//!   `ipFamilies`; `ipMode: VIP`.
//! * Deckhouse's conditions: the class (its message is the record of the binding) and whether all are assigned.
//! * `lb.herald.dev/Invalid` while something that the user wrote cannot be honoured; without it the condition is absent.
//! * `lb.herald.dev/Adopted` while it has an address against the rules, because it had it before Herald came.
//!
//! Other writers' conditions stay. `lastTransitionTime` moves only with a condition's status. A Service of another
//! implementation loses what Herald wrote on it when it was ours, and is not touched otherwise.

use std::{collections::BTreeSet, net::IpAddr};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{LoadBalancerIngress, Service, ServiceStatus},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use lb_api::names::{annotation, condition};

use super::{
    allocate::{Allocation, Fate, Home, Place},
    choice::{Claimant, Standing, recorded, shown_by},
    cluster::Cluster,
    inventory::{Inventory, Slot, Vip},
    wish::Policy,
};

/// The Service with the status that it should have; `None` if it has it, or if the next plan will know better.
pub(super) fn wanted(
    service: usize,
    claimant: &Claimant<'_>,
    cluster: &Cluster<'_>,
    inventory: &Inventory<'_>,
    allocation: &Allocation,
    now: Timestamp,
) -> Option<Service> {
    let current = claimant.service.status.clone().unwrap_or_default();
    let mut status = current.clone();
    match claimant.standing {
        Standing::Frozen => invalid(&mut status, claimant, now),
        Standing::NotOurs | Standing::Unbound => withdraw(&mut status, claimant, inventory, allocation, now),
        Standing::Class(_) | Standing::Pools => {
            let class = claimant.class().map(|class| cluster.name(class));
            // A class without a node to hold the addresses is not recorded: it would be sticky.
            let is_new = class.is_some() && recorded(claimant.service).is_none();
            if !claimant.wish.may_grow && is_new && allocation.is_empty(service) {
                invalid(&mut status, claimant, now);
            } else {
                let shown = addresses(service, claimant, inventory, allocation);
                if shown.pending && claimant.shown().iter().all(|address| shown.staying.contains(address)) {
                    return None;
                }
                bound(&mut status, claimant, class, (shown.ready, total(service, claimant, allocation)), now);
                adopted(&mut status, service, inventory, allocation, now);
            }
        }
    }
    (status != current).then(|| Service { status: Some(status), ..claimant.service.clone() })
}

/// The addresses that a status shows and the Service does not yet; `None` if it shows the same as before.
pub(super) fn news(service: usize, claimant: &Claimant<'_>, wanted: &Service) -> Option<(usize, Vec<IpAddr>)> {
    let (before, after) = (claimant.shown(), shown_by(wanted));
    let new: Vec<IpAddr> = after.iter().copied().filter(|address| !before.contains(address)).collect();
    (before != after).then_some((service, new))
}

/// The Service with the annotation that names the IPAddressPool of its first address; `None` if it says so already.
pub(super) fn annotated(
    service: usize,
    claimant: &Claimant<'_>,
    cluster: &Cluster<'_>,
    inventory: &Inventory<'_>,
    allocation: &Allocation,
) -> Option<Service> {
    let pool = match claimant.standing {
        Standing::Pools => {
            let places = allocation.slots.get(service).into_iter().flatten().map(|(_, place)| *place);
            let mut names = places.filter_map(|place| match place {
                Place::Has(position) => inventory.vips.get(position)?.object.spec.pool.split_once('/'),
                Place::New(_) => None,
            });
            names.next().map(|(_, name)| name)
        }
        Standing::Class(_) | Standing::Unbound | Standing::NotOurs => None,
        Standing::Frozen => return None,
    };
    let [new, old] = annotation::METALLB_FROM_POOL;
    let annotations = claimant.service.metadata.annotations.as_ref();
    let there = annotations.and_then(|all| all.get(new)).map(String::as_str);
    // What Herald did not write on somebody else's Service it does not remove.
    let is_ours = claimant.is_bound() || !inventory.of(claimant.namespace, claimant.name).is_empty();
    if there == pool
        || !is_ours
        || (pool.is_none()
            && allocation.slots.get(service).is_some_and(|slots| !slots.is_empty())
            && cluster.has_address_pools())
    {
        return None;
    }
    let mut wanted = claimant.service.clone();
    let annotations = wanted.metadata.annotations.get_or_insert_default();
    match pool {
        Some(pool) => drop(annotations.insert(new.to_owned(), pool.to_owned())),
        None => {
            annotations.remove(new);
            annotations.remove(old);
        }
    }
    Some(wanted)
}

/// How many addresses a Service should have in all. An index that prefers two families and has one is complete.
pub(super) fn total(service: usize, claimant: &Claimant<'_>, allocation: &Allocation) -> u64 {
    if claimant.standing != Standing::Pools || claimant.wish.policy != Policy::Prefer {
        return claimant.wish.total();
    }
    let has = allocation.slots.get(service).map_or(0, std::collections::BTreeMap::len) as u64;
    let indices = allocation.slots.get(service).into_iter().flatten().map(|(slot, _)| slot.index);
    let indices = indices.collect::<BTreeSet<u32>>().len() as u64;
    has + u64::from(claimant.wish.count) - indices
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
        let fresh = match place {
            Place::New(position) => allocation.fresh.get(*position).map(|fresh| fresh.address),
            Place::Has(_) => None,
        };
        let Some(address) = fresh.or(vip.map(|vip| vip.address)) else { continue };
        shown.staying.insert(address);
        let claim = claimant.claim(slot);
        match vip.is_some_and(|vip| vip.is_bound() && vip.claims().iter().any(|there| there.is_of(&claim))) {
            true => shown.ready.push(address),
            false => shown.pending = true,
        }
    }
    shown
}

fn bound(
    status: &mut ServiceStatus,
    claimant: &Claimant<'_>,
    class: Option<&str>,
    (ready, total): (Vec<IpAddr>, u64),
    now: Timestamp,
) {
    let entry = |address: &IpAddr| LoadBalancerIngress {
        ip: Some(address.to_string()),
        ip_mode: Some("VIP".into()),
        ..LoadBalancerIngress::default()
    };
    set_ingress(status, ready.iter().map(entry).collect());
    match class {
        Some(class) => set(status, now, condition::CLASS, true, condition::CLASS_BOUND, class.to_owned()),
        None => remove(status, condition::CLASS),
    }
    let all = ready.len() as u64 == total;
    let reason = if all { condition::ALL_IPS_ASSIGNED } else { condition::NOT_ALL_IPS_ASSIGNED };
    let message = format!("{} of {total} public IPs were assigned", ready.len());
    set(status, now, condition::ALL_ASSIGNED, all, reason, message);
    invalid(status, claimant, now);
}

/// Says which addresses the Service has against the rules.
fn adopted(
    status: &mut ServiceStatus,
    service: usize,
    inventory: &Inventory<'_>,
    allocation: &Allocation,
    now: Timestamp,
) {
    let outside: Vec<String> = allocation.outside(service, inventory).iter().map(ToString::to_string).collect();
    let misfits = allocation.misfits.iter().filter(|(misfit, ..)| *misfit == service);
    let mut told: Vec<String> = misfits.map(|(_, _, told)| told.clone()).collect();
    let reason = if outside.is_empty() { condition::SHARED_AGAINST_RULES } else { condition::OUTSIDE_POOLS };
    if !outside.is_empty() {
        told.insert(0, format!("no pool that the Service may use contains {}", outside.join(" or ")));
    }
    if told.is_empty() {
        return remove(status, condition::ADOPTED);
    }
    let message = format!("kept, because the Service had it already: {}", told.join("; "));
    set(status, now, condition::ADOPTED, true, reason, message);
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
        // It may be on its way to another Service.
        Fate::Bound(hold) => {
            hold.claims.iter().any(|claim| claim.namespace == claimant.namespace && claim.name == claimant.name)
        }
        Fate::Untouched => inventory.vips.get(position).is_some_and(Vip::is_bound),
        Fate::Released(_) => false,
    });
    let was_ours = !named.is_empty() && !holds;
    if was_ours {
        let vips = named.iter().filter_map(|&position| inventory.vips.get(position));
        let ours: BTreeSet<String> = vips.map(|vip| vip.address.to_string()).collect();
        // With the record of the binding the whole list is Herald's, lost addresses included.
        let all = recorded(claimant.service).is_some() || has_condition(claimant, condition::ALL_ASSIGNED);
        let ingress = status.load_balancer.as_mut().and_then(|balancer| balancer.ingress.take()).unwrap_or_default();
        let theirs = |entry: &LoadBalancerIngress| !all && entry.ip.as_ref().is_none_or(|ip| !ours.contains(ip));
        set_ingress(status, ingress.into_iter().filter(theirs).collect());
        for type_ in [condition::CLASS, condition::ALL_ASSIGNED, condition::ADOPTED] {
            remove(status, type_);
        }
    }
    match claimant.standing {
        Standing::Unbound => invalid(status, claimant, now),
        Standing::NotOurs if was_ours => remove(status, condition::INVALID),
        Standing::NotOurs | Standing::Frozen | Standing::Class(_) | Standing::Pools => {}
    }
}

fn invalid(status: &mut ServiceStatus, claimant: &Claimant<'_>, now: Timestamp) {
    if claimant.problems.is_empty() {
        return remove(status, condition::INVALID);
    }
    let message = claimant.problems.iter().map(|(_, problem)| problem.to_string()).collect::<Vec<_>>().join("; ");
    set(status, now, condition::INVALID, true, condition::INVALID_VALUE, message);
}

/// An empty list and none are the same to every reader; none is what a store keeps. The object around it stays if it is
/// there: an API server always has it, and taking it away would be a write in every plan.
fn set_ingress(status: &mut ServiceStatus, ingress: Vec<LoadBalancerIngress>) {
    match (ingress.is_empty(), &mut status.load_balancer) {
        (true, Some(there)) => there.ingress = None,
        (true, None) => {}
        (false, _) => status.load_balancer.get_or_insert_default().ingress = Some(ingress),
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

fn has_condition(claimant: &Claimant<'_>, type_: &str) -> bool {
    let conditions = claimant.service.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == type_)
}

impl Allocation {
    /// The addresses of a Service that are from nowhere.
    fn outside(&self, service: usize, inventory: &Inventory<'_>) -> Vec<IpAddr> {
        let places = self.slots.get(service).into_iter().flatten().map(|(_, place)| *place);
        let outside = places.filter_map(|place| match place {
            Place::Has(position) => match self.fate(position) {
                Fate::Bound(hold) => Some((hold, inventory.vips.get(position)?.address)),
                Fate::Untouched | Fate::Released(_) => None,
            },
            Place::New(position) => self.fresh.get(position).map(|fresh| (&fresh.hold, fresh.address)),
        });
        outside.filter(|(hold, _)| hold.home == Home::Adopted).map(|(_, address)| address).collect()
    }

    fn is_empty(&self, service: usize) -> bool {
        self.slots.get(service).is_none_or(std::collections::BTreeMap::is_empty)
    }

    /// What becomes of a VirtualIP.
    pub(super) fn fate(&self, position: usize) -> &Fate {
        self.fates.get(position).unwrap_or(&Fate::Untouched)
    }
}
