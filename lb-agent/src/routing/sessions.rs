//! The speaker's peers as a LoadBalancerNode shows them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lb_api::node::BgpSession;

use crate::bgp::{PeerStatus, SpeakerStatus};

/// Every peer, by name.
pub(crate) fn sessions(status: &SpeakerStatus) -> Vec<BgpSession> {
    status.peers.iter().map(|(name, peer)| session(name, peer)).collect()
}

fn session(name: &str, peer: &PeerStatus) -> BgpSession {
    // Whole seconds, as every time of an object.
    let seconds =
        |at: SystemTime| at.duration_since(UNIX_EPOCH).ok().and_then(|span| i64::try_from(span.as_secs()).ok());
    let since = peer.up_at.and_then(seconds).and_then(|seconds| Timestamp::from_second(seconds).ok()).map(Time);
    BgpSession {
        peer: name.to_owned(),
        remote: peer.session.endpoint.to_string(),
        state: peer.bgp.state.to_string(),
        since,
        reason: peer.reason(),
        last_error: peer.last_error().map(ToString::to_string).unwrap_or_default(),
        wanted_prefixes: u32::try_from(peer.bgp.wanted).unwrap_or(u32::MAX),
        told_prefixes: u32::try_from(peer.bgp.told).unwrap_or(u32::MAX),
        bfd: peer.bfd.as_ref().map(|bfd| format!("{:?}", bfd.state)).unwrap_or_default(),
    }
}
