//! `BFDProfile` (`metallb.io/v1beta1`): how fast a peer that went silent is noticed.

#![expect(clippy::duplicated_attributes, reason = "every printer column repeats the names of its arguments")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of BFD sessions. Intervals are in milliseconds.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BFDProfile",
    plural = "bfdprofiles",
    singular = "bfdprofile",
    namespaced,
    status = "BFDProfileStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Passive Mode", type_ = "boolean", json_path = ".spec.passiveMode"),
    printcolumn(name = "Transmit Interval", type_ = "integer", json_path = ".spec.transmitInterval"),
    printcolumn(name = "Receive Interval", type_ = "integer", json_path = ".spec.receiveInterval"),
    printcolumn(name = "Multiplier", type_ = "integer", json_path = ".spec.detectMultiplier")
)]
#[serde(rename_all = "camelCase", default)]
pub struct BFDProfileSpec {
    /// The shortest interval at which packets can be received. Unset: 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_interval: Option<i32>,
    /// The shortest interval at which packets are sent. Unset: 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmit_interval: Option<i32>,
    /// After how many missing packets the peer is down. Unset: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detect_multiplier: Option<i32>,
    /// The shortest interval of echo packets, in both directions. Unset: 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_interval: Option<i32>,
    /// Whether this side sends echo packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_mode: Option<bool>,
    /// Whether the peer has to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive_mode: Option<bool>,
    /// The least TTL that packets of a multi-hop session may arrive with. Unset: 254.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_ttl: Option<i32>,
}

/// MetalLB declares the status as an empty object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct BFDProfileStatus {}
