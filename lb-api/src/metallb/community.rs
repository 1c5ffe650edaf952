//! `Community` (`metallb.io/v1beta1`): names for BGP communities.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names that BGPAdvertisements may use in the place of communities.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "Community",
    plural = "communities",
    singular = "community",
    namespaced,
    status = "CommunityStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(default)]
pub struct CommunitySpec {
    /// The names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<CommunityAlias>,
}

/// One name.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct CommunityAlias {
    /// The name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `65535:65282`, or `large:64512:1:2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// MetalLB declares the status as an empty object.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct CommunityStatus {}
