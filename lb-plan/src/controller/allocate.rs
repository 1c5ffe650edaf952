//! Which address stands in which slot of which Service.
//!
//! In this order, the oldest Service first in each: what is held stays if it may; the former owner takes back what it
//! released; requested addresses; addresses that a Service shows although their VirtualIP is gone; the lowest free
//! ones; when the pool is full, the address that was released first.
//!
//! Invariants: an address stands in at most one slot per Service and family, and a slot has at most one address. Two
//! VirtualIPs for one slot (two controllers raced) become one: the requested, else the lower, stays. A slot is filled
//! only by a plan that sees it empty: what replaces an address comes in the plan after its release, because a release
//! can be refused and a slot must never have two.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use lb_api::{
    names::annotation,
    virtual_ip::{Claim, Family},
};

use super::{
    Snapshot, Why,
    choice::{Claimant, Standing},
    cluster::{Class, Cluster},
    inventory::{Inventory, Slot, Vip},
    pool::{Cursor, Taken, number},
};

mod give;

/// Where the address of a slot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A VirtualIP that exists, by its position.
    Has(usize),
    /// A VirtualIP to be created.
    New(IpAddr, Why),
}

/// What becomes of a VirtualIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays as it is.
    Untouched,
    /// It is bound by these claims.
    Bound {
        claims: Vec<Claim>,
        /// The Service that decides the class and ranking, and the slot; without one these stay.
        owner: Option<(usize, Slot)>,
        why: Why,
    },
    /// It is released.
    Released(Why),
}

/// The result.
#[derive(Debug)]
pub(super) struct Allocation {
    /// By VirtualIP.
    pub(super) fates: Vec<Fate>,
    /// By Service.
    pub(super) slots: Vec<BTreeMap<Slot, Place>>,
}

/// Fills the slots of all bound Services.
pub(super) fn allocate(
    snapshot: &Snapshot,
    cluster: &Cluster<'_>,
    claimants: &mut [Claimant<'_>],
    inventory: &Inventory<'_>,
) -> Allocation {
    let mut ledger = Ledger {
        inventory,
        cluster,
        taken: taken(snapshot, inventory),
        fates: vec![Fate::Untouched; inventory.vips.len()],
        slots: vec![BTreeMap::new(); claimants.len()],
        vacated: HashSet::new(),
        cursors: HashMap::new(),
        released: None,
    };
    // Without any class nothing is known: the classes may be on their way.
    if !cluster.classes.is_empty() {
        ledger.keep(snapshot, claimants);
        ledger.take_back(claimants);
        ledger.give_requested(claimants);
        ledger.give_shown(claimants);
        ledger.give_lowest(claimants);
    }
    Allocation { fates: ledger.fates, slots: ledger.slots }
}

/// The allocation in the making.
struct Ledger<'a> {
    inventory: &'a Inventory<'a>,
    cluster: &'a Cluster<'a>,
    /// Every address that must not be created.
    taken: Taken,
    fates: Vec<Fate>,
    slots: Vec<BTreeMap<Slot, Place>>,
    /// Slots that this plan empties.
    vacated: HashSet<(usize, Slot)>,
    cursors: HashMap<(String, Family), Cursor>,
    /// The addresses in quarantine, the one that waits longest first; made when a pool is full.
    released: Option<Vec<usize>>,
}

/// What becomes of one claim.
enum Verdict {
    /// It stays, and its Service decides nothing.
    Stays,
    /// It stays in the slot of this Service.
    Holds(usize),
    Goes(Why),
}

