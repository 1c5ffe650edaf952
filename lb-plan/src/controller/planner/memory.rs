//! What is remembered between two plans.
//!
//! Invariant: all that is here is of the objects that the last plan was made on, with the changes since then; loads and
//! figures are those that the last plan found.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice, events::v1::Event};
use kube::Resource;
use lb_api::{
    ConfigurationState, IPAddressPool, VirtualIP, service,
    virtual_ip::{Family, Phase},
};

use super::{Change, Changes, circle::Circle, learn::Learnt};
use crate::controller::{
    Figures, Snapshot,
    choice::shown_by,
    cluster::{NodeSet, service_of},
    event,
    rank::{Others, is_over_bound},
};

/// A Service's namespace and name.
pub(in crate::controller) type Name = (String, String);

/// See the module.
#[derive(Debug, Default)]
pub(in crate::controller) struct Memory {
    /// Without the kinds that are kept below.
    base: Snapshot,
    services: HashMap<Name, Arc<Service>>,
    /// By sharing key.
    sharers: HashMap<String, BTreeSet<Name>>,
    /// Who shows an address, of the Services that are of the type.
    showers: HashMap<IpAddr, BTreeSet<Name>>,
    vips: HashMap<IpAddr, Arc<VirtualIP>>,
    /// The addresses of the VirtualIPs that name a Service.
    named: HashMap<Name, BTreeSet<IpAddr>>,
    /// How many are bound in each family, by what they say they are from.
    assigned: HashMap<String, (i64, i64)>,
    released: usize,
    /// By the Service, then by their own names.
    slices: HashMap<Name, BTreeMap<String, Arc<EndpointSlice>>>,
    slice_count: usize,
    told: HashSet<Name>,
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
        self.told.contains(&(namespace.to_owned(), name.to_owned()))
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
        self.named.get(name).into_iter().flatten().copied()
    }

    pub(super) fn with_key(&self, key: &str) -> impl Iterator<Item = &Name> {
        self.sharers.get(key).into_iter().flatten()
    }

    pub(super) fn shows(&self, address: &IpAddr) -> impl Iterator<Item = &Name> {
        self.showers.get(address).into_iter().flatten()
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

    /// Takes changes, and gives the Services that they are about; `None` if one is not as it is known here.
    pub(super) fn take(&mut self, changes: Changes) -> Option<Vec<Name>> {
        let mut about = Vec::new();
        for Change { before, now } in changes.services {
            if let Some(service) = &before {
                about.push(name_of(service.as_ref()));
                self.remove_service(service)?;
            }
            if let Some(service) = now {
                about.push(name_of(service.as_ref()));
                self.add_service(service);
            }
        }
        for Change { before, now } in changes.virtual_ips {
            for vip in before.iter().chain(&now) {
                about.extend(vip.spec.claims.iter().map(|claim| (claim.namespace.clone(), claim.name.clone())));
                about.extend(address_of(vip).iter().flat_map(|address| self.shows(address)).cloned());
            }
            if let Some(vip) = &before {
                self.remove_vip(vip)?;
            }
            if let Some(vip) = now {
                self.add_vip(vip);
            }
        }
        for Change { before, now } in changes.endpoint_slices {
            for (namespace, name) in before.iter().chain(&now).filter_map(|slice| service_of(slice)) {
                about.push((namespace.to_owned(), name.to_owned()));
            }
            let knew = self.knows_endpoints();
            if let Some(slice) = before {
                self.remove_slice(&slice);
            }
            if let Some(slice) = now {
                self.add_slice(slice);
            }
            // With the first one something is known of all, with the last one of none.
            if knew != self.knows_endpoints() {
                return None;
            }
        }
        for Change { before, now } in changes.events {
            if let Some(event) = before {
                self.told.remove(&name_of(event.as_ref()));
            }
            if let Some(event) = now {
                self.add_event(&event);
            }
        }
        for change in changes.ip_address_pools {
            self.put_pool(change)?;
        }
        for change in changes.configuration_states {
            self.put_state(change);
        }
        Some(about)
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
        part.endpoint_slices = slices.flat_map(BTreeMap::values).cloned().collect();
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
            self.figures.services += 1;
            self.figures.wanted += wanted;
            self.figures.assigned += assigned;
            self.counted.insert(name, (wanted, assigned));
        }
        self.open.extend(learnt.open);
        for found in learnt.domains {
            let number = match self.domain_numbers.get(&found.nodes) {
                Some(&number) => number,
                None => {
                    self.domain_numbers.insert(found.nodes, self.domains.len());
                    self.domains.push(Domain::default());
                    self.domains.len() - 1
                }
            };
            let Some(domain) = self.domains.get_mut(number) else { continue };
            domain.active = found.active;
            domain.groups += found.groups.len();
            for (name, primary) in found.groups {
                *domain.load.entry(primary).or_insert(0) += 1;
                self.placed.entry(name).or_default().push((number, primary));
            }
        }
    }

    fn add_service(&mut self, service: Arc<Service>) {
        let name = name_of(service.as_ref());
        if let Some(key) = service::of(&service).sharing_key {
            self.sharers.entry(key).or_default().insert(name.clone());
        }
        for address in shown(&service) {
            self.showers.entry(address).or_default().insert(name.clone());
        }
        self.services.insert(name, service);
    }

    fn remove_service(&mut self, service: &Service) -> Option<()> {
        let name = name_of(service);
        let known = self.services.remove(&name)?;
        if let Some(key) = service::of(&known).sharing_key {
            take_out(&mut self.sharers, &key, &name);
        }
        for address in shown(&known) {
            take_out(&mut self.showers, &address, &name);
        }
        is_version(known.as_ref(), service)
    }

    fn add_vip(&mut self, vip: Arc<VirtualIP>) {
        let Some(address) = address_of(&vip) else { return };
        for claim in &vip.spec.claims {
            self.named.entry((claim.namespace.clone(), claim.name.clone())).or_default().insert(address);
        }
        self.count(&vip, address, 1);
        self.released += usize::from(vip.spec.phase != Phase::Bound);
        self.vips.insert(address, vip);
    }

    fn remove_vip(&mut self, vip: &VirtualIP) -> Option<()> {
        let Some(address) = address_of(vip) else { return Some(()) };
        let known = self.vips.remove(&address)?;
        for claim in &known.spec.claims {
            take_out(&mut self.named, &(claim.namespace.clone(), claim.name.clone()), &address);
        }
        self.count(&known, address, -1);
        self.released -= usize::from(known.spec.phase != Phase::Bound);
        is_version(known.as_ref(), vip)
    }

    fn count(&mut self, vip: &VirtualIP, address: IpAddr, by: i64) {
        if vip.spec.phase == Phase::Bound {
            let (ipv4, ipv6) = self.assigned.entry(vip.spec.pool.clone()).or_default();
            match Family::of(address) {
                Family::IPv4 => *ipv4 += by,
                Family::IPv6 => *ipv6 += by,
            }
        }
    }

    fn add_slice(&mut self, slice: Arc<EndpointSlice>) {
        self.slice_count += 1;
        if let Some((namespace, name)) = service_of(&slice) {
            let of = self.slices.entry((namespace.to_owned(), name.to_owned())).or_default();
            of.insert(slice.metadata.name.clone().unwrap_or_default(), slice);
        }
    }

    fn remove_slice(&mut self, slice: &EndpointSlice) {
        self.slice_count -= 1;
        if let Some((namespace, name)) = service_of(slice)
            && let Some(of) = self.slices.get_mut(&(namespace.to_owned(), name.to_owned()))
        {
            of.remove(slice.metadata.name.as_deref().unwrap_or_default());
        }
    }

    fn add_event(&mut self, event: &Event) {
        if event::is_own(event) {
            self.told.insert(name_of(event));
            self.note_deadline(event::end(event));
        }
    }

    /// A pool may differ in its status.
    fn put_pool(&mut self, change: Change<IPAddressPool>) -> Option<()> {
        let (before, now) = (change.before?, change.now?);
        let mut same = IPAddressPool::clone(&before);
        same.status = now.status;
        same.metadata.resource_version.clone_from(&now.metadata.resource_version);
        same.metadata.generation = now.metadata.generation;
        let listed =
            self.base.ip_address_pools.iter_mut().find(|pool| name_of(pool.as_ref()) == name_of(now.as_ref()))?;
        is_version(listed.as_ref(), before.as_ref())?;
        (same == *now).then(|| *listed = now)
    }

    fn put_state(&mut self, change: Change<ConfigurationState>) {
        let states = &mut self.base.configuration_states;
        if let Some(before) = change.before {
            states.retain(|state| name_of(state.as_ref()) != name_of(before.as_ref()));
        }
        states.extend(change.now);
    }
}

fn name_of<K: Resource>(object: &K) -> Name {
    let metadata = object.meta();
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// `Some` if both are the same version.
fn is_version<K: Resource>(known: &K, other: &K) -> Option<()> {
    (known.meta().resource_version == other.meta().resource_version).then_some(())
}

fn address_of(vip: &VirtualIP) -> Option<IpAddr> {
    vip.spec.address.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// What keeps others away from addresses.
fn shown(service: &Service) -> Vec<IpAddr> {
    let is_of_type = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    if is_of_type { shown_by(service) } else { Vec::new() }
}

fn take_out<K: std::hash::Hash + Eq, V: Ord>(of: &mut HashMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(values) = of.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            of.remove(key);
        }
    }
}
