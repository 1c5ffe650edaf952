//! Filling slots with any address: the lowest free one of the first pool that has what is needed, or one that the
//! Service may share.
//!
//! A Service with a class has one pool, and each family is filled for itself. One of IPAddressPools has tiers of pools,
//! and the addresses of one index come from one pool (metallb.md section 3.4): an index that has one of its two families
//! gets the other from the same pool or not at all; of `RequireDualStack` an index whose pool has no such family is
//! emptied, and filled from another.

use lb_api::virtual_ip::Family;

use super::{Home, Ledger, Place};
use crate::controller::{
    Why,
    choice::{Claimant, Standing},
    cluster::PoolId,
    event::Reason,
    inventory::Slot,
    wish::{self, Policy},
};

/// Whose turn it is.
type Turn<'c, 'a> = (usize, &'c Claimant<'a>);

impl Ledger<'_> {
    pub(super) fn give_lowest(&mut self, claimants: &mut [Claimant<'_>]) {
        for (service, claimant) in claimants.iter_mut().enumerate() {
            if !claimant.wish.may_grow {
                continue;
            }
            match claimant.standing {
                Standing::Class(class) => self.give_of_class(service, claimant, class),
                Standing::Pools => self.give_of_pools(service, claimant),
                Standing::NotOurs | Standing::Unbound | Standing::Frozen => {}
            }
        }
    }

    fn give_of_class(&mut self, service: usize, claimant: &mut Claimant<'_>, class: PoolId) {
        for family in claimant.wish.offered.clone() {
            let slots = (0..claimant.wish.count).map(|index| Slot { index, family });
            let lacking = |slot: &Slot| claimant.requested(*slot).is_none() && self.place(service, *slot).is_none();
            let lacking: Vec<Slot> = slots.filter(lacking).collect();
            if !lacking.into_iter().all(|slot| self.give_any((service, claimant), slot, class)) {
                let (family, name) = (wish::word(family), self.cluster.name(class));
                let told = format!(
                    "no {family} address is left in the pool of class `{name}`: add a range to its addressPool"
                );
                claimant.shortages.push((Reason::AllocationFailed, told));
            }
        }
    }

    fn give_of_pools(&mut self, service: usize, claimant: &mut Claimant<'_>) {
        let (mut failed, mut halves) = (false, Vec::new());
        for index in 0..claimant.wish.count {
            let slots: Vec<Slot> = claimant.wish.families.iter().map(|&family| Slot { index, family }).collect();
            let asked = slots.iter().any(|slot| claimant.requested(*slot).is_some());
            let lacking: Vec<Slot> =
                slots.iter().copied().filter(|slot| self.place(service, *slot).is_none()).collect();
            if asked || lacking.is_empty() {
                continue;
            }
            let held = slots.iter().find_map(|slot| self.place(service, *slot));
            match held.and_then(|place| self.home_for(claimant, place)) {
                None => failed |= !self.fill((service, claimant), &slots),
                Some(Home::Pool(pool)) => {
                    for slot in lacking {
                        self.complete((service, claimant), slot, pool, &mut halves);
                    }
                }
                Some(Home::Adopted | Home::Recorded) => {}
            }
        }
        // What is wrong with the Service itself is told already.
        let is_told = claimant.problems.iter().any(|(reason, _)| *reason == Reason::AllocationFailed);
        if failed && !is_told {
            let told = self.shortage(claimant);
            claimant.shortages.push((Reason::AllocationFailed, told));
        }
        claimant.shortages.extend(halves.into_iter().map(|told| (Reason::AdditionalAssignFailed, told)));
    }

    /// What an address is from for one of those who have it. Pools may overlap: who shares an address can have it from
    /// another pool than its owner, whose pool this one may not use.
    fn home_for(&self, claimant: &Claimant<'_>, place: Place) -> Option<Home> {
        let home = self.hold(place)?.home;
        let Home::Pool(id) = home else { return Some(home) };
        let usable = self.cluster.pool(id).is_some_and(|pool| claimant.may_use(pool, id));
        if usable { Some(home) } else { self.home(claimant, self.address(place)?).or(Some(Home::Recorded)) }
    }

    /// The other family of an index, from the pool that it has one of.
    fn complete(&mut self, (service, claimant): Turn<'_, '_>, slot: Slot, pool: PoolId, halves: &mut Vec<String>) {
        let offers = self.cluster.pool(pool).is_some_and(|pool| !pool.of(slot.family).is_empty());
        if offers && self.give_any((service, claimant), slot, pool) {
            return;
        }
        if offers {
            let title = self.cluster.pool(pool).map(|pool| pool.title()).unwrap_or_default();
            let family = wish::word(slot.family);
            halves.push(format!("no {family} address is left in {title} beside the one it has"));
        } else if claimant.wish.policy == Policy::Require {
            for family in [Family::IPv4, Family::IPv6] {
                self.vacate(service, Slot { family, ..slot });
            }
        }
    }

    /// All families of an empty index, from one pool.
    fn fill(&mut self, turn: Turn<'_, '_>, slots: &[Slot]) -> bool {
        let Some((pool, families)) = self.choice(turn.0, turn.1, slots) else { return false };
        // A pair comes from one pool: with one of two about to be emptied, the next plan chooses anew.
        let waits = slots.iter().any(|slot| self.vacated.contains(&(turn.0, *slot)));
        for slot in slots.iter().filter(|slot| families.contains(&slot.family)) {
            if waits {
                self.lowest(pool, slot.family);
            } else {
                self.give_any(turn, *slot, pool);
            }
        }
        true
    }

    /// The pool, and the families that it serves. Free addresses of any pool come before released ones of a better.
    fn choice(&mut self, service: usize, claimant: &Claimant<'_>, slots: &[Slot]) -> Option<(PoolId, Vec<Family>)> {
        let families: Vec<Family> = slots.iter().map(|slot| slot.family).collect();
        for released in [false, true] {
            for tier in &claimant.tiers {
                let mut halves: Vec<Option<PoolId>> = vec![None; families.len()];
                for &pool in tier {
                    let has: Vec<bool> =
                        families.iter().map(|&family| self.has_any(service, pool, family, released)).collect();
                    if has.iter().all(|has| *has) {
                        return Some((pool, families));
                    }
                    for (half, has) in halves.iter_mut().zip(has) {
                        if has && half.is_none() {
                            *half = Some(pool);
                        }
                    }
                }
                let half = halves.into_iter().zip(&families).find_map(|(pool, family)| Some((pool?, vec![*family])));
                if claimant.wish.policy == Policy::Prefer && half.is_some() {
                    return half;
                }
            }
        }
        None
    }

    fn has_any(&mut self, service: usize, pool: PoolId, family: Family, released: bool) -> bool {
        if self.joinable(service, pool, family).is_some() {
            return true;
        }
        let Some(known) = self.cluster.pool(pool) else { return false };
        let cursor = self.cursors.entry((pool, family)).or_default();
        cursor.peek(known.of(family), family, &self.taken).is_some()
            || (released && self.oldest_released(pool, family).is_some())
    }

    /// A slot that this plan empties gets nothing yet, but has its turn: which of two Services gets which address must
    /// not depend on whose release was written before the controller was killed.
    fn give_any(&mut self, (service, claimant): Turn<'_, '_>, slot: Slot, pool: PoolId) -> bool {
        let waits = self.vacated.contains(&(service, slot));
        if let Some(place) = self.joinable(service, pool, slot.family) {
            if !waits {
                self.join(place, service, claimant, slot);
            }
            return true;
        }
        let lowest = self.lowest(pool, slot.family);
        if waits {
            return true;
        }
        let home = Home::Pool(pool);
        if let Some(address) = lowest {
            self.make(address, (service, claimant), slot, home, Why::Wanted);
        } else if let Some(position) = self.oldest_released(pool, slot.family) {
            self.bind(position, (service, claimant), slot, home, Why::PoolFull);
        } else {
            return false;
        }
        true
    }

    fn lowest(&mut self, pool: PoolId, family: Family) -> Option<std::net::IpAddr> {
        let known = self.cluster.pool(pool)?;
        let cursor = self.cursors.entry((pool, family)).or_default();
        cursor.take(known.of(family), family, &mut self.taken)
    }

    fn oldest_released(&mut self, pool: PoolId, family: Family) -> Option<usize> {
        let listed = || self.inventory.vips.iter().filter(|vip| !vip.is_bound()).count();
        self.is_unsure |= self.cluster.rest.is_some_and(|rest| rest.released() > listed());
        let waiting = match self.released.take() {
            Some(waiting) => waiting,
            None => {
                let mut waiting: Vec<usize> = (0..self.inventory.vips.len()).collect();
                waiting.retain(|&position| self.is_available(position));
                waiting.sort_by_key(|&position| (self.released_at(position), position));
                waiting
            }
        };
        let (key, pool) = ((pool, family), self.cluster.pool(pool));
        let address = |position: usize| self.inventory.vips.get(position).map(|vip| vip.address);
        let fits = |&position: &usize| {
            let inside = |address| Family::of(address) == family && pool.is_some_and(|pool| pool.has(address));
            self.is_available(position) && address(position).is_some_and(inside)
        };
        // Nothing is released while a plan is made: who did not fit once never does.
        let start = self.looked_at.get(&key).copied().unwrap_or(0);
        let found = waiting.iter().enumerate().skip(start).find(|(_, position)| fits(position));
        self.looked_at.insert(key, found.map_or(waiting.len(), |(index, _)| index));
        let found = found.map(|(_, &position)| position);
        self.released = Some(waiting);
        found
    }

    /// Why a Service gets no address, in MetalLB's words where it has any.
    fn shortage(&self, claimant: &Claimant<'_>) -> String {
        let families: Vec<&str> = claimant.wish.families.iter().map(|&family| wish::word(family)).collect();
        let both = claimant.wish.policy == Policy::Require;
        let needed = families.join(if both { " and " } else { " or " });
        if let Some(name) = claimant.request.pool.as_ref().map(|pool| pool.name.as_str()) {
            return format!("no available IPs in pool `{name}` for {needed}: add a range to its spec.addresses");
        }
        let kinds = self.cluster.kinds_of_address_pools();
        match claimant.tiers.iter().flatten().next() {
            None => format!("no available IPs: no {kinds} with autoAssign is for this Service"),
            Some(_) if both => format!("no available IPs: no {kinds} that the Service may use has {needed} left"),
            Some(_) => format!("no available IPs: no {needed} address is left in any {kinds} that the Service may use"),
        }
    }
}
