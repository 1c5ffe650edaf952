//! What the speaker should do, as values: every peer with its routes, and nothing of how.

use std::{collections::BTreeMap, sync::Arc};

use lb_bgp::{PeerConfig, Routes};

use super::endpoint::Endpoint;
use crate::bfd;

/// Everything the speaker should do. The whole of it, each time (level, not edge).
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// By name: that of the `BGPPeer`.
    pub peers: BTreeMap<String, WantedPeer>,
    /// The port to accept connections on; unset: none are accepted.
    pub listen: Option<u16>,
    /// Every route is told as the last choice (RFC 8326).
    pub draining: bool,
}

/// One peer.
#[derive(Debug, Clone)]
pub struct WantedPeer {
    /// Another session means a new connection.
    pub session: Arc<Session>,
    /// BFD beside it. A change of it leaves the session up.
    pub bfd: Option<bfd::Wanted>,
    /// The routes it should know; `None` while they are not known yet: then nothing is told, not even End-of-RIB.
    pub routes: Option<Arc<Routes>>,
}

/// What a session is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The protocol's side. Next hops that are not set are found when the connection is there.
    pub config: PeerConfig,
    /// The sockets' side.
    pub endpoint: Endpoint,
}
