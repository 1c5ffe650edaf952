//! What of a plan's findings is remembered.

use std::collections::BTreeSet;

use super::memory::{self, Name};
use crate::controller::{
    Findings,
    allocate::{Fate, Home, Place},
    cluster::NodeSet,
    steps,
};

/// What was found of the Services of a plan.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    /// How many addresses each that gets some should have and has.
    pub(super) figures: Vec<(Name, (u64, u64))>,
    /// Those that have to be looked at again, whatever changes.
    pub(super) open: BTreeSet<Name>,
    pub(super) domains: Vec<Domain>,
}

/// Groups that are ranked together.
#[derive(Debug)]
pub(super) struct Domain {
    pub(super) nodes: NodeSet,
    pub(super) active: usize,
    /// The Service of each, and its primary among all nodes.
    pub(super) groups: Vec<(Name, usize)>,
}

impl Findings<'_, '_> {
    /// Whether the plan of a part is what it is in the plan of the whole.
    pub(super) fn is_sure(&self) -> bool {
        !self.allocation.is_unsure && !self.rankings.is_crowded
    }

    /// Whether a Service has all that it should have, with nothing to be said.
    fn is_complete(&self, service: usize) -> bool {
        let Some(claimant) = self.claimants.get(service) else { return false };
        let slots = self.allocation.slots.get(service);
        let has = slots.map_or(0, |slots| slots.len()) as u64;
        let is_decided = |place: &Place| match place {
            Place::Has(position) => {
                matches!(self.allocation.fate(*position), Fate::Bound(hold) if hold.home != Home::Recorded)
            }
            Place::New(_) => true,
        };
        claimant.problems.is_empty()
            && claimant.shortages.is_empty()
            && has == claimant.wish.total()
            && slots.into_iter().flat_map(|slots| slots.values()).all(is_decided)
    }
}

pub(super) fn learn(findings: &Findings<'_, '_>) -> Learnt {
    let name = |service: usize| {
        findings.claimants.get(service).map(|claimant| memory::name(claimant.namespace, claimant.name))
    };
    let mut learnt = Learnt::default();
    for (service, claimant) in findings.claimants.iter().enumerate() {
        let counted = steps::wanted_and_assigned(service, claimant, findings.inventory, findings.allocation);
        learnt.figures.extend(name(service).zip(counted));
        if !findings.is_complete(service) {
            learnt.open.extend(name(service));
        }
    }
    let told = findings.allocation.losses.iter().chain(&findings.allocation.misfits);
    learnt.open.extend(told.filter_map(|(service, ..)| name(*service)));
    for domain in &findings.rankings.domains {
        let moved = domain.groups.iter().filter(|(.., kept)| !kept);
        learnt.open.extend(moved.filter_map(|(service, ..)| name(*service)));
        let groups = domain.groups.iter().filter_map(|&(service, primary, _)| Some((name(service)?, primary)));
        learnt.domains.push(Domain { nodes: domain.nodes.clone(), active: domain.active, groups: groups.collect() });
    }
    learnt
}
