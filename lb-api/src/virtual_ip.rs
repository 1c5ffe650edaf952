//! `VirtualIP` (`lb.herald.dev/v1alpha1`): one object per address. Creating it is the lock on the address.
//!
//! The controller owns `spec`: who claims the address and which nodes may hold it, best first. The agent that
//! holds the address owns `status`.
//!
//! Invariants: the object's name is [`name_of`] its address; at most one VirtualIP per (uid, index, family) of a
//! claim; `nodes` holds each node once and at most [`MAX_NODES`] of them.

#![expect(clippy::duplicated_attributes, reason = "every printer column repeats the names of its arguments")]

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::terms::{Conflict, Failback};

/// The longest ranked list an address may have.
pub const MAX_NODES: usize = 8;

/// One address: who claims it, and which nodes may hold it.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "lb.herald.dev",
    version = "v1alpha1",
    kind = "VirtualIP",
    plural = "virtualips",
    singular = "virtualip",
    shortname = "vip",
    status = "VirtualIPStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "Holder", type_ = "string", json_path = ".status.holder"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since"),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.why"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.standby"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".spec.phase", priority = 1),
    printcolumn(
        name = "Stranger",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Stranger\")].status",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualIPSpec {
    /// The address in its canonical text form. Never changes.
    pub address: String,
    /// Whether the address is in use or waits out its quarantine.
    #[serde(default)]
    pub phase: Phase,
    /// What the address is from: the name of a class, or `namespace/name` of an IPAddressPool. Empty if it was adopted
    /// and nothing that the Service may use contains it.
    pub pool: String,
    /// The Services that show the address; more than one when it is shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// The nodes that may hold the address, best first; at most 8. Empty means nobody answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Interfaces that may answer; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// When a node takes the address from a living one below it: `never`, or `after 5m`. Unset: as soon as it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<Failback>,
    /// What the holder does about a station that is no node and uses the address. Unset: it defends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
    /// What the ranking hashes. Fixed when the address is created, so that a shared or re-used address stays.
    pub ranking_key: String,
    /// When the last claim was released; set exactly in phase `Released`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Time>,
}

/// Whether an address is in use.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Claimed; its first eligible node answers for it.
    #[default]
    Bound,
    /// In quarantine: nobody answers, nobody else gets it; its former owner takes it back at once.
    Released,
}

/// One Service's hold on an address.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// The Service's uid: a re-created Service of the same name is another claimant.
    pub uid: String,
    /// Which of the Service's addresses this is, from 0. IPv4 and IPv6 count separately.
    pub index: u32,
    /// The family of the address.
    pub family: Family,
    /// Digest of what sharing depends on (key, ports, policy) when it was judged last; set exactly while the address is
    /// shared. As long as it is true of the Service, nobody judges again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<String>,
}

impl Claim {
    /// Whether both are the same Service's hold in the same place.
    pub fn is_of(&self, other: &Self) -> bool {
        let place = |claim: &Self| (claim.index, claim.family);
        place(self) == place(other)
            && self.uid == other.uid
            && self.name == other.name
            && self.namespace == other.namespace
    }
}

/// An address family, spelled as `Service.spec.ipFamilies` does.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    #[default]
    IPv4,
    /// IPv6.
    IPv6,
}

/// The reason of a holder that is gone and has not let go: whether it answers is not known.
pub const UNKNOWN: &str = "Unknown";

/// What the holder says of the address.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualIPStatus {
    /// The node that answers for the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Since when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Why it is this node, as one word (`FirstRanked`); `Unknown` once the node itself is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The node that would take it if the holder died now, as far as the holder knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<String>,
    /// What is wrong with the address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl Family {
    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::IPv4,
            IpAddr::V6(_) => Self::IPv6,
        }
    }
}

/// The name of the VirtualIP of `address`: the dotted quad, or eight four-digit groups joined by `-`.
///
/// An IPv4-mapped IPv6 address is its IPv4 address, so one address cannot have two names.
pub fn name_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:04x}")).join("-"),
    }
}
