//! `MetalLoadBalancerConfiguration`: which nodes announce which pools to which peers.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Joins nodes, peers and pools.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "network.deckhouse.io",
    version = "v1alpha1",
    kind = "MetalLoadBalancerConfiguration",
    plural = "metalloadbalancerconfigurations",
    singular = "metalloadbalancerconfiguration",
    shortname = "mlbconfig",
    status = "MetalLoadBalancerConfigurationStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct MetalLoadBalancerConfigurationSpec {
    /// `BGP`.
    pub mode: String,
    /// Labels that a node must have. Empty: every node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// The peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<SessionSettings>,
    /// What is announced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advertisements: Vec<PoolAdvertisement>,
}

/// The peers of a configuration.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionSettings {
    /// MetalLoadBalancerBGPPeers by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer_names: Vec<String>,
}

/// Pools, and how their addresses are announced.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PoolAdvertisement {
    /// MetalLoadBalancerPools by name.
    pub pool_names: Vec<String>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp: Option<PoolAdvertisementBgp>,
}

/// How addresses are announced.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolAdvertisementBgp {
    /// `64512:100`, `no-export`, `no-advertise`, `local-as` or `none`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,
    /// LOCAL_PREF towards peers of the own AS. 0: not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<i64>,
    /// The length of the prefixes that addresses are announced in. Unset: 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation_length: Option<i32>,
}

/// Deckhouse declares the status as an empty object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct MetalLoadBalancerConfigurationStatus {}
