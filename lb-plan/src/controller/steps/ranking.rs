//! Who is ranked with whom, and what comes of it.
//!
//! The addresses of one index are one group, and the classes with the same nodes are ranked together: the bound is on
//! what a node carries of all of them.

use std::collections::HashMap;

use lb_api::virtual_ip::Family;

use crate::controller::{
    allocate::{Allocation, Place},
    choice::{Claimant, Standing},
    cluster::Cluster,
    inventory::{Inventory, Slot, Vip},
    rank::{Candidate, Group, rank},
};

/// The rankings of all groups.
#[derive(Debug, Default)]
pub(super) struct Rankings {
    groups: HashMap<(usize, u32), Ranked>,
}

#[derive(Debug)]
struct Ranked {
    key: String,
    nodes: Vec<String>,
}

/// Groups with the same candidates.
struct Domain<'a> {
    candidates: &'a [Candidate],
    /// Service and index of each.
    names: Vec<(usize, u32)>,
    groups: Vec<Group>,
}

impl Rankings {
    pub(super) fn of<'a>(
        cluster: &'a Cluster<'_>,
        claimants: &[Claimant<'_>],
        inventory: &Inventory<'_>,
        allocation: &Allocation,
    ) -> Self {
        let mut domains: Vec<Domain<'a>> = Vec::new();
        for (service, (claimant, slots)) in claimants.iter().zip(&allocation.slots).enumerate() {
            let Standing::Bound(class) = claimant.standing else { continue };
            let Some(class) = cluster.classes.get(class) else { continue };
            let domain = domain(&mut domains, &class.nodes);
            let mut index = None;
            for slot in slots.keys() {
                // Slots are sorted by index: each index once.
                if index != Some(slot.index) {
                    index = Some(slot.index);
                    let members = members(slots, slot.index, inventory);
                    domain.names.push((service, slot.index));
                    domain.groups.push(group(service, claimant, slot.index, &members));
                }
            }
        }
        let mut rankings = Self::default();
        for domain in domains {
            let ranked = rank(domain.candidates, &domain.groups);
            for ((name, group), order) in domain.names.into_iter().zip(domain.groups).zip(ranked) {
                let nodes = order.iter().filter_map(|&node| domain.candidates.get(node));
                let nodes = nodes.map(|candidate| candidate.name.clone()).collect();
                rankings.groups.insert(name, Ranked { key: group.key, nodes });
            }
        }
        rankings
    }

    /// The nodes of an index, best first.
    pub(super) fn nodes(&self, service: usize, index: u32) -> Vec<String> {
        self.groups.get(&(service, index)).map(|ranked| ranked.nodes.clone()).unwrap_or_default()
    }

    /// The key of an index.
    pub(super) fn key(&self, service: usize, index: u32) -> String {
        self.groups.get(&(service, index)).map(|ranked| ranked.key.clone()).unwrap_or_default()
    }
}

fn domain<'d, 'a>(domains: &'d mut Vec<Domain<'a>>, candidates: &'a [Candidate]) -> &'d mut Domain<'a> {
    let position = domains.iter().position(|domain| domain.candidates == candidates).unwrap_or_else(|| {
        domains.push(Domain { candidates, names: Vec::new(), groups: Vec::new() });
        domains.len() - 1
    });
    domains.get_mut(position).expect("found or pushed above")
}

/// The VirtualIPs of an index that exist, IPv4 first.
fn members<'i, 'a>(
    slots: &std::collections::BTreeMap<Slot, Place>,
    index: u32,
    inventory: &'i Inventory<'a>,
) -> Vec<&'i Vip<'a>> {
    let places = [Family::IPv4, Family::IPv6].map(|family| slots.get(&Slot { index, family }));
    let positions = places.into_iter().flatten().filter_map(|place| match place {
        Place::Has(position) => Some(*position),
        Place::New(..) => None,
    });
    positions.filter_map(|position| inventory.vips.get(position)).collect()
}

/// The key is the first address's own, so that it outlives the Service it was made for. The current primary counts
/// only if it was this Service's.
fn group(service: usize, claimant: &Claimant<'_>, index: u32, members: &[&Vip<'_>]) -> Group {
    let ours = members.iter().find(|vip| {
        let named =
            |claim: &lb_api::virtual_ip::Claim| claim.namespace == claimant.namespace && claim.name == claimant.name;
        vip.claims().iter().any(named)
    });
    let key = members.first().map(|vip| vip.object.spec.ranking_key.clone()).filter(|key| !key.is_empty());
    Group {
        service,
        key: key.unwrap_or_else(|| format!("{}/{}#{index}", claimant.namespace, claimant.name)),
        current: ours.and_then(|vip| vip.object.spec.nodes.first().cloned()),
    }
}
