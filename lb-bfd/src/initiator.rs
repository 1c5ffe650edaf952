//! The S-BFD initiator: asks another node's reflector again and again, and says what its silence or its answers mean.
//!
//! Level, not edge: [`Initiator::reading`] is what is known now; nothing has to be fetched for it to be right.
//!
//! Silence is counted in *attended* time: the time between the moment this machine asked to be woken and the moment it
//! was is its owner's, not the peer's. With the socket drained before [`Initiator::handle_timeout`], a prober that was
//! late or stopped never mistakes its own absence for the peer's.
//!
//! ```text
//!            Up                  AdminDown
//! Unknown ────────> Up <───────────────────> AdminDown
//!                    │ ^        Up            │
//!              quiet │ │ Up             quiet │
//!                    v │      AdminDown       v
//!                   Down ───────────────────> (Down)
//! ```
//!
//! Must not: read a clock or a socket. Spec: RFC 7880 §7.3 (initiator), RFC 7881 §4 (TTL), RFC 5880 §6.8.4, §6.8.7.

use std::{
    num::{NonZeroU8, NonZeroU32},
    time::{Duration, Instant},
};

use lb_common::bfd::{Diagnostic, LENGTH, Malformed, Packet, State, TTL};

use crate::jitter;

#[cfg(test)]
mod tests;

/// How many intervals a node that never answered counts as Up.
const GRACE: u32 = 3;

/// Whom to probe, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Ours: what answers must carry. Unique among the initiators of this node.
    pub local: NonZeroU32,
    /// The discriminator of the node that is probed.
    pub remote: NonZeroU32,
    /// The time between probes, before jitter.
    pub interval: Duration,
    /// How many intervals of silence make a node Down.
    pub multiplier: NonZeroU8,
}

/// A wake-up at which probes are sent, with a random number of its caller's.
///
/// All that go out at it have their next interval cut by the same share, a new one each time (RFC 5880 §6.8.7 wants each
/// interval of a session to be random, not those of two sessions to differ): so they stay together, and cost one
/// wake-up and not one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round(pub u64);

impl Config {
    /// The default rate.
    pub const INTERVAL: Duration = Duration::from_millis(50);
    /// The default multiplier.
    pub const MULTIPLIER: NonZeroU8 = NonZeroU8::new(3).expect("not 0");

    /// Probes `remote` at the default rate: 50 ms × 3.
    pub const fn new(local: NonZeroU32, remote: NonZeroU32) -> Self {
        Self { local, remote, interval: Self::INTERVAL, multiplier: Self::MULTIPLIER }
    }
}

/// What is known of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// It never answered.
    Unknown {
        /// It has not had three intervals yet, and counts as Up.
        in_grace: bool,
    },
    /// It answers, and holds what is its own.
    Up,
    /// It answers, and says: take it from me.
    AdminDown,
    /// It answered once, and went silent.
    Down,
}

/// Why a packet was not taken as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Discard {
    /// RFC 7881 §4.
    #[error("the TTL is {0}, not 255")]
    Ttl(u8),
    /// RFC 5880 §6.8.6.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// No authentication is in use.
    #[error("authenticated")]
    Authenticated,
    /// RFC 7880 §7.3: it was sent by an initiator, perhaps by ourselves.
    #[error("the demand bit is set: not from a reflector")]
    Demand,
    /// It answers somebody else, or somebody else answers.
    #[error("from {my:#010x} to {your:#010x}")]
    Discriminators {
        /// The sender's.
        my: u32,
        /// The receiver's.
        your: u32,
    },
    /// RFC 7880 §7.2.2: a reflector is Up or AdminDown.
    #[error("a reflector has no state {0:?}")]
    State(State),
}

/// What the last answer said, or that there is none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Unknown,
    Up,
    AdminDown,
    Down,
}

/// The prober of one node.
#[derive(Debug, Clone)]
pub struct Initiator {
    config: Config,
    peer: Peer,
    /// The least interval between probes that the reflector asks for.
    least_interval: Duration,
    /// Attended time since the last answer, or since the beginning.
    quiet: Duration,
    /// Until when time has been added to `quiet`, or found to be our own.
    attended: Instant,
    /// When the next probe is due.
    probe_at: Instant,
    /// From when on it may be sent: an interval is never cut by more than a quarter.
    may_probe_at: Instant,
}