impl Ledger<'_> {
    /// Judges every claim of every bound VirtualIP. A VirtualIP without claims is somebody's own and stays.
    fn keep(&mut self, snapshot: &Snapshot, claimants: &[Claimant<'_>]) {
        let by_name: HashMap<(&str, &str), usize> = claimants
            .iter()
            .enumerate()
            .map(|(position, claimant)| ((claimant.namespace, claimant.name), position))
            .collect();
        for (position, vip) in self.inventory.vips.iter().enumerate() {
            if vip.is_bound() && !vip.claims().is_empty() {
                let fate = self.judge(
                    position,
                    vip,
                    |claim| {
                        let named = (claim.namespace.as_str(), claim.name.as_str());
                        by_name.get(&named).and_then(|&service| Some((service, claimants.get(service)?)))
                    },
                    snapshot,
                );
                if let Some(slot) = self.fates.get_mut(position) {
                    *slot = fate;
                }
            }
        }
    }

    fn judge<'c>(
        &mut self,
        position: usize,
        vip: &Vip<'_>,
        find: impl Fn(&Claim) -> Option<(usize, &'c Claimant<'c>)>,
        snapshot: &Snapshot,
    ) -> Fate {
        let (mut claims, mut owner, mut reason) = (Vec::new(), None, Why::NotWanted);
        for claim in vip.claims() {
            let found = find(claim);
            let verdict = match found {
                None if snapshot.doubts.services.may_exist(&claim.namespace, &claim.name) => Verdict::Stays,
                None => Verdict::Goes(Why::ServiceGone),
                Some((service, claimant)) => self.verdict(vip, claim, service, claimant),
            };
            match (verdict, found) {
                (Verdict::Goes(why), found) => {
                    reason = why;
                    self.vacated.extend(found.map(|(service, _)| (service, Slot::of(claim))));
                }
                (Verdict::Holds(service), Some((_, claimant))) => {
                    let slot = Slot::of(claim);
                    self.set(service, slot, Place::Has(position));
                    owner = owner.or(Some((service, slot)));
                    claims.push(claimant.claim(slot));
                }
                (Verdict::Stays | Verdict::Holds(_), _) => claims.push(claim.clone()),
            }
        }
        match claims.is_empty() {
            true => Fate::Released(reason),
            false => Fate::Bound { claims, owner, why: Why::Ranked },
        }
    }

    fn verdict(&self, vip: &Vip<'_>, claim: &Claim, service: usize, claimant: &Claimant<'_>) -> Verdict {
        let class = match claimant.standing {
            Standing::Frozen => return Verdict::Stays,
            // The class may be gone and the Service with it in no doubt; else this address is nobody's business.
            Standing::NotOurs | Standing::Unbound => {
                let known = self.cluster.classes.contains_key(vip.object.spec.pool.as_str());
                return if known { Verdict::Goes(Why::NotOurs) } else { Verdict::Stays };
            }
            Standing::Bound(name) => self.cluster.classes.get(name),
        };
        let Some(class) = class else { return Verdict::Stays };
        let slot = Slot::of(claim);
        if !claimant.wish.contains(slot) {
            return Verdict::Goes(Why::NotWanted);
        }
        if class.whole && !has(class, vip.address) {
            return Verdict::Goes(Why::OutsidePool);
        }
        let elsewhere = claimant.slot_of_request(vip.address).is_some_and(|asked| asked != slot);
        let occupied = self.slots.get(service).is_some_and(|slots| slots.contains_key(&slot));
        if elsewhere || occupied || self.has_requested(claimant, slot, vip.address) {
            return Verdict::Goes(Why::Replaced);
        }
        Verdict::Holds(service)
    }

    /// Whether another bound VirtualIP is what the Service asked for in this slot, and stands in it.
    fn has_requested(&self, claimant: &Claimant<'_>, slot: Slot, address: IpAddr) -> bool {
        let asked = claimant.requested(slot).filter(|&asked| asked != address);
        asked
            .and_then(|asked| self.inventory.at(asked))
            .and_then(|position| self.inventory.vips.get(position))
            .is_some_and(|vip| {
                let stands = |claim: &Claim| {
                    Slot::of(claim) == slot && claim.namespace == claimant.namespace && claim.name == claimant.name
                };
                vip.is_bound() && vip.claims().iter().any(stands)
            })
    }

    fn set(&mut self, service: usize, slot: Slot, place: Place) {
        if let Some(slots) = self.slots.get_mut(service) {
            slots.insert(slot, place);
        }
    }

    /// Gives a released VirtualIP to a slot.
    fn bind(&mut self, position: usize, service: usize, slot: Slot, claimant: &Claimant<'_>, why: Why) {
        let claims = vec![claimant.claim(slot)];
        if let Some(fate) = self.fates.get_mut(position) {
            *fate = Fate::Bound { claims, owner: Some((service, slot)), why };
        }
        self.set(service, slot, Place::Has(position));
    }

    /// A VirtualIP in quarantine that nobody has got in this plan.
    fn is_available(&self, position: usize) -> bool {
        self.inventory.vips.get(position).is_some_and(|vip| !vip.is_bound())
            && self.fates.get(position) == Some(&Fate::Untouched)
    }
}

impl Claimant<'_> {
    /// The claim by which this Service holds the address of a slot.
    pub(super) fn claim(&self, slot: Slot) -> Claim {
        Claim {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            uid: self.uid.to_owned(),
            index: slot.index,
            family: slot.family,
        }
    }

    /// The address that the user asked for in a slot.
    fn requested(&self, slot: Slot) -> Option<IpAddr> {
        let index = usize::try_from(slot.index).ok()?;
        match slot.family {
            Family::IPv4 => self.request.ipv4.get(index).map(|&address| address.into()),
            Family::IPv6 => self.request.ipv6.get(index).map(|&address| address.into()),
        }
    }

    /// The slot that the user asked for this address in, if there is such a slot.
    fn slot_of_request(&self, address: IpAddr) -> Option<Slot> {
        let index = match address {
            IpAddr::V4(v4) => self.request.ipv4.iter().position(|&asked| asked == v4),
            IpAddr::V6(v6) => self.request.ipv6.iter().position(|&asked| asked == v6),
        };
        let slot = Slot { index: u32::try_from(index?).ok()?, family: Family::of(address) };
        self.wish.contains(slot).then_some(slot)
    }

    fn refuse(&mut self, address: IpAddr, why: &str) {
        self.problems.push(lb_api::Problem {
            field: format!("metadata.annotations[{}]", annotation::DECKHOUSE_IPS),
            message: format!("{address} cannot be given: {why}"),
        });
    }
}

fn has(class: &Class<'_>, address: IpAddr) -> bool {
    class.pool(Family::of(address)).contains(number(address))
}

/// Every address that has a VirtualIP, may have one, or was refused a moment ago.
fn taken(snapshot: &Snapshot, inventory: &Inventory<'_>) -> Taken {
    let doubtful = snapshot.doubts.virtual_ips.cluster_scoped().filter_map(address_of);
    let listed = inventory.vips.iter().map(|vip| vip.address);
    listed.chain(snapshot.refused.iter().copied()).chain(doubtful).collect()
}

/// The inverse of [`lb_api::virtual_ip::name_of`].
fn address_of(name: &str) -> Option<IpAddr> {
    name.parse().ok().or_else(|| name.replace('-', ":").parse().ok())
}
