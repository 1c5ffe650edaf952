//! Plans one node, and remembers what it has planned, so that a change costs by what changed.
//!
//! A change of one Service, its VirtualIPs or its EndpointSlices looks at that Service alone. A change of anything else
//! reads the configuration anew and looks at all Services. Either way the plan is the one that a planner without a memory
//! would make.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::core::v1::{Node, Service};
use kube::Resource;
use lb_api::{
    EndpointSlice, IPAddressPool, VirtualIP,
    virtual_ip::{Claim, Phase},
};

use super::{
    PeerPlan, Plan, Problem, ServiceName, Snapshot, Withheld,
    configuration::Configuration,
    listed::{Listed, is_same},
    service::{Claimed, Judged, Parts, judge},
    table::Table,
};

/// A Service with what this node makes of it.
#[derive(Debug, Default)]
struct Known {
    parts: Parts,
    judged: Judged,
}

/// Plans one node.
#[derive(Debug, Default)]
pub struct Planner {
    /// What the configuration was read from; without its Services.
    seen: Snapshot,
    is_configured: bool,
    configuration: Configuration,
    services: Listed<Service>,
    virtual_ips: Listed<VirtualIP>,
    slices: Listed<EndpointSlice>,
    known: HashMap<ServiceName, Known>,
    dirty: BTreeSet<ServiceName>,
    table: Table,
    plan: Plan,
}

impl Planner {
    /// A planner that remembers nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the node wants now.
    pub fn plan(&mut self, snapshot: &Snapshot) -> Plan {
        let older = self.configure(snapshot);
        self.take_up(snapshot);
        if older.is_some() {
            self.dirty.extend(self.known.keys().cloned());
        }
        let mut may_have_other_problems = older.is_some();
        for name in std::mem::take(&mut self.dirty) {
            may_have_other_problems |= self.judge(&name);
        }
        may_have_other_problems |= self.table.settle(&self.configuration);
        if let Some(older) = older {
            self.table.keep(&older);
        }
        self.publish(may_have_other_problems);
        self.plan.clone()
    }

    /// Why a Service with an address is not announced from this node.
    pub fn withheld(&self, service: &ServiceName) -> Option<Withheld> {
        self.known.get(service)?.judged.withheld
    }

    /// Reads the configuration if it changed; the table of the one before.
    fn configure(&mut self, snapshot: &Snapshot) -> Option<Table> {
        let knew_endpoints = self.slices.len() > 0;
        let knows_endpoints = !snapshot.endpoint_slices.is_empty();
        if self.is_configured && is_configuration_same(&self.seen, snapshot) && knew_endpoints == knows_endpoints {
            return None;
        }
        self.is_configured = true;
        self.seen =
            Snapshot { services: Vec::new(), virtual_ips: Vec::new(), endpoint_slices: Vec::new(), ..snapshot.clone() };
        let mut configuration = Configuration::read(snapshot);
        for (name, peer) in &mut configuration.peers {
            if let Some(known) = self.configuration.peers.get(name).filter(|known| *known == peer) {
                *peer = Arc::clone(known);
            }
        }
        self.configuration = configuration;
        // Advertisements are counted anew, so nothing of what was yielded through the old ones can be taken back.
        self.known.values_mut().for_each(|known| known.judged.yields.clear());
        Some(std::mem::take(&mut self.table))
    }

    /// Takes up what changed of Services, VirtualIPs and EndpointSlices.
    fn take_up(&mut self, snapshot: &Snapshot) {
        let (gone, new) = self.services.update(&snapshot.services);
        for service in &gone {
            self.parts(&name_of(service.as_ref()), |parts| parts.service = None);
        }
        for service in &new {
            self.parts(&name_of(service.as_ref()), |parts| parts.service = Some(Arc::clone(service)));
        }
        let (gone, new) = self.virtual_ips.update(&snapshot.virtual_ips);
        for (name, claimed) in gone.iter().flat_map(|vip| claims(vip)) {
            self.parts(&name, |parts| {
                if let Some(position) = parts.claimed.iter().position(|known| *known == claimed) {
                    parts.claimed.remove(position);
                }
            });
        }
        for (name, claimed) in new.iter().flat_map(|vip| claims(vip)) {
            self.parts(&name, |parts| {
                let position = parts.claimed.partition_point(|known| *known < claimed);
                parts.claimed.insert(position, claimed);
            });
        }
        let (gone, new) = self.slices.update(&snapshot.endpoint_slices);
        for slice in &gone {
            let Some(name) = service_of(slice) else { continue };
            self.parts(&name, |parts| {
                if let Some(position) = parts.slices.iter().position(|known| Arc::ptr_eq(known, slice)) {
                    parts.slices.swap_remove(position);
                }
            });
        }
        for slice in &new {
            let Some(name) = service_of(slice) else { continue };
            self.parts(&name, |parts| parts.slices.push(Arc::clone(slice)));
        }
    }

    fn parts(&mut self, name: &ServiceName, change: impl FnOnce(&mut Parts)) {
        match self.known.get_mut(name) {
            Some(known) => change(&mut known.parts),
            None => change(&mut self.known.entry(name.clone()).or_default().parts),
        }
        self.dirty.insert(name.clone());
    }

