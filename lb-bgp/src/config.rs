//! What a session is configured with, checked once.
//!
//! Must not: know addresses, ports, passwords or TTLs: these belong to the driver's sockets.
//! Spec: RFC 4271 §4.2 (hold time), §8.1 (session attributes), RFC 4724 §3 (restart time).

use std::time::Duration;

use crate::{
    route::NextHops,
    types::{Asn, Families, RouterId},
};

#[cfg(test)]
mod tests;

/// How long a peer may be silent: 0 (for ever), or 3 s and more (RFC 4271 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldTime(u16);

impl HoldTime {
    /// What RFC 4271 §10 suggests: 90 s.
    pub const DEFAULT: Self = Self(90);

    /// # Errors
    /// 1 s and 2 s are forbidden, and more than 65,535 s cannot be said.
    pub fn new(duration: Duration) -> Result<Self, ConfigError> {
        let seconds = u16::try_from(duration.as_secs()).ok().filter(|_| duration.subsec_nanos() == 0);
        match seconds {
            Some(seconds @ (0 | 3..)) => Ok(Self(seconds)),
            Some(_) | None => Err(ConfigError::HoldTime(duration)),
        }
    }

    /// Seconds, as an OPEN carries them.
    #[must_use]
    pub const fn seconds(self) -> u16 {
        self.0
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// How long a peer keeps our routes while we restart: 1 s to 30 s (RFC 4724 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RestartTime(u16);

impl RestartTime {
    /// The longest: an agent that is not back by then is not coming back soon.
    pub const MAX: Self = Self(30);

    /// # Errors
    /// When it is not a whole number of seconds from 1 to 30.
    pub fn new(duration: Duration) -> Result<Self, ConfigError> {
        let seconds = u16::try_from(duration.as_secs()).ok().filter(|_| duration.subsec_nanos() == 0);
        match seconds {
            Some(seconds @ 1..=30) => Ok(Self(seconds)),
            Some(_) | None => Err(ConfigError::RestartTime(duration)),
        }
    }

    /// Seconds, as an OPEN carries them.
    #[must_use]
    pub const fn seconds(self) -> u16 {
        self.0
    }
}

/// Which AS the peer may say it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAs {
    /// This one.
    Exactly(Asn),
    /// Ours.
    Internal,
    /// Any but ours.
    External,
}

impl PeerAs {
    /// Whether a peer of AS `peer` may be at the other end of a session of AS `local`.
    #[must_use]
    pub fn allows(self, local: Asn, peer: Asn) -> bool {
        match self {
            Self::Exactly(asn) => peer == asn,
            Self::Internal => peer == local,
            Self::External => peer != local,
        }
    }
}

/// One peer, as configured. A change of it needs a new session; routes do not belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Our AS towards this peer.
    pub local_as: Asn,
    /// The peer's AS.
    pub peer_as: PeerAs,
    /// Our BGP Identifier towards this peer.
    pub router_id: RouterId,
    /// The families offered.
    pub families: Families,
    /// Offered hold time; the lower one of both sides is used.
    pub hold_time: HoldTime,
    /// Between two KEEPALIVEs; unset: a third of the hold time in use.
    pub keepalive: Option<Duration>,
    /// The longest wait between two attempts to connect; they start at 1 s and double.
    pub connect_retry: Duration,
    /// Never connect, only accept.
    pub passive: bool,
    /// Ask the peer to keep our routes while we restart.
    pub graceful_restart: Option<RestartTime>,
    /// Offer IPv6 next hops for IPv4 routes (RFC 8950), as unnumbered sessions need it.
    pub extended_next_hop: bool,
    /// Addresses that next hops are made of.
    pub next_hops: NextHops,
}

impl PeerConfig {
    /// What `connect_retry` is when nobody says.
    pub const CONNECT_RETRY: Duration = Duration::from_secs(30);

    /// A peer of both families with everything else as nobody asked otherwise.
    #[must_use]
    pub fn new(local_as: Asn, peer_as: PeerAs, router_id: RouterId) -> Self {
        Self {
            local_as,
            peer_as,
            router_id,
            families: Families::BOTH,
            hold_time: HoldTime::DEFAULT,
            keepalive: None,
            connect_retry: Self::CONNECT_RETRY,
            passive: false,
            graceful_restart: None,
            extended_next_hop: false,
            next_hops: NextHops::default(),
        }
    }

    /// # Errors
    /// The first value that contradicts another.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.families.is_empty() {
            return Err(ConfigError::NoFamily);
        }
        if self.connect_retry < Duration::from_secs(1) {
            return Err(ConfigError::ConnectRetry(self.connect_retry));
        }
        if self.peer_as == PeerAs::Exactly(Asn::TRANS) || self.local_as == Asn::TRANS {
            return Err(ConfigError::AsTrans);
        }
        let Some(keepalive) = self.keepalive else { return Ok(()) };
        let hold = self.hold_time.duration();
        if keepalive < Duration::from_secs(1) || (!hold.is_zero() && keepalive >= hold) {
            return Err(ConfigError::Keepalive { keepalive, hold });
        }
        Ok(())
    }
}

/// What is wrong with a configuration, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// RFC 4271 §4.2.
    #[error("hold time {0:?}: must be 0, or 3 s to 65535 s in whole seconds")]
    HoldTime(Duration),
    /// Longer than the hold time: the peer would give up in between.
    #[error("keepalive time {keepalive:?}: must be at least 1 s and less than the hold time, {hold:?}")]
    Keepalive {
        /// As configured.
        keepalive: Duration,
        /// As configured.
        hold: Duration,
    },
    /// Beyond what is promised of a restart.
    #[error("restart time {0:?}: must be 1 s to 30 s in whole seconds")]
    RestartTime(Duration),
    /// It would hammer the peer.
    #[error("connect time {0:?}: must be at least 1 s")]
    ConnectRetry(Duration),
    /// Nothing could be announced.
    #[error("no address family: a session needs IPv4 or IPv6")]
    NoFamily,
    /// RFC 6793 §9: nobody's number.
    #[error("AS 23456 stands for numbers of four octets (RFC 6793) and belongs to no speaker")]
    AsTrans,
}
