//! A session that this node wants, complete: settings, password, BFD.
//!
//! Equal values need no new session; any difference needs one, but for BFD's intervals.

use lb_api::bgp::{BfdMethod, BfdSettings, Password, PeerSettings};

/// A session that this node wants. Named by its `BGPPeer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What the `BGPPeer` says.
    pub settings: PeerSettings,
    /// The password that segments are signed with, from the `BGPPeer` or its Secret.
    pub password: Option<Password>,
    /// BFD beside the session.
    pub bfd: Option<Bfd>,
}

/// BFD beside a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bfd {
    /// The name of the `BFDProfile`, as metrics have it.
    pub profile: String,
    /// What the profile says.
    pub settings: BfdSettings,
    /// The key that packets are authenticated with.
    pub key: Option<BfdSecret>,
}

/// A key of BFD packets (RFC 5880 §6.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdSecret {
    /// The method.
    pub method: BfdMethod,
    /// What packets name the key by.
    pub id: u8,
    /// The key.
    pub secret: Password,
}
