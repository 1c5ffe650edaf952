//! What two speakers agree on: our OPEN, the judgement of the peer's, and what follows from both.
//!
//! Must not: read or build octets. Capabilities that nobody here knows are ignored, never refused (RFC 5492 §3).
//! Spec: RFC 4271 §4.2 and §6.2, RFC 6286, RFC 6793, RFC 4760 §8, RFC 4724, RFC 8538, RFC 7313, RFC 8654, RFC 8950.

use std::{net::Ipv4Addr, time::Duration};

use crate::{
    config::PeerConfig,
    notification::Notification,
    types::{Asn, Families, PerFamily, RouterId},
};

#[cfg(test)]
mod tests;

/// An OPEN message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// The AS field of two octets.
    pub(crate) my_as: u16,
    /// In seconds.
    pub(crate) hold_time: u16,
    pub(crate) router_id: Ipv4Addr,
    pub(crate) capabilities: Capabilities,
}

/// What a speaker says it can do; only what is known here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Capabilities {
    /// `None`: the capability is absent, which means IPv4 unicast (RFC 4760 §8).
    pub(crate) families: Option<Families>,
    pub(crate) four_octet_as: Option<u32>,
    pub(crate) route_refresh: bool,
    pub(crate) enhanced_refresh: bool,
    pub(crate) extended_message: bool,
    /// IPv6 next hops for IPv4 unicast (RFC 8950 §4).
    pub(crate) extended_next_hop: bool,
    pub(crate) graceful_restart: Option<GracefulRestart>,
}

/// The graceful restart capability (RFC 4724 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracefulRestart {
    /// R bit: the sender has just restarted.
    pub restarting: bool,
    /// N bit: the sender keeps routes through NOTIFICATIONs too (RFC 8538 §2).
    pub notification: bool,
    /// How long the sender's routes should be kept while it is away.
    pub restart_time: Duration,
    /// For each family that is listed, whether its forwarding state survived (F bit).
    pub forwarding: PerFamily<Option<bool>>,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The peer's AS.
    pub peer_as: Asn,
    /// The peer's BGP Identifier.
    pub peer_router_id: RouterId,
    /// Both in one AS (iBGP).
    pub internal: bool,
    /// Families that both know.
    pub families: Families,
    /// Silence after which the session ends; 0: never.
    pub hold_time: Duration,
    /// Between two KEEPALIVEs; 0: none are sent.
    pub keepalive: Duration,
    /// AS numbers of four octets in AS_PATH (RFC 6793).
    pub four_octet_as: bool,
    /// The peer takes messages of up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// A refresh is marked by its begin and its end (RFC 7313).
    pub enhanced_refresh: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// What the peer said about graceful restart.
    pub graceful_restart: Option<GracefulRestart>,
    /// Both keep routes through NOTIFICATIONs, so only a Hard Reset drops them (RFC 8538).
    pub hard_reset: bool,
}

/// Why a peer's OPEN is refused: one variant per NOTIFICATION subcode of RFC 4271 §6.2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the peer says it is in AS {got}")]
    PeerAs { got: u32 },
    #[error("router id {0} is 0, or ours")]
    RouterId(Ipv4Addr),
    #[error("hold time {0} s is neither 0 nor at least 3 s")]
    HoldTime(u16),
    #[error("no common address family")]
    Families { ours: Families },
}

impl From<&OpenError> for Notification {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::PeerAs { .. } => Self::BAD_PEER_AS,
            OpenError::RouterId(_) => Self::BAD_ROUTER_ID,
            OpenError::HoldTime(_) => Self::BAD_HOLD_TIME,
            // RFC 5492 §3: the data lists the capabilities that are missed.
            OpenError::Families { ours } => {
                let missed = ours.iter().flat_map(|family| {
                    let afi = match family {
                        crate::types::Family::V4 => 1,
                        crate::types::Family::V6 => 2,
                    };
                    [1, 4, 0, afi, 0, 1]
                });
                Self::UNSUPPORTED_CAPABILITY.with_data(missed.collect::<Vec<u8>>())
            }
        }
    }
}

/// Our OPEN. `restarted`: this process took over from one whose routes the peer may still have.
pub(crate) fn ours(config: &PeerConfig, restarted: bool) -> Open {
    let local = config.local_as.get();
    Open {
        // RFC 6793 §4.2.2: AS_TRANS where the number does not fit.
        my_as: u16::try_from(local).unwrap_or(AS_TRANS),
        hold_time: config.hold_time.seconds(),
        router_id: config.router_id.address(),
        capabilities: Capabilities {
            families: Some(config.families),
            four_octet_as: Some(local),
            route_refresh: true,
            enhanced_refresh: true,
            extended_message: true,
            extended_next_hop: config.extended_next_hop && config.families.v4,
            graceful_restart: config.graceful_restart.map(|time| GracefulRestart {
                restarting: restarted,
                notification: true,
                restart_time: Duration::from_secs(u64::from(time.seconds())),
                // Packets are forwarded by kube-proxy and the kernel: that state survives whatever happens to us.
                forwarding: PerFamily::from_fn(|family| config.families.contains(family).then_some(true)),
            }),
        },
    }
}

const AS_TRANS: u16 = 23456;

/// Takes or refuses the peer's OPEN.
pub(crate) fn judge(config: &PeerConfig, open: &Open) -> Result<Negotiated, OpenError> {
    let capabilities = &open.capabilities;
    let number = capabilities.four_octet_as.unwrap_or_else(|| u32::from(open.my_as));
    let peer_as = Asn::new(number) // RFC 7607 §2
        .filter(|peer| *peer != Asn::TRANS) // RFC 6793 §4.2.3
        .filter(|peer| config.peer_as.allows(config.local_as, *peer))
        .ok_or(OpenError::PeerAs { got: number })?;
    let internal = peer_as == config.local_as;
    let peer_router_id = RouterId::new(open.router_id)
        .filter(|id| !internal || *id != config.router_id) // RFC 6286 §2.2
        .ok_or(OpenError::RouterId(open.router_id))?;
    if matches!(open.hold_time, 1 | 2) {
        return Err(OpenError::HoldTime(open.hold_time));
    }
    let families = config.families.intersection(capabilities.families.unwrap_or(Families { v4: true, v6: false }));
    if families.is_empty() {
        return Err(OpenError::Families { ours: config.families });
    }
    let hold_time = Duration::from_secs(u64::from(open.hold_time.min(config.hold_time.seconds())));
    Ok(Negotiated {
        peer_as,
        peer_router_id,
        internal,
        families,
        hold_time,
        keepalive: keepalive(config, hold_time),
        four_octet_as: capabilities.four_octet_as.is_some(),
        extended_message: capabilities.extended_message,
        enhanced_refresh: capabilities.enhanced_refresh,
        extended_next_hop: config.extended_next_hop && capabilities.extended_next_hop,
        graceful_restart: capabilities.graceful_restart,
        hard_reset: config.graceful_restart.is_some()
            && capabilities.graceful_restart.is_some_and(|restart| restart.notification),
    })
}

/// As configured, if the hold time in use still allows two of them; else a third of it (RFC 4271 §4.4).
fn keepalive(config: &PeerConfig, hold_time: Duration) -> Duration {
    let third = hold_time / 3;
    match config.keepalive {
        Some(keepalive) if !hold_time.is_zero() && keepalive < hold_time => keepalive,
        Some(_) | None => third,
    }
}
