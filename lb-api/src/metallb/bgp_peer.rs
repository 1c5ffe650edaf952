//! `BGPPeer` (`metallb.io/v1beta2`, and `v1beta1` with fewer fields): a router that nodes talk BGP to.
//!
//! Both versions are served and nothing converts between them: every field of the older one is in the newer one under the
//! same name with the same meaning. So a timer that was left out stays unset, where MetalLB's conversion makes 0 s of it,
//! and a port of 0, which only the older version may say, means 179.

#![expect(clippy::duplicated_attributes, reason = "every printer column repeats the names of its arguments")]

use k8s_openapi::{api::core::v1::SecretReference, apimachinery::pkg::apis::meta::v1::LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bgp::Password;

/// A router that nodes announce addresses to.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metallb.io",
    version = "v1beta2",
    kind = "BGPPeer",
    plural = "bgppeers",
    singular = "bgppeer",
    namespaced,
    status = "BGPPeerStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.peerAddress"),
    printcolumn(name = "ASN", type_ = "string", json_path = ".spec.peerASN"),
    printcolumn(name = "BFD Profile", type_ = "string", json_path = ".spec.bfdProfile"),
    printcolumn(name = "Multi Hops", type_ = "string", json_path = ".spec.ebgpMultiHop")
)]
#[serde(rename_all = "camelCase", default)]
pub struct BGPPeerSpec {
    /// The AS of this side.
    #[serde(rename = "myASN")]
    pub my_asn: u32,
    /// The AS of the peer. This or `dynamicASN`.
    #[serde(rename = "peerASN", skip_serializing_if = "Option::is_none")]
    pub peer_asn: Option<u32>,
    /// `internal`: a peer of our own AS; `external`: one of any other.
    #[serde(rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    pub dynamic_asn: Option<String>,
    /// The AS that this side shows to this peer in the place of `myASN`.
    #[serde(rename = "localASN", skip_serializing_if = "Option::is_none")]
    pub local_asn: Option<u32>,
    /// The peer's address. This or `interface`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// The interface that the peer is on, for unnumbered BGP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The address of this side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// The peer's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_port: Option<u16>,
    /// How long the peer may be silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// How often this side says that it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<String>,
    /// The longest wait between two attempts to connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_time: Option<String>,
    /// The BGP Identifier of this side.
    #[serde(rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// Nodes that talk to the peer; one of the selectors has to match. Empty: every node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_selectors: Vec<LabelSelector>,
    /// The password of TCP MD5 (RFC 2385). This or `passwordSecret`.
    #[serde(skip_serializing_if = "Password::is_empty")]
    pub password: Password,
    /// The Secret that has the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretReference>,
    /// The BFDProfile of the BFD session beside this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,
    /// Whether the peer is asked to keep our routes while we restart.
    #[serde(skip_serializing_if = "is_false")]
    pub enable_graceful_restart: bool,
    /// Whether the peer is behind routers.
    #[serde(rename = "ebgpMultiHop", skip_serializing_if = "is_false")]
    pub ebgp_multi_hop: bool,
    /// The VRF that the peer is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
    /// Changes nothing.
    #[serde(rename = "disableMP", skip_serializing_if = "is_false")]
    pub disable_mp: bool,
    /// Whether both address families are told on this session.
    #[serde(skip_serializing_if = "is_false")]
    pub dual_stack_address_family: bool,
}

/// MetalLB declares the status as an empty object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct BGPPeerStatus {}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a function of a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The older version, for the definition only: what is stored is read as the newer one.
pub mod v1beta1 {
    use super::{BGPPeerStatus, CustomResource, Deserialize, JsonSchema, LabelSelector, Password, Serialize};

    /// A router that nodes announce addresses to.
    #[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
    #[kube(
        group = "metallb.io",
        version = "v1beta1",
        kind = "BGPPeer",
        plural = "bgppeers",
        singular = "bgppeer",
        namespaced,
        status = "BGPPeerStatus",
        printcolumn(name = "Address", type_ = "string", json_path = ".spec.peerAddress"),
        printcolumn(name = "ASN", type_ = "string", json_path = ".spec.peerASN"),
        printcolumn(name = "BFD Profile", type_ = "string", json_path = ".spec.bfdProfile"),
        printcolumn(name = "Multi Hops", type_ = "string", json_path = ".spec.ebgpMultiHop")
    )]
    #[serde(rename_all = "camelCase")]
    pub struct BGPPeerSpec {
        /// The AS of this side.
        #[serde(rename = "myASN")]
        pub my_asn: u32,
        /// The AS of the peer.
        #[serde(rename = "peerASN")]
        pub peer_asn: u32,
        /// The peer's address.
        pub peer_address: String,
        /// The address of this side.
        #[serde(default)]
        pub source_address: String,
        /// The peer's port; 0 means 179.
        #[serde(default)]
        pub peer_port: u16,
        /// How long the peer may be silent.
        #[serde(default)]
        pub hold_time: String,
        /// How often this side says that it lives.
        #[serde(default)]
        pub keepalive_time: String,
        /// The BGP Identifier of this side.
        #[serde(rename = "routerID", default)]
        pub router_id: String,
        /// Nodes that talk to the peer; one of the selectors has to match. Empty: every node.
        #[serde(default)]
        pub node_selectors: Vec<LabelSelector>,
        /// The password of TCP MD5 (RFC 2385).
        #[serde(default)]
        pub password: Password,
        /// The BFDProfile of the BFD session beside this one.
        #[serde(default)]
        pub bfd_profile: String,
        /// Whether the peer is behind routers.
        #[serde(rename = "ebgpMultiHop", default)]
        pub ebgp_multi_hop: bool,
    }
}
