//! Deckhouse's kinds for BGP (`network.deckhouse.io/v1alpha1`): pools, peers, and what joins the two.
//!
//! All are cluster-scoped, as Deckhouse defines them. They mean what the MetalLB objects mean that Deckhouse renders from
//! them; `lb-plan` makes the same of them. Must not: add a field.

mod configuration;
mod peer;
mod pool;

pub use configuration::{
    MetalLoadBalancerConfiguration, MetalLoadBalancerConfigurationSpec, MetalLoadBalancerConfigurationStatus,
    PoolAdvertisement, PoolAdvertisementBgp, SessionSettings,
};
pub use peer::{
    MetalLoadBalancerBGPPeer, MetalLoadBalancerBGPPeerSpec, MetalLoadBalancerBGPPeerStatus, NodeSource, PeerBfd,
    SecretName,
};
pub use pool::{MetalLoadBalancerPool, MetalLoadBalancerPoolSpec, MetalLoadBalancerPoolStatus};
