//! `MetalLoadBalancerClass` (`network.deckhouse.io/v1alpha1`): a pool and a layer 2 advertisement in one.
//!
//! The schema is Deckhouse's: nothing is required, an empty spec is accepted, and what its API server would
//! accept is accepted here. What the fields *mean* is checked by [`crate::validate`].

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Addresses for the Services that name this class, and the nodes that may hold them.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "network.deckhouse.io",
    version = "v1alpha1",
    kind = "MetalLoadBalancerClass",
    plural = "metalloadbalancerclasses",
    singular = "metalloadbalancerclass",
    status = "MetalLoadBalancerClassStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct MetalLoadBalancerClassSpec {
    /// CIDR blocks (`192.168.2.0/24`, `fd00::/120`) or ranges (`192.168.2.100-192.168.2.150`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address_pool: Vec<String>,
    /// Whether Services that select no class get this one.
    pub is_default: bool,
    /// Labels a node must have to hold addresses of this class; empty means every node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// `L2` is the only meaningful value.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Layer 2 settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l2: Option<Layer2>,
}

/// Layer 2 settings of a class.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Layer2 {
    /// Interfaces that may answer ARP and NDP for the addresses; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
}

/// Deckhouse declares the status as an empty object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct MetalLoadBalancerClassStatus {}
