//! BGP on one node: which sessions it wants, and which routes each peer should know.
//!
//! ```text
//! BGPPeer, BFDProfile, Secrets, Node ────────► sessions: the peers of this node
//! BGPAdvertisement, Community, pools, Node ──► advertisements: attributes, peers, Services
//! Service, EndpointSlices, VirtualIPs ───────► eligibility ─► routes of each peer
//! ```
//!
//! Pure: opens nothing, reads no clock. Level, not edge: a plan is the whole wanted state.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub mod peer;
pub mod route;

pub use lb_api::bgp::{BfdMethod, BfdSettings, Families, Hops, Password, PeerAs, PeerSettings, Remote, Signing};
pub use peer::{Bfd, BfdSecret, Peer};
pub use route::{Attributes, Prefix, Routes};

/// The name of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What this node wants of BGP. What did not change since the plan before is the same `Arc`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// By the name of the `BGPPeer`.
    pub peers: BTreeMap<String, PeerPlan>,
    /// The peers that are told at least one prefix of a Service, as `ServiceBGPStatus` has it: intent, not state.
    pub services: Arc<BTreeMap<ServiceName, Arc<BTreeSet<String>>>>,
    /// What keeps this node from doing what was asked.
    pub problems: Arc<Vec<Problem>>,
}

/// One session and its routes.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerPlan {
    /// The session.
    pub peer: Arc<Peer>,
    /// What the peer should know.
    pub routes: Arc<Routes>,
}

/// What is wrong, and with which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The kind of the object, as `BGPPeer`.
    pub kind: &'static str,
    /// Its name; a Service's with its namespace before a slash.
    pub name: String,
    /// The path of the field, as `spec.passwordSecret.name`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}
