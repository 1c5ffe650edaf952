//! What the controller writes: from everything it sees to the steps that make it right.
//!
//! ```text
//! Nodes, pools ────► cluster: pools, who may hold ─┐
//! Services ────────► choice: whose, which pools ───┤
//!                    wish: count, families ────────┼─► allocate: slots and addresses ─► rank ─► steps
//! VirtualIPs ──────► inventory: who has what ──────┘                                     status ─┘
//! ```
//!
//! Pure, level-triggered: [`plan`] looks at a [`Snapshot`] and says what differs from what should be. Planning again
//! after every step was applied yields nothing; after some were, the rest. So a controller that dies between any two
//! steps loses nothing, and one that restarts moves nothing.
//!
//! What is never cleared in doubt:
//! * Without any class object nothing from a class is released, and without any IPAddressPool nothing from one; without
//!   either nothing is deleted: they may be on their way.
//! * What a Service shows when Herald first sees it is adopted, outside pools and shared against the rules included.
//! * A Service whose recorded class is gone keeps its addresses and their rankings as they are, and gets no more.
//! * A Service or Node that may stand in a document that cannot be read counts as there. While an EndpointSlice that was
//!   made for a Service cannot be read, who is ranked for its addresses stays.
//! * A pool whose entries are not all usable, or that is empty, takes no address from anybody. An address that a whole
//!   and readable pool does not contain any more is given back and replaced: this is an edit that the controller has
//!   seen, and judging it by the class alone gives the same result after a restart.
//!
//! A Service shows an address only after its VirtualIP is written, and stops showing it before the VirtualIP is
//! released. The order of the steps is that of [`Action`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{Namespace, Node, Service},
    events::v1::Event,
};
use lb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, ConfigurationState, EndpointSlice, IPAddressPool,
    L2Advertisement, MetalLoadBalancerClass, VirtualIP,
};

use crate::bgp;

pub use planner::{Change, Changes, Planner};

pub mod admission;
mod allocate;
mod announced;
mod choice;
mod cluster;
mod event;
mod inventory;
mod planner;
mod pool;
mod problems;
pub mod rank;
mod report;
mod sharing;
mod status;
mod steps;
mod wish;

/// Everything that the controller knows at a moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All Services.
    pub services: Vec<Arc<Service>>,
    /// All Nodes.
    pub nodes: Vec<Arc<Node>>,
    /// All classes.
    pub classes: Vec<Arc<MetalLoadBalancerClass>>,
    /// All VirtualIPs.
    pub virtual_ips: Vec<Arc<VirtualIP>>,
    /// All IPAddressPools; those outside the configuration namespace hear that they are not read.
    pub ip_address_pools: Vec<Arc<IPAddressPool>>,
    /// All L2Advertisements; those outside the configuration namespace hear that they are not read.
    pub l2_advertisements: Vec<Arc<L2Advertisement>>,
    /// What is announced with BGP. Judged here, and told; the agents plan it.
    pub bgp: BgpObjects,
    /// All ConfigurationStates.
    pub configuration_states: Vec<Arc<ConfigurationState>>,
    /// All Namespaces.
    pub namespaces: Vec<Arc<Namespace>>,
    /// All EndpointSlices. None at all means that nothing is known of endpoints.
    pub endpoint_slices: Vec<Arc<EndpointSlice>>,
    /// All Events, the controller's own among them.
    pub events: Vec<Arc<Event>>,
    /// How the controller was started.
    pub configuration: Configuration,
    /// What may exist besides.
    pub doubts: Doubts,
    /// Addresses whose creation was refused a moment ago although no VirtualIP of theirs is listed.
    pub refused: BTreeSet<IpAddr>,
    /// The time.
    pub now: Timestamp,
    /// How long a released address is kept for its former owner.
    pub quarantine: Duration,
}

/// The objects of BGP.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BgpObjects {
    /// All BGPPeers.
    pub peers: Vec<Arc<BGPPeer>>,
    /// All BGPAdvertisements.
    pub advertisements: Vec<Arc<BGPAdvertisement>>,
    /// All BFDProfiles.
    pub profiles: Vec<Arc<BFDProfile>>,
    /// All Communities.
    pub communities: Vec<Arc<Community>>,
    /// Deckhouse's kinds.
    pub deckhouse: bgp::Deckhouse,
}

