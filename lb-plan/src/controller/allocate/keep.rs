//! What is held, and whether it stays.

use std::collections::HashMap;

use lb_api::virtual_ip::Claim;

use super::{Fate, Hold, Home, Ledger, Place};
use crate::controller::{
    Snapshot, Why,
    choice::{Claimant, Standing},
    cluster::Pool,
    inventory::{Slot, Vip},
};

/// What becomes of one claim.
enum Verdict {
    /// It stays, and its Service decides nothing.
    Stays,
    /// It stays in the slot of its Service.
    Holds(Home),
    Goes(Why),
}

/// A claim, with the Service that it names if that is there.
type Found<'c, 'a> = (&'c Claim, Option<(usize, &'c Claimant<'a>)>);

impl Ledger<'_> {
    /// Judges every claim of every bound VirtualIP. A VirtualIP without claims is somebody's own and stays.
    pub(super) fn keep(&mut self, snapshot: &Snapshot, claimants: &[Claimant<'_>]) {
        let by_name: HashMap<(&str, &str), usize> = claimants
            .iter()
            .enumerate()
            .map(|(position, claimant)| ((claimant.namespace, claimant.name), position))
            .collect();
        let inventory = self.inventory;
        for (position, vip) in inventory.vips.iter().enumerate() {
            if vip.is_bound() && !vip.claims().is_empty() {
                let find = |claim: &Claim| {
                    let service = *by_name.get(&(claim.namespace.as_str(), claim.name.as_str()))?;
                    Some((service, claimants.get(service)?))
                };
                let found: Vec<Found<'_, '_>> = vip.claims().iter().map(|claim| (claim, find(claim))).collect();
                let fate = self.judge(position, vip, &found, snapshot);
                if let Some(slot) = self.fates.get_mut(position) {
                    *slot = fate;
                }
            }
        }
    }

    fn judge(&mut self, position: usize, vip: &Vip<'_>, found: &[Found<'_, '_>], snapshot: &Snapshot) -> Fate {
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(found.len());
        for (claim, service) in found {
            verdicts.push(match service {
                None if snapshot.doubts.services.may_exist(&claim.namespace, &claim.name) => Verdict::Stays,
                None => Verdict::Goes(Why::ServiceGone),
                Some((service, claimant)) => self.verdict(vip, claim, *service, claimant),
            });
        }
        if found.len() > 1 {
            self.part(found, &mut verdicts);
        }
        let mut hold = Hold { claims: Vec::new(), holders: Vec::new(), home: Home::Recorded, why: Why::Ranked };
        let mut reason = Why::NotWanted;
        for ((claim, service), verdict) in found.iter().zip(verdicts) {
            match (verdict, service) {
                (Verdict::Goes(why), service) => {
                    reason = why;
                    // Before it is written, the Service itself is looked at.
                    if matches!(why, Why::ServiceGone | Why::NotOurs) {
                        hold.why = why;
                    }
                    if let Some((service, claimant)) = service {
                        self.vacated.insert((*service, Slot::of(claim)));
                        self.lose(vip, *service, claimant, why);
                    }
                }
                (Verdict::Holds(home), Some((service, claimant))) => {
                    let slot = Slot::of(claim);
                    self.set(*service, slot, Place::Has(position));
                    if hold.holders.is_empty() {
                        hold.home = home;
                    }
                    hold.add(*service, claimant, slot);
                }
                (Verdict::Stays | Verdict::Holds(_), _) => hold.claims.push((*claim).clone()),
            }
        }
        if hold.claims.is_empty() {
            return Fate::Released(reason);
        }
        self.remember(&mut hold);
        Fate::Bound(hold)
    }

    fn verdict(&self, vip: &Vip<'_>, claim: &Claim, service: usize, claimant: &Claimant<'_>) -> Verdict {
        match claimant.standing {
            Standing::Frozen => return Verdict::Stays,
            // What it is from may be gone and the Service with it in no doubt; else this address is nobody's business.
            Standing::NotOurs | Standing::Unbound => {
                let settled = self.cluster.is_settled(&vip.object.spec.pool);
                return if settled { Verdict::Goes(Why::NotOurs) } else { Verdict::Stays };
            }
            Standing::Class(_) | Standing::Pools => {}
        }
        let slot = Slot::of(claim);
        if !claimant.wish.contains(slot) {
            return Verdict::Goes(Why::NotWanted);
        }
        let home = match self.home_of(vip, claimant) {
            Ok(home) => home,
            Err(why) => return Verdict::Goes(why),
        };
        let elsewhere = claimant.slot_of_request(vip.address).is_some_and(|asked| asked != slot);
        let occupied = self.place(service, slot).is_some();
        if elsewhere || occupied || self.has_requested(claimant, slot, vip) {
            return Verdict::Goes(Why::Replaced);
        }
        Verdict::Holds(home)
    }

    /// What the address is from now. Nobody loses one for something that cannot be read, or that was never right.
    fn home_of(&self, vip: &Vip<'_>, claimant: &Claimant<'_>) -> Result<Home, Why> {
        let recorded = vip.object.spec.pool.as_str();
        let known = self.cluster.referred(recorded);
        let usable =
            |id: usize| self.cluster.pool(id).is_some_and(|pool| pool.has(vip.address) && claimant.may_use(pool, id));
        if let Some(id) = known.filter(|&id| usable(id)) {
            return Ok(Home::Pool(id));
        }
        if let Some(home) = self.home(claimant, vip.address) {
            return Ok(home);
        }
        if recorded.is_empty() {
            return Ok(Home::Adopted);
        }
        if let Standing::Class(id) = claimant.standing {
            let whole = self.cluster.pool(id).is_some_and(|pool| pool.whole);
            return if whole { Err(Why::OutsidePool) } else { Ok(Home::Pool(id)) };
        }
        let doubts = &self.cluster.snapshot.doubts;
        match known.and_then(|id| self.cluster.pool(id)) {
            // It may still contain the address: one of its entries cannot be read, or all are gone.
            Some(pool) if !pool.whole && !pool.has(vip.address) => Ok(Home::Recorded),
            _ if !doubts.ip_address_pools.is_empty() || !self.cluster.is_settled(recorded) => Ok(Home::Recorded),
            _ => Err(Why::OutsidePool),
        }
    }

    /// Whether another bound VirtualIP is what the Service asked for in this slot, and stands in it.
    fn has_requested(&self, claimant: &Claimant<'_>, slot: Slot, vip: &Vip<'_>) -> bool {
        let asked = claimant.requested(slot).filter(|&asked| asked != vip.address);
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

    /// Lets go who cannot be together with the others any more: those who changed, if they fit no longer.
    fn part(&self, found: &[Found<'_, '_>], verdicts: &mut [Verdict]) {
        let mut kept: Vec<usize> = Vec::new();
        let mut changed: Vec<(usize, usize)> = Vec::new();
        for (index, ((claim, service), verdict)) in found.iter().zip(verdicts.iter()).enumerate() {
            let (Some((service, _)), Verdict::Holds(_)) = (service, verdict) else { continue };
            let same = match (&claim.sharing, self.terms.get(*service)) {
                (Some(judged), Some(terms)) => *judged == terms.digest(),
                (None, _) | (_, None) => true,
            };
            match same {
                true => kept.push(*service),
                false => changed.push((index, *service)),
            }
        }
        for (index, service) in changed {
            match kept.iter().any(|&other| self.obstacle(service, other).is_some()) {
                true => {
                    if let Some(verdict) = verdicts.get_mut(index) {
                        *verdict = Verdict::Goes(Why::SharingBroken);
                    }
                }
                false => kept.push(service),
            }
        }
    }

    fn lose(&mut self, vip: &Vip<'_>, service: usize, claimant: &Claimant<'_>, why: Why) {
        let address = vip.address;
        let told = if why == Why::OutsidePool {
            let from = claimant.class().and_then(|id| self.cluster.pool(id)).map(Pool::title);
            let kinds = || format!("any {} that the Service may use", self.cluster.kinds_of_address_pools());
            let pool = from.unwrap_or_else(kinds);
            format!("{address} is taken away: it is not in {pool} any more")
        } else if why == Why::SharingBroken {
            format!(
                "{address} is taken away: the Service can not share it any more with those that have it as well \
                 (sharing key, ports, externalTrafficPolicy or selector)"
            )
        } else {
            return;
        };
        self.losses.push((service, address, told));
    }
}
