//! What is remembered between two plans.
//!
//! Invariant: all that is here is of the objects that the last plan was made on, with the changes since then; loads and
//! figures are those that the last plan found.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use lb_api::{EndpointSlice, VirtualIP};

use super::{circle::Circle, learn::Learnt};
use crate::controller::{
    Figures, Snapshot,
    cluster::NodeSet,
    rank::{Others, is_over_bound},
};

mod few;
mod objects;

use few::Few;

/// A Service's namespace and name. Kept once, wherever it stands.
pub(in crate::controller) type Name = Arc<(String, String)>;

pub(in crate::controller) fn name(namespace: &str, name: &str) -> Name {
    Arc::new((namespace.to_owned(), name.to_owned()))
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::controller) struct Memory {
    /// Without the kinds that are kept below.
    base: Snapshot,
    /// Every name that stands below, and some that stood there.
    names: HashSet<Name>,
    services: HashMap<Name, Arc<Service>>,
    /// By sharing key.
    sharers: HashMap<String, Few<Name>>,
    /// Who shows an address, of the Services that are of the type.
    showers: HashMap<IpAddr, Few<Name>>,
    /// Who asks for an address.
    askers: HashMap<IpAddr, Few<Name>>,
    vips: HashMap<IpAddr, Arc<VirtualIP>>,
    /// The addresses of the VirtualIPs that name a Service.
    named: HashMap<Name, Few<IpAddr>>,
    /// How many are bound in each family, by what they say they are from.
    assigned: HashMap<String, (i64, i64)>,
    released: usize,
    /// By the Service, in the order of their own names.
    slices: HashMap<Name, Vec<Arc<EndpointSlice>>>,
    slice_count: usize,
    /// Namespace, `/` and name.
    told: HashSet<Box<str>>,
    domains: Vec<Domain>,
    domain_numbers: HashMap<NodeSet, usize>,
    /// Where the groups of a Service are: domain and primary.
    placed: HashMap<Name, Vec<(usize, usize)>>,
    /// Wanted and assigned.
    counted: HashMap<Name, (u64, u64)>,
    figures: Figures,
    open: BTreeSet<Name>,
    deadline: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Domain {
    active: usize,
    groups: usize,
    load: HashMap<usize, usize>,
}

/// What a plan of a part asks.
impl Memory {
    pub(in crate::controller) fn has(&self, address: &IpAddr) -> bool {
        self.vips.contains_key(address)
    }

    pub(in crate::controller) fn is_shown(&self, address: &IpAddr) -> bool {
        self.showers.contains_key(address)
    }

    pub(in crate::controller) const fn released(&self) -> usize {
        self.released
    }

    pub(in crate::controller) const fn knows_endpoints(&self) -> bool {
        self.slice_count > 0
    }

    pub(in crate::controller) fn assigned(&self, reference: &str) -> (i64, i64) {
        self.assigned.get(reference).copied().unwrap_or_default()
    }

    pub(in crate::controller) fn has_told(&self, (namespace, name): (&str, &str)) -> bool {
        self.told.contains(format!("{namespace}/{name}").as_str())
    }

    /// The groups that these nodes carry.
    pub(in crate::controller) fn others(&self, nodes: &NodeSet) -> Others {
        let domain = self.domain_numbers.get(nodes).and_then(|&number| self.domains.get(number));
        let Some(domain) = domain.filter(|domain| domain.groups > 0) else { return Others::default() };
        let load = nodes.iter().map(|(node, _)| domain.load.get(node).copied().unwrap_or(0));
        Others { groups: domain.groups, load: load.collect() }
    }
}

/// What a circle is drawn by.
impl Memory {
    pub(super) fn service(&self, name: &Name) -> Option<&Service> {
        self.services.get(name).map(AsRef::as_ref)
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Name> {
        self.open.iter()
    }

    pub(super) fn named(&self, name: &Name) -> impl Iterator<Item = IpAddr> {
        self.named.get(name).into_iter().flat_map(Few::iter).copied()
    }

    pub(super) fn with_key(&self, key: &str) -> impl Iterator<Item = &Name> {
        self.sharers.get(key).into_iter().flat_map(Few::iter)
    }

    pub(super) fn asks_for(&self, address: &IpAddr) -> impl Iterator<Item = &Name> {
        self.askers.get(address).into_iter().flat_map(Few::iter)
    }

    pub(super) fn shows(&self, address: &IpAddr) -> impl Iterator<Item = &Name> {
        self.showers.get(address).into_iter().flat_map(Few::iter)
    }

    pub(super) fn vip(&self, address: &IpAddr) -> Option<&Arc<VirtualIP>> {
        self.vips.get(address)
    }
}

impl Memory {
    /// Of what the whole was planned on.
    pub(super) fn new(mut snapshot: Snapshot) -> Self {
        let mut memory = Self::default();
        for service in std::mem::take(&mut snapshot.services) {
            memory.add_service(service);
        }
        for vip in std::mem::take(&mut snapshot.virtual_ips) {
            memory.add_vip(vip);
        }
        for slice in std::mem::take(&mut snapshot.endpoint_slices) {
            memory.add_slice(slice);
        }
        for event in std::mem::take(&mut snapshot.events) {
            memory.add_event(&event);
        }
        memory.base = snapshot;
        memory
    }

    pub(super) const fn set_deadline(&mut self, found: Option<Timestamp>) {
        self.deadline = found;
    }

    /// The earliest deadline; one that was found is kept until it has come.
    pub(super) fn note_deadline(&mut self, found: Option<Timestamp>) -> Option<Timestamp> {
        self.deadline = self.deadline.into_iter().chain(found).min();
        self.deadline
    }

    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    pub(super) const fn figures(&self) -> Figures {
        Figures { released: self.released, ..self.figures }
    }

    /// Takes the Services of a circle out of the loads and figures, and says which domains these are of.
    pub(super) fn lift(&mut self, circle: &Circle) -> Option<BTreeSet<usize>> {
        let mut touched = BTreeSet::new();
        for name in &circle.names {
            self.open.remove(name);
            if let Some((wanted, assigned)) = self.counted.remove(name) {
                self.figures.services -= 1;
                self.figures.wanted -= wanted;
                self.figures.assigned -= assigned;
            }
            for (number, primary) in self.placed.remove(name).unwrap_or_default() {
                let domain = self.domains.get_mut(number)?;
                domain.groups -= 1;
                *domain.load.get_mut(&primary)? -= 1;
                touched.insert(number);
            }
        }
        Some(touched)
    }

    /// Whether a node of these domains is over its bound, so that somebody might have to move.
    pub(super) fn is_crowded(&self, domains: &BTreeSet<usize>) -> bool {
        let mut domains = domains.iter().filter_map(|&number| self.domains.get(number));
        domains.any(|domain| is_over_bound(domain.groups, domain.active, domain.load.values().copied()))
    }

    /// Everything of a circle; the base goes with it until it is put back.
    pub(super) fn part(&mut self, circle: &Circle, now: Timestamp) -> Snapshot {
        let mut part = std::mem::take(&mut self.base);
        part.now = now;
        part.services = circle.names.iter().filter_map(|name| self.services.get(name)).cloned().collect();
        part.virtual_ips = circle.vips.values().cloned().collect();
        let slices = circle.names.iter().filter_map(|name| self.slices.get(name));
        part.endpoint_slices = slices.flatten().cloned().collect();
        part
    }

    pub(super) fn put_back(&mut self, mut part: Snapshot) {
        part.services.clear();
        part.virtual_ips.clear();
        part.endpoint_slices.clear();
        self.base = part;
    }

    /// Adds what a plan found of Services of which nothing is remembered.
    pub(super) fn add(&mut self, learnt: Learnt) {
        for (name, (wanted, assigned)) in learnt.figures {
            let name = self.known(name);
            self.figures.services += 1;
            self.figures.wanted += wanted;
            self.figures.assigned += assigned;
            self.counted.insert(name, (wanted, assigned));
        }
        for name in learnt.open {
            let name = self.known(name);
            self.open.insert(name);
        }
        for found in learnt.domains {
            let number = match self.domain_numbers.get(&found.nodes) {
                Some(&number) => number,
                None => {
                    self.domain_numbers.insert(found.nodes, self.domains.len());
                    self.domains.push(Domain::default());
                    self.domains.len() - 1
                }
            };
            for (name, _) in &found.groups {
                let name = self.known(Arc::clone(name));
                self.placed.entry(name).or_default();
            }
            let Some(domain) = self.domains.get_mut(number) else { continue };
            domain.active = found.active;
            domain.groups += found.groups.len();
            for (name, primary) in found.groups {
                *domain.load.entry(primary).or_insert(0) += 1;
                let placed = self.placed.entry(name).or_default();
                placed.reserve_exact(1);
                placed.push((number, primary));
            }
        }
    }
}
