//! MetalLB's kinds (`metallb.io`), as MetalLB's own definitions say.
//!
//! Must not: add a field. What a field *means* is checked by [`crate::validate`] and decided by `lb-plan`. An unknown
//! value of an enumeration decodes as unknown, so that an object of a newer MetalLB is still read.

mod advertisement;
mod bfd_profile;
mod bgp_advertisement;
mod bgp_peer;
mod community;
mod pool;
mod state;

pub use advertisement::{L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector};
pub use bfd_profile::{BFDProfile, BFDProfileSpec, BFDProfileStatus};
pub use bgp_advertisement::{BGPAdvertisement, BGPAdvertisementSpec, BGPAdvertisementStatus};
pub use bgp_peer::{BGPPeer, BGPPeerSpec, BGPPeerStatus, v1beta1};
pub use community::{Community, CommunityAlias, CommunitySpec, CommunityStatus};
pub use pool::{IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation};
pub use state::{
    ConfigurationResult, ConfigurationState, ConfigurationStateSpec, ConfigurationStateStatus, InterfaceInfo,
    ServiceBGPStatus, ServiceBGPStatusSpec, ServiceBGPStatusStatus, ServiceL2Status, ServiceL2StatusSpec,
    ServiceL2StatusStatus,
};
