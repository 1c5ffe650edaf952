//! What a session is to be: who begins, how far the neighbour is, its time, its keys.

use std::num::NonZeroU32;

use lb_common::bfd::TTL;

use super::Timers;
use crate::auth::Keys;

/// Who begins (§6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Sends whether or not it hears something.
    #[default]
    Active,
    /// Waits until the other side is heard.
    Passive,
}

/// How far away the neighbour is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Path {
    /// On the link: packets arrive with TTL 255 (RFC 5881 §5).
    #[default]
    SingleHop,
    /// Behind routers: packets arrive with at least this TTL (RFC 5883 §5).
    MultiHop {
        /// 254 unless told otherwise.
        min_ttl: u8,
    },
}

/// What a session is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// bfd.LocalDiscr: unique on this host, better not to be guessed.
    pub local: NonZeroU32,
    /// Who begins.
    pub role: Role,
    /// How far away the neighbour is.
    pub path: Path,
    /// Intervals and multiplier.
    pub timers: Timers,
    /// C: this BFD goes on when the control plane stops.
    pub control_plane_independent: bool,
    /// `None`: no authentication, and none accepted.
    pub authentication: Option<Keys>,
    /// Seeds jitter and sequence numbers: random, and another for each session.
    pub seed: u64,
}

impl Config {
    /// A session over one hop with the defaults of a profile.
    pub fn new(local: NonZeroU32, seed: u64) -> Self {
        Self {
            local,
            role: Role::default(),
            path: Path::default(),
            timers: Timers::default(),
            control_plane_independent: false,
            authentication: None,
            seed,
        }
    }
}

impl Path {
    /// The least TTL a packet may arrive with.
    pub(super) const fn min_ttl(self) -> u8 {
        match self {
            Self::SingleHop => TTL,
            Self::MultiHop { min_ttl } => min_ttl,
        }
    }
}
