//! MetalLB's kinds (`metallb.io`), as MetalLB's own definitions say.
//!
//! Must not: add a field. What a field *means* is checked by [`crate::validate`] and decided by `lb-plan`. An unknown
//! value of an enumeration decodes as unknown, so that an object of a newer MetalLB is still read.

mod advertisement;
mod community;
mod pool;
mod state;

pub use advertisement::{L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector};
pub use community::{Community, CommunityAlias, CommunitySpec, CommunityStatus};
pub use pool::{IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation};
pub use state::{
    ConfigurationResult, ConfigurationState, ConfigurationStateSpec, ConfigurationStateStatus, InterfaceInfo,
    ServiceL2Status, ServiceL2StatusSpec, ServiceL2StatusStatus,
};