impl Initiator {
    /// Begins to probe: the first probe is due at once.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            peer: Peer::Unknown,
            least_interval: Duration::ZERO,
            quiet: Duration::ZERO,
            attended: now,
            probe_at: now,
            may_probe_at: now,
        }
    }

    /// What is known now.
    pub fn reading(&self) -> Reading {
        match self.peer {
            Peer::Unknown => Reading::Unknown { in_grace: self.quiet < self.grace() },
            Peer::Up => Reading::Up,
            Peer::AdminDown => Reading::AdminDown,
            Peer::Down => Reading::Down,
        }
    }

    /// Takes a packet that arrived with `ttl` at our source port.
    pub fn handle_packet(&mut self, now: Instant, ttl: u8, payload: &[u8]) -> Result<(), Discard> {
        self.attend(now);
        let (peer, answer) = self.judge(ttl, payload)?;
        self.quiet = Duration::ZERO;
        self.least_interval = Duration::from_micros(answer.required_min_rx.into());
        self.peer = peer;
        Ok(())
    }

    /// Lets time pass. All that has arrived must have been handed over before.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.attend(now);
        let silent = self.quiet >= self.detection_time();
        self.peer = match self.peer {
            Peer::Up | Peer::AdminDown if silent => Peer::Down,
            peer @ (Peer::Unknown | Peer::Up | Peer::AdminDown | Peer::Down) => peer,
        };
    }

    /// Whether its probe is due, and with it that of every other initiator that may be sent.
    pub fn is_due(&self, now: Instant) -> bool {
        self.probe_at <= now
    }

    /// The probe, if one is due or may go out already: to be called for all initiators as soon as one is due. A late one is
    /// sent once, not made up for.
    pub fn poll_transmit(&mut self, now: Instant, round: Round) -> Option<[u8; LENGTH]> {
        if now < self.may_probe_at {
            return None;
        }
        let interval = self.interval();
        self.probe_at = now + jitter::shorten(interval, self.config.multiplier.get(), round.0);
        self.may_probe_at = now + jitter::least(interval);
        Some(self.probe().to_bytes())
    }

    /// When to call again, if nothing arrives before.
    pub fn poll_timeout(&self) -> Instant {
        let patience = match self.peer {
            Peer::Unknown => self.grace(),
            Peer::Up | Peer::AdminDown => self.detection_time(),
            Peer::Down => return self.probe_at,
        };
        match patience.checked_sub(self.quiet) {
            None | Some(Duration::ZERO) => self.probe_at,
            Some(left) => self.probe_at.min(self.attended + left),
        }
    }

    /// How long a silence makes the node Down, in attended time.
    pub fn detection_time(&self) -> Duration {
        self.interval() * u32::from(self.config.multiplier.get())
    }

    /// Probes at another rate from now on. Silence that was measured at a slower rate is no evidence at a faster one, so
    /// its count begins anew.
    pub fn set_interval(&mut self, now: Instant, interval: Duration) {
        self.attend(now);
        if interval < self.config.interval {
            self.quiet = Duration::ZERO;
        }
        self.config.interval = interval;
        self.probe_at = self.probe_at.min(now + self.interval());
        self.may_probe_at = self.may_probe_at.min(now + jitter::least(self.interval()));
    }

    /// Adds the time since the last call to the silence, up to the moment this call was due.
    fn attend(&mut self, now: Instant) {
        let due = self.poll_timeout().max(self.attended);
        self.quiet += now.min(due).saturating_duration_since(self.attended);
        self.attended = self.attended.max(now);
    }

    fn judge(&self, ttl: u8, payload: &[u8]) -> Result<(Peer, Packet), Discard> {
        if ttl != TTL {
            return Err(Discard::Ttl(ttl));
        }
        let control = Packet::parse(payload)?;
        let packet = control.packet;
        if control.authentication.is_some() {
            return Err(Discard::Authenticated);
        }
        if packet.demand {
            return Err(Discard::Demand);
        }
        let (my, your) = (packet.my_discriminator, packet.your_discriminator);
        if my != self.config.remote.get() || your != self.config.local.get() {
            return Err(Discard::Discriminators { my, your });
        }
        match packet.state {
            State::Up => Ok((Peer::Up, packet)),
            State::AdminDown => Ok((Peer::AdminDown, packet)),
            State::Down | State::Init => Err(Discard::State(packet.state)),
        }
    }

    /// RFC 7880 §7.3: D is set, and nothing is to be sent to us but answers.
    fn probe(&self) -> Packet {
        let (state, diagnostic) = match self.peer {
            Peer::Unknown => (State::Down, Diagnostic::NONE),
            Peer::Up => (State::Up, Diagnostic::NONE),
            Peer::AdminDown => (State::Down, Diagnostic::NEIGHBOUR_DOWN),
            Peer::Down => (State::Down, Diagnostic::DETECTION_TIME_EXPIRED),
        };
        Packet {
            diagnostic,
            state,
            poll: false,
            finish: false,
            control_plane_independent: false,
            demand: true,
            detect_mult: self.config.multiplier.get(),
            my_discriminator: self.config.local.get(),
            your_discriminator: self.config.remote.get(),
            desired_min_tx: u32::try_from(self.config.interval.as_micros()).unwrap_or(u32::MAX),
            required_min_rx: 0,
            required_min_echo_rx: 0,
        }
    }

    fn interval(&self) -> Duration {
        self.config.interval.max(self.least_interval)
    }

    fn grace(&self) -> Duration {
        self.interval() * GRACE
    }
}
