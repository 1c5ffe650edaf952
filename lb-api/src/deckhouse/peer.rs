//! `MetalLoadBalancerBGPPeer`: a router. Nobody talks to it before a MetalLoadBalancerConfiguration names it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A router that nodes announce addresses to.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "network.deckhouse.io",
    version = "v1alpha1",
    kind = "MetalLoadBalancerBGPPeer",
    plural = "metalloadbalancerbgppeers",
    singular = "metalloadbalancerbgppeer",
    shortname = "mlbbp",
    status = "MetalLoadBalancerBGPPeerStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct MetalLoadBalancerBGPPeerSpec {
    /// The peer's IPv4 address.
    pub peer_address: String,
    /// The AS of the peer.
    #[serde(rename = "peerASN")]
    pub peer_asn: u32,
    /// The AS of this side.
    #[serde(rename = "myASN")]
    pub my_asn: u32,
    /// The peer's port. Unset: 179.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_port: Option<u16>,
    /// The BGP Identifier of this side.
    #[serde(rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// How long the peer may be silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// The Secret that has the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretName>,
    /// Addresses of this side, by node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_addresses: Vec<NodeSource>,
    /// BFD beside the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd: Option<PeerBfd>,
}

/// A Secret by name.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretName {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// The address that one node talks from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeSource {
    /// The node.
    pub node_name: String,
    /// The address.
    pub address: String,
}

/// What a BFDProfile says. Intervals are in milliseconds.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerBfd {
    /// The shortest interval at which packets can be received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_interval: Option<i32>,
    /// The shortest interval at which packets are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmit_interval: Option<i32>,
    /// After how many missing packets the peer is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detect_multiplier: Option<i32>,
    /// The shortest interval of echo packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_interval: Option<i32>,
    /// Whether this side sends echo packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_mode: Option<bool>,
    /// Whether the peer has to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive_mode: Option<bool>,
    /// The least TTL that packets of a multi-hop session may arrive with.
    #[serde(rename = "minimumTTL", skip_serializing_if = "Option::is_none")]
    pub minimum_ttl: Option<i32>,
}

/// Deckhouse declares the status as an empty object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct MetalLoadBalancerBGPPeerStatus {}
