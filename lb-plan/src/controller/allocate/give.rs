//! Filling the slots that are still empty.

use std::{collections::BTreeSet, net::IpAddr};

use lb_api::virtual_ip::Family;

use super::{Fate, Ledger, Place, has};
use crate::controller::{
    Why,
    choice::{Claimant, Standing},
    cluster::{Class, Cluster},
    inventory::Slot,
    wish,
};

impl Ledger<'_> {
    /// The same namespace, name, index and family takes its address back at once, the one released last first.
    pub(super) fn take_back(&mut self, claimants: &[Claimant<'_>]) {
        for (service, claimant) in claimants.iter().enumerate() {
            let Some((_, class)) = growing(claimant, self.cluster) else { continue };
            let mut former: Vec<usize> = self.inventory.of(claimant.namespace, claimant.name).to_vec();
            former.retain(|&position| self.is_available(position));
            former.sort_by_key(|&position| std::cmp::Reverse(self.released_at(position)));
            for position in former {
                let Some(vip) = self.inventory.vips.get(position).filter(|vip| has(class, vip.address)) else {
                    continue;
                };
                let owned = |claim: &&lb_api::virtual_ip::Claim| {
                    claim.namespace == claimant.namespace && claim.name == claimant.name
                };
                let slots = vip.claims().iter().filter(owned).map(Slot::of);
                let asked = claimant.slot_of_request(vip.address);
                let free = slots.filter(|slot| claimant.wish.contains(*slot)).find(|&slot| {
                    !self.is_filled(service, slot)
                        && asked.is_none_or(|asked| asked == slot)
                        && claimant.requested(slot).is_none_or(|address| address == vip.address)
                });
                if let Some(slot) = free {
                    self.bind(position, service, slot, claimant, Why::TakenBack);
                }
            }
        }
    }

    /// Requested addresses. One that cannot be had leaves the slot as it is, and says so on the Service.
    pub(super) fn give_requested(&mut self, claimants: &mut [Claimant<'_>]) {
        for (service, claimant) in claimants.iter_mut().enumerate() {
            let Standing::Bound(name) = claimant.standing else { continue };
            let Some(class) = self.cluster.classes.get(name) else { continue };
            let addresses: Vec<IpAddr> = requested(claimant);
            for address in addresses {
                match claimant.slot_of_request(address) {
                    Some(slot) => self.give_one(service, claimant, (name, class), slot, address),
                    None if claimant.wish.families.contains(&Family::of(address)) => {
                        let why = format!("the Service has only {} addresses: raise the count", claimant.wish.count);
                        claimant.refuse(address, &why);
                    }
                    None => {}
                }
            }
        }
    }

    fn give_one(
        &mut self,
        service: usize,
        claimant: &mut Claimant<'_>,
        (name, class): (&str, &Class<'_>),
        slot: Slot,
        address: IpAddr,
    ) {
        let existing = self.inventory.at(address);
        let current = self.slots.get(service).and_then(|slots| slots.get(&slot)).copied();
        if existing.is_some_and(|position| current == Some(Place::Has(position))) {
            return;
        }
        if !has(class, address) {
            return claimant.refuse(address, &format!("it is not in the pool of class `{name}`"));
        }
        if !claimant.wish.may_grow {
            return;
        }
        match existing {
            None if !self.taken.contains(&address) => {
                self.taken.insert(address);
                if self.is_vacant(service, slot) {
                    self.set(service, slot, Place::New(address, Why::Requested));
                }
            }
            Some(position) if self.is_available(position) => {
                if self.is_vacant(service, slot) {
                    self.bind(position, service, slot, claimant, Why::Requested);
                }
            }
            // On its way here from another slot of the same Service, or about to be free: the next plan takes it.
            Some(position) if matches!(self.fates.get(position), Some(Fate::Released(_))) => {}
            Some(position) => {
                let owner = self.owner(position);
                claimant.refuse(address, &format!("{owner} has it"));
            }
            None => claimant.refuse(address, "it was given to another Service"),
        }
    }

    /// Whether the slot is empty now. One that has another address is emptied, for the next plan.
    fn is_vacant(&mut self, service: usize, slot: Slot) -> bool {
        let place = self.slots.get_mut(service).and_then(|slots| slots.remove(&slot));
        if let Some(Place::Has(position)) = place {
            if let Some(fate) = self.fates.get_mut(position) {
                *fate = Fate::Released(Why::Replaced);
            }
            self.vacated.insert((service, slot));
        }
        !self.vacated.contains(&(service, slot))
    }

    /// What a Service shows although it has no VirtualIP (lost, or deleted by hand), as far as it is free.
    pub(super) fn give_shown(&mut self, claimants: &[Claimant<'_>]) {
        for (service, claimant) in claimants.iter().enumerate() {
            let Some((_, class)) = growing(claimant, self.cluster) else { continue };
            for address in claimant.shown() {
                let free = has(class, address) && !self.taken.contains(&address);
                if free && let Some(slot) = self.empty(service, claimant, Family::of(address)) {
                    self.taken.insert(address);
                    self.set(service, slot, Place::New(address, Why::Shown));
                }
            }
        }
    }

    pub(super) fn give_lowest(&mut self, claimants: &mut [Claimant<'_>]) {
        for (service, claimant) in claimants.iter_mut().enumerate() {
            let Some((name, class)) = growing(claimant, self.cluster) else { continue };
            for family in claimant.wish.offered.clone() {
                let slots = (0..claimant.wish.count).map(|index| Slot { index, family });
                let lacking = |slot: &Slot| {
                    claimant.requested(*slot).is_none()
                        && self.slots.get(service).is_some_and(|slots| !slots.contains_key(slot))
                };
                let lacking: Vec<Slot> = slots.filter(lacking).collect();
                if !lacking.into_iter().all(|slot| self.give_any(service, claimant, (name, class), slot)) {
                    let family = wish::word(family);
                    claimant.shortages.push(format!(
                        "no {family} address is left in the pool of class `{name}`: add a range to its addressPool"
                    ));
                }
            }
        }
    }

    /// A slot that this plan empties gets nothing yet, but has its turn: which of two Services gets which address must
    /// not depend on whose release was written before the controller was killed.
    fn give_any(
        &mut self,
        service: usize,
        claimant: &Claimant<'_>,
        (name, class): (&str, &Class<'_>),
        slot: Slot,
    ) -> bool {
        let lowest = self.lowest(name, class, slot.family);
        if self.vacated.contains(&(service, slot)) {
            return true;
        }
        if let Some(address) = lowest {
            self.set(service, slot, Place::New(address, Why::Wanted));
        } else if let Some(position) = self.oldest_released(class, slot.family) {
            self.bind(position, service, slot, claimant, Why::PoolFull);
        } else {
            return false;
        }
        true
    }

    fn lowest(&mut self, name: &str, class: &Class<'_>, family: Family) -> Option<IpAddr> {
        let cursor = self.cursors.entry((name.to_owned(), family)).or_default();
        cursor.take(class.pool(family), family, &mut self.taken)
    }

    fn oldest_released(&mut self, class: &Class<'_>, family: Family) -> Option<usize> {
        let waiting = match self.released.take() {
            Some(waiting) => waiting,
            None => {
                let mut waiting: Vec<usize> = (0..self.inventory.vips.len()).collect();
                waiting.retain(|&position| self.is_available(position));
                waiting.sort_by_key(|&position| (self.released_at(position), position));
                waiting
            }
        };
        let address = |position: usize| self.inventory.vips.get(position).map(|vip| vip.address);
        let fits = |&position: &usize| {
            self.is_available(position)
                && address(position).is_some_and(|address| Family::of(address) == family && has(class, address))
        };
        let found = waiting.iter().copied().find(fits);
        self.released = Some(waiting);
        found
    }

    /// The lowest slot of a family that is empty and waits for no requested address.
    fn empty(&self, service: usize, claimant: &Claimant<'_>, family: Family) -> Option<Slot> {
        if !claimant.wish.families.contains(&family) {
            return None;
        }
        let slots = (0..claimant.wish.count).map(|index| Slot { index, family });
        slots.into_iter().find(|&slot| !self.is_filled(service, slot) && claimant.requested(slot).is_none())
    }

    fn is_filled(&self, service: usize, slot: Slot) -> bool {
        self.slots.get(service).is_some_and(|slots| slots.contains_key(&slot))
            || self.vacated.contains(&(service, slot))
    }

    fn released_at(&self, position: usize) -> Option<jiff::Timestamp> {
        let vip = self.inventory.vips.get(position)?;
        vip.object.spec.released_at.as_ref().map(|time| time.0)
    }

    fn owner(&self, position: usize) -> String {
        let claim = match self.fates.get(position) {
            Some(Fate::Bound { claims, .. }) => claims.first(),
            Some(Fate::Untouched | Fate::Released(_)) | None => None,
        };
        claim.map_or_else(
            || "a VirtualIP that Herald did not make".to_owned(),
            |claim| format!("Service {}/{}", claim.namespace, claim.name),
        )
    }
}

/// The class of a Service that may get addresses.
fn growing<'a>(claimant: &Claimant<'_>, cluster: &'a Cluster<'a>) -> Option<(&'a str, &'a Class<'a>)> {
    let Standing::Bound(name) = claimant.standing else { return None };
    let (name, class) = cluster.classes.get_key_value(name)?;
    claimant.wish.may_grow.then_some((*name, class))
}

fn requested(claimant: &Claimant<'_>) -> Vec<IpAddr> {
    let ipv4 = claimant.request.ipv4.iter().map(|&address| IpAddr::from(address));
    ipv4.chain(claimant.request.ipv6.iter().map(|&address| address.into())).collect()
}

impl Claimant<'_> {
    /// The addresses in the Service's status, in their order, each once.
    pub(in crate::controller) fn shown(&self) -> Vec<IpAddr> {
        let mut seen = BTreeSet::new();
        let status = self.service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = status.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
        ingress
            .filter_map(|entry| entry.ip.as_deref()?.parse::<IpAddr>().ok())
            .map(|address| address.to_canonical())
            .filter(|&address| seen.insert(address))
            .collect()
    }
}
