//! Addresses that Services may join, and joining.

use std::{collections::HashMap, net::IpAddr};

use lb_api::virtual_ip::Family;

use super::{Fate, Hold, Ledger, Place};
use crate::controller::{Why, choice::Claimant, cluster::PoolId, inventory::Slot};

/// Where Services with sharing keys are. Nobody leaves while a plan is made, so who did not fit at a place once never
/// does.
#[derive(Debug, Default)]
pub(super) struct Register {
    /// By key, in the order of the addresses that exist, then of those that are made.
    places: HashMap<String, Vec<Place>>,
    /// By kind of Service, pool and family: how many of the key's places need not be looked at again.
    seen: HashMap<(u64, PoolId, Family), usize>,
}

impl Ledger<'_> {
    /// Registers all that is kept.
    pub(super) fn register(&mut self) {
        for position in 0..self.fates.len() {
            let Some(Fate::Bound(hold)) = self.fates.get(position) else { continue };
            for holder in hold.holders.clone() {
                self.register_one(holder.service, Place::Has(position));
            }
        }
    }

    pub(super) fn register_one(&mut self, service: usize, place: Place) {
        let Some(key) = self.terms.get(service).and_then(|terms| terms.key.as_ref()) else { return };
        match self.shared.places.get_mut(key) {
            Some(places) if places.last() == Some(&place) => {}
            Some(places) => places.push(place),
            None => {
                self.shared.places.insert(key.clone(), vec![place]);
            }
        }
    }

    /// Why two Services may not be together on an address.
    pub(super) fn obstacle(&self, service: usize, other: usize) -> Option<String> {
        self.terms.get(service).zip(self.terms.get(other)).and_then(|(terms, other)| terms.obstacle(other))
    }

    /// Why a Service may not join those who have an address.
    pub(super) fn hindrance(&self, service: usize, hold: &Hold) -> Option<String> {
        if hold.holders.len() != hold.claims.len() {
            return Some("who has it cannot be judged now".into());
        }
        if hold.holders.iter().any(|holder| holder.service == service) {
            return Some("the Service has it in another place".into());
        }
        hold.holders.iter().find_map(|holder| self.obstacle(service, holder.service))
    }

    /// An address of that pool and family that the Service may join.
    pub(super) fn joinable(&mut self, service: usize, pool: PoolId, family: Family) -> Option<Place> {
        let terms = self.terms.get(service)?;
        let places = self.shared.places.get(terms.key.as_ref()?)?;
        let kind = (terms.kind(), pool, family);
        let start = self.shared.seen.get(&kind).copied().unwrap_or(0);
        let pool = self.cluster.pool(pool)?;
        let fits = |place: Place| {
            let inside = self.address(place).is_some_and(|address| Family::of(address) == family && pool.has(address));
            inside && self.hold(place).is_some_and(|hold| self.hindrance(service, hold).is_none())
        };
        let found = places.iter().enumerate().skip(start).find(|(_, place)| fits(**place));
        let (next, place) = match found {
            // Whoever is of the same kind clashes with the one who joins now, but the Service's other slots do not.
            Some((position, &place)) => (position, Some(place)),
            None => (places.len(), None),
        };
        self.shared.seen.insert(kind, next);
        place
    }

    pub(super) fn join(&mut self, place: Place, service: usize, claimant: &Claimant<'_>, slot: Slot) {
        let Some(mut hold) = self.hold(place).cloned() else { return };
        hold.add(service, claimant, slot);
        self.remember(&mut hold);
        if hold.why == Why::Ranked {
            hold.why = Why::Shared;
        }
        if let Some(there) = self.hold_mut(place) {
            *there = hold;
        }
        self.set(service, slot, place);
        self.register_one(service, place);
    }

    /// Notes what the claims on a shared address were judged on.
    pub(super) fn remember(&self, hold: &mut Hold) {
        if hold.claims.len() < 2 {
            return;
        }
        for holder in &hold.holders {
            if let Some((claim, terms)) = hold.claims.get_mut(holder.claim).zip(self.terms.get(holder.service)) {
                claim.sharing = Some(terms.digest());
            }
        }
    }

    /// Who is together with whom against the rules.
    pub(super) fn misfits(&self, claimants: &[Claimant<'_>]) -> Vec<(usize, IpAddr, String)> {
        let kept = (0..self.fates.len()).map(Place::Has);
        let places = kept.chain((0..self.fresh.len()).map(Place::New));
        let shared = places.filter_map(|place| Some((self.address(place)?, self.hold(place)?)));
        let mut misfits = Vec::new();
        for (address, hold) in shared.filter(|(_, hold)| hold.holders.len() > 1) {
            for service in hold.holders.iter().map(|holder| holder.service) {
                let others = hold.holders.iter().map(|holder| holder.service).filter(|&other| other != service);
                let mut clashes = others.filter_map(|other| Some((other, self.obstacle(service, other)?)));
                if let Some((other, why)) = clashes.next()
                    && let Some(other) = claimants.get(other)
                {
                    let told =
                        format!("{address} is shared with Service {}/{}, and {why}", other.namespace, other.name);
                    misfits.push((service, address, told));
                }
            }
        }
        misfits
    }
}
