//! Filling slots with particular addresses: adopted, taken back, requested.

use std::{collections::HashMap, net::IpAddr};

use lb_api::virtual_ip::{Claim, Family};

use super::{Fate, Home, Ledger, Place};
use crate::controller::{
    Why,
    choice::{Claimant, Standing},
    inventory::Slot,
    wish::Policy,
};

impl Ledger<'_> {
    /// What Services show although no VirtualIP of it exists: from MetalLB, from Deckhouse, or lost. Whoever shows an
    /// address gets it, together with the others who show it. Outside of its pools a Service is adopted only with all
    /// that it has: one that Herald knows already has lost such an address for a reason.
    pub(super) fn adopt(&mut self, claimants: &[Claimant<'_>]) {
        let mut adopted: HashMap<IpAddr, Place> = HashMap::new();
        for (service, claimant) in claimants.iter().enumerate() {
            // Not growth: the Service has it already.
            let shown = if claimant.is_bound() { claimant.shown() } else { Vec::new() };
            if shown.is_empty() {
                continue;
            }
            let holds_nothing = self.slots.get(service).is_some_and(std::collections::BTreeMap::is_empty);
            for address in shown {
                let Some(slot) = self.slot_of_shown(service, claimant, address) else { continue };
                if let Some(&place) = adopted.get(&address) {
                    self.join(place, service, claimant, slot);
                    continue;
                }
                let Some(home) = self.home(claimant, address).or_else(|| {
                    let is_new = holds_nothing && !self.vacated.iter().any(|(vacated, _)| *vacated == service);
                    (is_new && is_unicast(address)).then_some(Home::Adopted)
                }) else {
                    continue;
                };
                if !self.taken.contains(&address) {
                    self.make(address, (service, claimant), slot, home, Why::Shown);
                    adopted.insert(address, Place::New(self.fresh.len() - 1));
                } else if let Some(place) = self.inventory.at(address).map(Place::Has)
                    && self.hold(place).is_some_and(|hold| self.hindrance(service, hold).is_none())
                {
                    self.join(place, service, claimant, slot);
                }
            }
        }
    }

    /// The same namespace, name, index and family takes its address back at once, the one released last first.
    pub(super) fn take_back(&mut self, claimants: &[Claimant<'_>]) {
        for (service, claimant) in claimants.iter().enumerate() {
            if !claimant.is_growing() {
                continue;
            }
            let mut former: Vec<usize> = self.inventory.of(claimant.namespace, claimant.name).to_vec();
            former.retain(|&position| self.is_available(position));
            former.sort_by_key(|&position| std::cmp::Reverse(self.released_at(position)));
            for position in former {
                let Some(vip) = self.inventory.vips.get(position) else { continue };
                let home = self.home(claimant, vip.address).filter(|&home| self.serves(claimant, home));
                let Some(home) = home else { continue };
                let owned = |claim: &&Claim| claim.namespace == claimant.namespace && claim.name == claimant.name;
                let slots = vip.claims().iter().filter(owned).map(Slot::of);
                let asked = claimant.slot_of_request(vip.address);
                let free = slots.filter(|slot| claimant.wish.contains(*slot)).find(|&slot| {
                    !self.is_filled(service, slot)
                        && asked.is_none_or(|asked| asked == slot)
                        && claimant.requested(slot).is_none_or(|address| address == vip.address)
                        && self.is_consistent(service, claimant, slot, home)
                });
                if let Some(slot) = free {
                    self.bind(position, (service, claimant), slot, home, Why::TakenBack);
                }
            }
        }
    }

    /// Requested addresses. One that cannot be had leaves the slot as it is, and says so on the Service.
    pub(super) fn give_requested(&mut self, claimants: &mut [Claimant<'_>]) {
        for (service, claimant) in claimants.iter_mut().enumerate() {
            if !claimant.is_bound() {
                continue;
            }
            for address in requested(claimant) {
                match claimant.slot_of_request(address) {
                    Some(slot) => self.give_one(service, claimant, slot, address),
                    None if claimant.standing == Standing::Pools => {}
                    None if claimant.wish.families.contains(&Family::of(address)) => {
                        let why = format!("the Service has only {} addresses: raise the count", claimant.wish.count);
                        claimant.refuse(address, &why);
                    }
                    None => {}
                }
            }
        }
    }

    fn give_one(&mut self, service: usize, claimant: &mut Claimant<'_>, slot: Slot, address: IpAddr) {
        let current = self.place(service, slot).and_then(|place| self.address(place));
        if current == Some(address) {
            return;
        }
        let Some(home) = self.home(claimant, address) else {
            let why = self.outside(claimant, address);
            return claimant.refuse(address, &why);
        };
        if !claimant.wish.may_grow {
            return;
        }
        if !self.is_consistent(service, claimant, slot, home) {
            return claimant.refuse(address, "both addresses of a dual-stack Service come from one pool");
        }
        match self.inventory.at(address) {
            None if !self.taken.contains(&address) => {
                self.taken.insert(address);
                if self.is_vacant(service, slot) {
                    self.make(address, (service, claimant), slot, home, Why::Requested);
                }
            }
            Some(position) if self.is_available(position) => {
                if self.is_vacant(service, slot) {
                    self.bind(position, (service, claimant), slot, home, Why::Requested);
                }
            }
            // On its way here from another slot of the same Service, or about to be free: the next plan takes it.
            Some(position) if matches!(self.fates.get(position), Some(Fate::Released(_))) => {}
            Some(position) => self.join_requested(service, claimant, slot, (address, Place::Has(position))),
            None => {
                let fresh = self.fresh.iter().position(|fresh| fresh.address == address);
                match fresh {
                    Some(position) => self.join_requested(service, claimant, slot, (address, Place::New(position))),
                    // It stands in the Service's own status beside what it has: the next plan sees it gone from there.
                    None if claimant.shown().contains(&address) => {}
                    None => claimant.refuse(address, "it was given to another Service"),
                }
            }
        }
    }

    fn join_requested(
        &mut self,
        service: usize,
        claimant: &mut Claimant<'_>,
        slot: Slot,
        (address, place): (IpAddr, Place),
    ) {
        let hindrance = match self.hold(place) {
            Some(hold) => self.hindrance(service, hold),
            None => Some("it is not one of Herald's".to_owned()),
        };
        match hindrance {
            None => {
                if self.is_vacant(service, slot) {
                    self.join(place, service, claimant, slot);
                }
            }
            Some(why) => {
                let owner = self.owner(place);
                let asked = self.terms.get(service).is_some_and(|terms| terms.key.is_some());
                let why = if asked { format!("{owner} has it, and {why}") } else { format!("{owner} has it") };
                claimant.refuse(address, &why);
            }
        }
    }

    /// Why a Service cannot have an address of no pool that it may use.
    fn outside(&self, claimant: &Claimant<'_>, address: IpAddr) -> String {
        if let Standing::Class(id) = claimant.standing {
            let title = self.cluster.pool(id).map(|pool| pool.title()).unwrap_or_default();
            return format!("it is not in the pool of {title}");
        }
        let mut pools = self.cluster.pools.iter().filter(|pool| !pool.is_class() && pool.has(address));
        let Some(pool) = pools.next() else {
            return format!("no {} contains it", self.cluster.kinds_of_address_pools());
        };
        let asked = claimant.request.pool.as_ref().map(|asked| asked.name.as_str());
        let asked = asked.filter(|&name| name != pool.name).map(|name| {
            let known = self.cluster.address_pool(name).and_then(|id| self.cluster.pool(id));
            known.map_or_else(|| format!("pool `{name}`"), |pool| pool.title())
        });
        match asked {
            Some(asked) => format!("it is in {}, and the Service asks for {asked}", pool.title()),
            None => {
                format!("{} is not compatible with the Service: its spec.serviceAllocation leaves it out", pool.title())
            }
        }
    }

    /// Whether an index that gets an address from there has both of its addresses from one IPAddressPool.
    pub(super) fn is_consistent(&self, service: usize, claimant: &Claimant<'_>, slot: Slot, home: Home) -> bool {
        if claimant.standing != Standing::Pools {
            return true;
        }
        let other = match slot.family {
            Family::IPv4 => Family::IPv6,
            Family::IPv6 => Family::IPv4,
        };
        let other = self.place(service, Slot { family: other, ..slot }).and_then(|place| self.hold(place));
        other.is_none_or(|hold| hold.home == home || !matches!(hold.home, Home::Pool(_)))
    }

    /// Whether a pool can have all that a Service requires of one index.
    fn serves(&self, claimant: &Claimant<'_>, home: Home) -> bool {
        let Home::Pool(pool) = home else { return true };
        claimant.standing != Standing::Pools
            || claimant.wish.policy != Policy::Require
            || claimant
                .wish
                .families
                .iter()
                .all(|&family| self.cluster.pool(pool).is_some_and(|pool| !pool.of(family).is_empty()))
    }

    /// Whether the slot is empty now. One that has another address is emptied, for the next plan.
    pub(super) fn is_vacant(&mut self, service: usize, slot: Slot) -> bool {
        self.vacate(service, slot);
        !self.vacated.contains(&(service, slot))
    }

    /// Takes a Service out of the address that it has in a slot.
    pub(super) fn vacate(&mut self, service: usize, slot: Slot) {
        let place = self.slots.get_mut(service).and_then(|slots| slots.remove(&slot));
        let Some(place) = place else { return };
        self.vacated.insert((service, slot));
        let left = self.hold_mut(place).is_some_and(|hold| hold.remove(service));
        if let Place::Has(position) = place
            && !left
            && let Some(fate) = self.fates.get_mut(position)
        {
            *fate = Fate::Released(Why::Replaced);
        }
    }

    /// The slot for an address that a Service shows: the one that asks for it, else the lowest that is empty and waits
    /// for no other, else the lowest that is empty: what it waits for may never come.
    fn slot_of_shown(&self, service: usize, claimant: &Claimant<'_>, address: IpAddr) -> Option<Slot> {
        let has = |place: &Place| self.address(*place) == Some(address);
        if self.slots.get(service)?.values().any(has) {
            return None;
        }
        if let Some(slot) = claimant.slot_of_request(address) {
            return (!self.is_filled(service, slot)).then_some(slot);
        }
        let family = Family::of(address);
        if !claimant.wish.families.contains(&family) {
            return None;
        }
        let slots = (0..claimant.wish.count).map(|index| Slot { index, family });
        let mut empty = slots.filter(|&slot| !self.is_filled(service, slot));
        empty.clone().find(|&slot| claimant.requested(slot).is_none()).or_else(|| empty.next())
    }

    pub(super) fn released_at(&self, position: usize) -> Option<jiff::Timestamp> {
        let vip = self.inventory.vips.get(position)?;
        vip.object.spec.released_at.as_ref().map(|time| time.0)
    }

    fn owner(&self, place: Place) -> String {
        let claim = self.hold(place).and_then(|hold| hold.claims.first());
        claim.map_or_else(
            || "a VirtualIP that Herald did not make".to_owned(),
            |claim| format!("Service {}/{}", claim.namespace, claim.name),
        )
    }
}

/// What a host can have: not this one's own, not a group.
const fn is_unicast(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

fn requested(claimant: &Claimant<'_>) -> Vec<IpAddr> {
    let ipv4 = claimant.request.ipv4.iter().map(|&address| IpAddr::from(address));
    ipv4.chain(claimant.request.ipv6.iter().map(|&address| address.into())).collect()
}

impl Claimant<'_> {
    /// Whether the Service may get addresses.
    pub(super) fn is_growing(&self) -> bool {
        self.is_bound() && self.wish.may_grow
    }
}