    /// Judges one Service anew; whether its conflict differs from before.
    fn judge(&mut self, name: &ServiceName) -> bool {
        let Some(known) = self.known.get_mut(name) else { return false };
        let judged = judge(&self.configuration, &known.parts, self.slices.len() > 0);
        self.table.remove(&known.judged.yields);
        self.table.add(&judged.yields);
        let before = std::mem::replace(&mut known.judged, judged);
        let now = &known.judged;
        let differs = before.conflict != now.conflict;
        if before.peers != now.peers {
            let services = Arc::make_mut(&mut self.plan.services);
            match now.peers.is_empty() {
                true => drop(services.remove(name)),
                false => drop(services.insert(name.clone(), Arc::new(now.peers.clone()))),
            }
        }
        if known.parts.service.is_none() && known.parts.claimed.is_empty() && known.parts.slices.is_empty() {
            self.known.remove(name);
        }
        differs
    }

    fn publish(&mut self, may_have_other_problems: bool) {
        let peers: BTreeMap<String, PeerPlan> = self
            .configuration
            .peers
            .iter()
            .map(|(name, peer)| (name.clone(), PeerPlan { peer: Arc::clone(peer), routes: self.table.routes(name) }))
            .collect();
        self.plan.peers = peers;
        self.plan.is_draining = self.configuration.node.is_draining;
        if may_have_other_problems {
            let problems = self.problems();
            if *self.plan.problems != problems {
                self.plan.problems = Arc::new(problems);
            }
        }
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems: BTreeSet<Problem> = self.configuration.problems.iter().cloned().collect();
        problems.extend(self.table.problems(&self.configuration));
        for (name, known) in &self.known {
            let Some((one, other)) = known.judged.conflict else { continue };
            let both = self.configuration.advertisement(one).zip(self.configuration.advertisement(other));
            let Some((one, other)) = both else { continue };
            let preference = |local_pref: Option<u32>| local_pref.unwrap_or_default();
            problems.insert(Problem {
                kind: "Service",
                name: name.to_string(),
                field: "metadata.labels".into(),
                may_pass: false,
                message: format!(
                    "{}: {} and {} have conflicting LOCAL_PREF ({} vs {}), and both select the \
                     Service: write one local preference, or let one of them select it; it is not announced",
                    Withheld::ConflictingAdvertisements.word(),
                    one.origin.title(),
                    other.origin.title(),
                    preference(one.attributes.local_pref),
                    preference(other.attributes.local_pref),
                ),
            });
        }
        problems.into_iter().collect()
    }
}

fn is_configuration_same(seen: &Snapshot, now: &Snapshot) -> bool {
    let node = match (&seen.node_object, &now.node_object) {
        (Some(seen), Some(now)) => Arc::ptr_eq(seen, now) || is_node_same(seen, now),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    node && (&seen.node, &seen.namespace, seen.ignores_exclude_label)
        == (&now.node, &now.namespace, now.ignores_exclude_label)
        && seen.secrets == now.secrets
        && is_same(&seen.peers, &now.peers)
        && is_same(&seen.advertisements, &now.advertisements)
        && is_same(&seen.profiles, &now.profiles)
        && is_same(&seen.communities, &now.communities)
        && are_pools_same(seen, now)
        && is_same(&seen.deckhouse.pools, &now.deckhouse.pools)
        && is_same(&seen.deckhouse.peers, &now.deckhouse.peers)
        && is_same(&seen.deckhouse.configurations, &now.deckhouse.configurations)
}

/// A node's heartbeat changes nothing here.
fn is_node_same(seen: &Node, now: &Node) -> bool {
    let network = |node: &Node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().find(|one| one.type_ == "NetworkUnavailable").map(|one| one.status.clone())
    };
    let cordoned = |node: &Node| node.spec.as_ref().and_then(|spec| spec.unschedulable);
    seen.metadata.labels == now.metadata.labels && cordoned(seen) == cordoned(now) && network(seen) == network(now)
}

/// A pool's counters change with every Service, and nothing here reads them.
fn are_pools_same(seen: &Snapshot, now: &Snapshot) -> bool {
    let same = |(seen, now): (&Arc<IPAddressPool>, &Arc<IPAddressPool>)| {
        let names = |pool: &IPAddressPool| (pool.metadata.namespace.clone(), pool.metadata.name.clone());
        Arc::ptr_eq(seen, now)
            || (seen.spec == now.spec && seen.metadata.labels == now.metadata.labels && names(seen) == names(now))
    };
    seen.pools.len() == now.pools.len() && seen.pools.iter().zip(&now.pools).all(same)
}

fn name_of<K: Resource>(object: &K) -> ServiceName {
    let metadata = object.meta();
    ServiceName {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

fn service_of(slice: &EndpointSlice) -> Option<ServiceName> {
    let (namespace, name) = slice.service_name()?;
    Some(ServiceName { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// Whom a VirtualIP gives its address to.
fn claims(vip: &VirtualIP) -> Vec<(ServiceName, Claimed)> {
    let spec = &vip.spec;
    let Some(address) = spec.address.parse().ok().filter(|_| spec.phase == Phase::Bound) else { return Vec::new() };
    let claim = |claim: &Claim| {
        let name = ServiceName { namespace: claim.namespace.clone(), name: claim.name.clone() };
        (name, Claimed { address, uid: claim.uid.clone(), pool: spec.pool.clone() })
    };
    spec.claims.iter().map(claim).collect()
}
