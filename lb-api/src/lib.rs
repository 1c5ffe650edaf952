//! Kubernetes types of Herald: ours (`lb.herald.dev`), MetalLB's (`metallb.io`) and Deckhouse's
//! (`network.deckhouse.io`), the names they use, and their validation.
//!
//! Holds no client and does no I/O. A type here is what stands in a manifest; what a decision needs of it is
//! checked once, in [`validate`], and collected with every error at once.
//!
//! Schema compatibility: a foreign kind is decoded exactly as its owner defines it; our additions to it are
//! `lb.herald.dev/*` annotations ([`names`]), never fields.
#![forbid(unsafe_code)]

pub mod bgp;
pub mod class;
pub mod crd;
pub mod deckhouse;
pub mod endpoints;
pub mod metallb;
pub mod names;
pub mod node;
pub mod selector;
pub mod service;
pub mod terms;
pub mod validate;
pub mod virtual_ip;

pub use class::{MetalLoadBalancerClass, MetalLoadBalancerClassSpec};
pub use deckhouse::{MetalLoadBalancerBGPPeer, MetalLoadBalancerConfiguration, MetalLoadBalancerPool};
pub use endpoints::EndpointSlice;
pub use metallb::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, ConfigurationState, IPAddressPool, L2Advertisement,
    ServiceBGPStatus, ServiceL2Status,
};
pub use node::{LoadBalancerNode, LoadBalancerNodeSpec, LoadBalancerNodeStatus};
pub use terms::{Conflict, Failback, Terms};
pub use validate::{AddressRange, Problem, pool_ranges};
pub use virtual_ip::{VirtualIP, VirtualIPSpec, VirtualIPStatus};