impl Snapshot {
    /// The objects of BGP with the Nodes and pools that they are judged by.
    pub fn bgp_objects(&self) -> bgp::Objects<'_> {
        bgp::Objects {
            namespace: &self.configuration.namespace,
            peers: &self.bgp.peers,
            advertisements: &self.bgp.advertisements,
            profiles: &self.bgp.profiles,
            communities: &self.bgp.communities,
            pools: &self.ip_address_pools,
            deckhouse: &self.bgp.deckhouse,
            nodes: &self.nodes,
        }
    }
}

/// How the controller was started, as far as decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Where MetalLB's objects are read from.
    pub namespace: String,
    /// `--lb-class`: of the Services that name no MetalLoadBalancerClass only those with this `spec.loadBalancerClass`
    /// are Herald's. Unset: only those without one.
    pub lb_class: Option<String>,
    /// Whether users' objects can be annotated: an API server can, a directory cannot.
    pub annotates: bool,
    /// Whether MetalLB's objects count. If not, they are neither read nor written about: MetalLB runs beside Herald.
    pub reads_metallb: bool,
}

impl Default for Configuration {
    fn default() -> Self {
        Self { namespace: "metallb-system".into(), lb_class: None, annotates: false, reads_metallb: true }
    }
}

/// What may exist although it is not listed, by kind.
#[derive(Debug, Clone, Default)]
pub struct Doubts {
    /// Services.
    pub services: Doubt,
    /// Nodes.
    pub nodes: Doubt,
    /// Classes.
    pub classes: Doubt,
    /// VirtualIPs.
    pub virtual_ips: Doubt,
    /// IPAddressPools.
    pub ip_address_pools: Doubt,
    /// L2Advertisements.
    pub l2_advertisements: Doubt,
    /// Namespaces.
    pub namespaces: Doubt,
    /// EndpointSlices.
    pub endpoint_slices: Doubt,
}

impl Doubts {
    /// Whether nothing is in doubt.
    pub fn is_none(&self) -> bool {
        let Self {
            services,
            nodes,
            classes,
            virtual_ips,
            ip_address_pools,
            l2_advertisements,
            namespaces,
            endpoint_slices,
        } = self;
        let first = [services, nodes, classes, virtual_ips].into_iter().all(Doubt::is_empty);
        first && [ip_address_pools, l2_advertisements, namespaces, endpoint_slices].into_iter().all(Doubt::is_empty)
    }
}

/// What may exist although it is not listed, because its document cannot be read.
#[derive(Debug, Clone, Default)]
pub struct Doubt {
    /// By namespace (empty if there is none), then name.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Doubt {
    /// Adds an object.
    pub fn insert(&mut self, namespace: impl Into<String>, name: impl Into<String>) {
        self.names.entry(namespace.into()).or_default().insert(name.into());
    }

    /// Whether the object, which is not listed, may exist.
    pub fn may_exist(&self, namespace: &str, name: &str) -> bool {
        self.names.get(namespace).is_some_and(|names| names.contains(name))
    }

    /// Whether nothing is in doubt.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether an object of that namespace may exist whose name was made of this one, as Kubernetes does it.
    fn may_be_made_of(&self, namespace: &str, name: &str) -> bool {
        let mut names = self.names.get(namespace).into_iter().flatten();
        names.any(|other| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')))
    }

    /// The cluster-scoped objects.
    fn cluster_scoped(&self) -> impl Iterator<Item = &str> {
        self.names.get("").into_iter().flatten().map(String::as_str)
    }
}

/// What has to be done, in this order.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The steps. Each stands for itself: one that fails stops no other.
    pub steps: Vec<Step>,
    /// When to plan again even if nothing changes.
    pub deadline: Option<Timestamp>,
    /// What there is, for metrics.
    pub figures: Figures,
}

/// One write, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The write.
    pub action: Action,
    /// Why.
    pub why: Why,
}

