//! `MetalLoadBalancerPool`: addresses that are announced with BGP.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Addresses that may be given to `LoadBalancer` Services. Stands for an IPAddressPool of the same name.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "network.deckhouse.io",
    version = "v1alpha1",
    kind = "MetalLoadBalancerPool",
    plural = "metalloadbalancerpools",
    singular = "metalloadbalancerpool",
    shortname = "mlbp",
    status = "MetalLoadBalancerPoolStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct MetalLoadBalancerPoolSpec {
    /// IPv4 blocks (`192.0.2.0/24`) or ranges (`192.0.2.10-192.0.2.20`).
    pub addresses: Vec<String>,
    /// Whether Services that ask for no pool get addresses of this one.
    #[serde(default = "yes")]
    pub auto_assign: bool,
    /// Whether addresses that end in .0 or .255 are left out.
    #[serde(default, rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,
}

/// Deckhouse declares the status as an empty object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct MetalLoadBalancerPoolStatus {}

const fn yes() -> bool {
    true
}
