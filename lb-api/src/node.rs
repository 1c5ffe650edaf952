//! `LoadBalancerNode` (`lb.herald.dev/v1alpha1`): what an agent says of its node, one object per node.
//!
//! Only the agent of that node writes it, on change: at once what others need, and once in 10 s in the long run. It
//! never carries the lease's deadline, which changes every second.

#![expect(clippy::duplicated_attributes, reason = "every printer column repeats the names of its arguments")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the agent of one node reports. The spec is empty: nothing here is a wish.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "lb.herald.dev",
    version = "v1alpha1",
    kind = "LoadBalancerNode",
    plural = "loadbalancernodes",
    singular = "loadbalancernode",
    shortname = "lbnode",
    status = "LoadBalancerNodeStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Lease", type_ = "string", json_path = ".status.lease.state"),
    printcolumn(name = "Interfaces", type_ = "string", json_path = ".status.interfaces[*].name"),
    printcolumn(name = "Peers", type_ = "string", json_path = ".status.peers[*].state", priority = 1),
    printcolumn(name = "Proxy", type_ = "string", json_path = ".status.proxy", priority = 1),
    printcolumn(name = "Attach", type_ = "string", json_path = ".status.interfaces[*].attach.mode"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct LoadBalancerNodeSpec {}

/// The node as its agent sees it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerNodeStatus {
    /// The agent's version.
    pub version: String,
    /// The S-BFD discriminator (RFC 7880 §4.1); unique in the cluster, checked by the controller. 0 until there is one.
    pub discriminator: u32,
    /// The interfaces the agent looks after.
    pub interfaces: Vec<Interface>,
    /// The dead-man lease.
    pub lease: LeaseStatus,
    /// The BGP sessions of this node, by the name of their `BGPPeer`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<BgpSession>,
    /// Whom this node asks whether it lives (S-BFD, RFC 7880), by segment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerSession>,
    /// What carries packets from this node to the Pods, as its health port says. Unset: it is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyState>,
    /// When this was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// What is wrong with the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// One BGP session, as this node sees it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BgpSession {
    /// The `BGPPeer`.
    pub peer: String,
    /// Where the peer is: `192.0.2.251:179`, or an interface and a port.
    pub remote: String,
    /// `Established`, or how far it has come (RFC 4271 §8.2.2).
    pub state: String,
    /// Since when it is Established.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Why it is not up, or what is wrong although it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why the last connection ended. Kept while the next one is up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
    /// Prefixes that the peer should know.
    pub wanted_prefixes: u32,
    /// Prefixes that the peer knows from this node.
    pub told_prefixes: u32,
    /// BFD beside it: `Up`, `Down`, `Init`, `AdminDown`; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bfd: String,
}

/// One S-BFD session, as this node sees it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerSession {
    /// The node that is asked.
    pub node: String,
    /// Through which interface of this node.
    pub interface: String,
    /// What it says.
    pub state: PeerState,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What is known of a node from its reflector.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerState {
    /// It has never answered.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It answers: take from it what it holds.
    AdminDown,
    /// It answered once, and does not any more.
    Down,
}

/// What the health port of kube-proxy, or of what replaces it, says.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyState {
    /// That it is healthy.
    Healthy,
    /// Anything else, or nothing.
    Unhealthy,
}

/// One interface.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its kernel index.
    pub index: u32,
    /// Its hardware address, `02:00:00:00:00:01`.
    pub mac: String,
    /// Its on-link addresses with prefix length.
    pub addresses: Vec<String>,
    /// Whether it has carrier.
    pub carrier: bool,
    /// How the program is attached.
    pub attach: Attach,
}

/// How the program is attached to an interface, and why so.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Attach {
    /// The way.
    pub mode: AttachMode,
    /// Why it is this way and not a better one; empty for native.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The ways to attach, best first.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttachMode {
    /// XDP in the driver.
    Native,
    /// tc ingress.
    Tc,
    /// XDP on socket buffers.
    Generic,
    /// Not attached: the kernel answers, or nobody.
    #[default]
    None,
}

/// The dead-man lease (one per node).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseStatus {
    /// How long the table stays valid without the agent.
    pub duration_seconds: u32,
    /// Whether the agent renews it.
    pub state: LeaseState,
}

/// Whether the agent vouches for its table.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseState {
    /// Renewed within its duration.
    Held,
    /// Not yet taken, or run out.
    #[default]
    Lost,
}