/// A write. Objects that exist carry the resourceVersion that was judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write a Service's status, and the annotation that names its pool where [`Configuration::annotates`].
    WriteStatus(Box<Service>),
    /// Replace the spec of a VirtualIP. Releases come before what they make room for.
    Update(Box<VirtualIP>),
    /// Take an address. The create is the lock: "it exists" means that somebody else was first.
    Create(Box<VirtualIP>),
    /// Forget an address.
    Delete(Arc<VirtualIP>),
    /// Tell something; "it exists" means that it was told.
    CreateEvent(Box<Event>),
    /// Forget what was told.
    DeleteEvent(Arc<Event>),
    /// Write what is in use of an IPAddressPool.
    WritePoolStatus(Box<IPAddressPool>),
    /// Make the object that says whether the pools can be used; its status is written by the next plan.
    CreateState(Box<ConfigurationState>),
    /// Write whether the pools can be used.
    WriteState(Box<ConfigurationState>),
    /// Write the annotation that names a Service's pool alone. Only where [`Configuration::annotates`].
    Annotate(Box<Service>),
}

/// Why a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The Service should have one more address.
    Wanted,
    /// The user asked for this address.
    Requested,
    /// The Service shows the address already.
    Shown,
    /// The former owner is back.
    TakenBack,
    /// The pool is full: the oldest released address goes to a new owner.
    PoolFull,
    /// The Service is gone.
    ServiceGone,
    /// The Service is no longer one of Herald's.
    NotOurs,
    /// The Service wants fewer addresses, or none of this family.
    NotWanted,
    /// The slot has, or shall have, another address.
    Replaced,
    /// The address is not in its pool any more, or the Service may not use that pool any more.
    OutsidePool,
    /// The Service can be together with the others on this address no more.
    SharingBroken,
    /// The Service joins others on an address.
    Shared,
    /// The ranking, the interfaces or the class's name differ.
    Ranked,
    /// The quarantine is over.
    QuarantineOver,
    /// The status differs.
    Status,
    /// There is something to tell.
    Told,
    /// It was told an hour ago.
    Old,
}

impl Why {
    /// The word for logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Requested => "requested",
            Self::Shown => "shown",
            Self::TakenBack => "taken-back",
            Self::PoolFull => "pool-full",
            Self::ServiceGone => "service-gone",
            Self::NotOurs => "not-ours",
            Self::NotWanted => "not-wanted",
            Self::Replaced => "replaced",
            Self::OutsidePool => "outside-pool",
            Self::SharingBroken => "sharing-broken",
            Self::Shared => "shared",
            Self::Ranked => "ranked",
            Self::QuarantineOver => "quarantine-over",
            Self::Status => "status",
            Self::Told => "told",
            Self::Old => "old",
        }
    }
}

/// What there is at the moment of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Services that get addresses.
    pub services: usize,
    /// Addresses that these want.
    pub wanted: u64,
    /// Addresses that they have.
    pub assigned: u64,
    /// Addresses in quarantine.
    pub released: usize,
}

/// Decides what has to be done.
pub fn plan(snapshot: &Snapshot) -> Plan {
    work_out(snapshot, None, |_| ()).0
}

/// What a plan found on its way.
struct Findings<'f, 'a> {
    claimants: &'f [choice::Claimant<'a>],
    inventory: &'f inventory::Inventory<'a>,
    allocation: &'f allocate::Allocation,
    rankings: &'f steps::Rankings,
}

/// Plans, beside what the snapshot leaves out if it is a part, and gives what `learn` makes of the findings.
fn work_out<T>(
    snapshot: &Snapshot,
    rest: Option<&planner::Memory>,
    learn: impl FnOnce(&Findings<'_, '_>) -> T,
) -> (Plan, T) {
    let inventory = inventory::Inventory::read(&snapshot.virtual_ips);
    let cluster = cluster::Cluster::beside(rest, snapshot, &inventory);
    let mut claimants = choice::claimants(snapshot, &cluster, &inventory);
    wish::read(&mut claimants, &cluster, &inventory);
    let allocation = allocate::allocate(snapshot, &cluster, &mut claimants, &inventory);
    let rankings = steps::Rankings::of(&cluster, &claimants, &inventory, &allocation);
    let plan = steps::build(snapshot, &cluster, &claimants, &inventory, &allocation, &rankings);
    let findings =
        Findings { claimants: &claimants, inventory: &inventory, allocation: &allocation, rankings: &rankings };
    (plan, learn(&findings))
}

#[cfg(test)]
mod tests;
