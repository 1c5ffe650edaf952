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
    fmt,
    sync::Arc,
};

use lb_api::validate::UNREAD;

mod configuration;
mod grants;
mod listed;
mod node;
pub mod peer;
mod planner;
mod problems;
pub mod route;
mod secrets;
mod service;
mod snapshot;
mod sources;
mod state;
mod statuses;
mod table;

pub use grants::{Account, Grant, grants};
pub use lb_api::bgp::{BfdMethod, BfdSettings, Families, Hops, Password, PeerAs, PeerSettings, Remote, Signing};
pub use peer::{Bfd, BfdSecret, Peer};
pub use planner::Planner;
pub use problems::{Objects, problems};
pub use route::{Attributes, Prefix, Routes};
pub use secrets::SecretName;
pub use service::Withheld;
pub use snapshot::{Deckhouse, SecretContent, Snapshot};
pub use state::{StateStep, state, summary};
pub use statuses::{Reporter, StatusStep, Told, statuses};

/// The name of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ServiceName {
    /// `namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Snapshot {
    /// The Secrets that the plan needs: read these by name, and no others.
    pub fn needed_secrets(&self) -> BTreeSet<SecretName> {
        secrets::of(&sources::Sources::read(self.listed()), &self.namespace)
    }

    fn listed(&self) -> sources::Listed<'_> {
        sources::Listed {
            namespace: &self.namespace,
            peers: &self.peers,
            advertisements: &self.advertisements,
            profiles: &self.profiles,
            communities: &self.communities,
            pools: &self.pools,
            deckhouse: &self.deckhouse,
        }
    }
}

/// What this node wants of BGP. What did not change since the plan before is the same `Arc`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// By the name of the `BGPPeer`.
    pub peers: BTreeMap<String, PeerPlan>,
    /// The peers that are told at least one prefix of a Service, as `ServiceBGPStatus` has it: intent, not state.
    pub services: Arc<BTreeMap<ServiceName, Arc<BTreeSet<String>>>>,
    /// Whether the node is cordoned: every route is told with the graceful-shutdown community (RFC 8326), so that others
    /// are preferred and this one still serves if there is no other.
    pub is_draining: bool,
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
    /// Whether it may pass by itself: what is missing may be on its way, in the same folder or the next one.
    pub may_pass: bool,
}

/// Fields whose problems change nothing.
const SUPERFLUOUS: [&str; 2] = ["spec.disableMP", "spec.passwordSecret.namespace"];

impl Problem {
    /// Whether the object does all that it was meant to do.
    pub(crate) fn is_superfluous(&self) -> bool {
        SUPERFLUOUS.contains(&self.field.as_str()) || self.message.starts_with(UNREAD)
    }

    /// That something which is referred to is not there.
    pub(crate) fn passing(self) -> Self {
        Self { may_pass: true, ..self }
    }
}

#[cfg(test)]
mod tests;
