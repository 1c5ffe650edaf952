//! One BFD session in asynchronous mode (RFC 5880 §6.8) as a sans-IO state machine.
//!
//! Packets and time go in; packets, changes and deadlines come out, in the order that the crate's header gives.
//! [`Session::verdict`] is what a client (a BGP session) goes by: level, not edge.
//!
//! * Timers are negotiated by poll sequences (`timers.rs`), states follow one table (`table.rs`).
//! * Demand mode is never asked for: our D is clear, and the neighbour goes on sending. A neighbour that asks for it gets
//!   what §6.8.6 says it must: no periodic packets while both are Up, and an answer to every poll.
//! * Echo: the interval is negotiated and [`Session::echo_interval`] tells it. Sending echo packets and noticing that they
//!   do not come back is the driver's, which reports it by [`Session::fail`].
//!
//! Must not: read a clock or a socket, or find sessions: [`addressee`] tells whose a packet is.
//!
//! Spec: RFC 5880 §6.8; RFC 5881 §5 and RFC 5883 §5 (TTL); RFC 5882 §3 (what a client makes of it).

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use lb_common::bfd::{Diagnostic, Malformed, Packet, State};

use self::timers::{Negotiation, Pace, SLOW, span};
pub use self::{
    config::{Config, Path, Role},
    receive::Discard,
    timers::{Micros, Timers},
};
use crate::{auth::Authenticator, jitter::Jitter};

mod config;
mod receive;
mod resume;
mod table;
#[cfg(test)]
mod tests;
mod timers;
mod transmit;

/// A change of state, for logs and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why.
    pub diagnostic: Diagnostic,
}

/// What a client is to make of the session (RFC 5882 §3.2, §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Not Up yet: no ground to act on.
    Starting,
    /// The path works.
    Up,
    /// The path failed: act.
    Failed,
    /// An operator of either side switched BFD off: this says nothing about the path, and is no failure.
    Unmonitored,
}

/// What is known of the other side. It is forgotten when nothing valid was heard for a detection time (§6.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// What it last said.
    pub packet: Packet,
    /// When.
    pub heard: Instant,
}

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    config: Config,
    state: State,
    diagnostic: Diagnostic,
    neighbour: Option<Neighbour>,
    negotiation: Negotiation,
    /// What the last departure from Up, or the neighbour since, said about the path.
    past: Verdict,
    /// P was received: an answer with F is due, whatever the timer says (§6.8.7).
    final_due: bool,
    /// The last packet that was sent, P and F clear.
    sent: Option<Packet>,
    sent_at: Instant,
    /// When the next periodic packet is due, and the interval before jitter that this was reckoned from.
    next: (Instant, Duration),
    /// When the sequence number of the neighbour is forgotten (§6.8.1 bfd.AuthSeqKnown).
    forget_sequence_at: Option<Instant>,
    /// Until when AdminDown is still news to the neighbour (§6.8.16).
    told_at: Option<Instant>,
    authenticator: Option<Authenticator>,
    jitter: Jitter,
    changes: VecDeque<Change>,
}

/// Whose a received packet is (§6.8.6): the session of that discriminator or, if `None`, the one with that path.
pub fn addressee(payload: &[u8]) -> Result<Option<NonZeroU32>, Malformed> {
    Ok(NonZeroU32::new(Packet::parse(payload)?.packet.your_discriminator))
}

impl Session {
    /// A new session, Down.
    #[expect(clippy::cast_possible_truncation, reason = "any 32 bits will do")]
    pub fn new(config: Config, now: Instant) -> Self {
        let authenticator = config.authentication.clone().map(|keys| Authenticator::new(keys, config.seed as u32));
        let timers = config.timers;
        let pace = Pace { desired_min_tx: timers.desired_min_tx.max(SLOW), required_min_rx: timers.required_min_rx };
        Self {
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            neighbour: None,
            negotiation: Negotiation::new(pace),
            past: Verdict::Starting,
            final_due: false,
            sent: None,
            sent_at: now,
            next: (now, Duration::ZERO),
            forget_sequence_at: None,
            told_at: None,
            authenticator,
            jitter: Jitter::seeded(config.seed),
            changes: VecDeque::new(),
            config,
        }
    }

    /// bfd.SessionState.
    pub const fn state(&self) -> State {
        self.state
    }

    /// bfd.LocalDiag.
    pub const fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// What the other side last said, if it was heard within a detection time.
    pub const fn neighbour(&self) -> Option<&Neighbour> {
        self.neighbour.as_ref()
    }

    /// What a client is to make of it.
    pub const fn verdict(&self) -> Verdict {
        match self.state {
            State::Up => Verdict::Up,
            State::AdminDown => Verdict::Unmonitored,
            State::Down | State::Init => self.past,
        }
    }

    /// §6.8.4: how long a silence ends the session. `None` before anything was heard.
    pub fn detection_time(&self) -> Option<Duration> {
        let packet = self.neighbour.as_ref()?.packet;
        let interval = self.negotiation.in_force().required_min_rx.max(packet.desired_min_tx).max(1);
        Some(span(interval) * u32::from(packet.detect_mult))
    }

    /// §6.8.2: the time between periodic packets, before jitter. `None`: the neighbour wants none.
    pub fn transmit_interval(&self) -> Option<Duration> {
        let least = self.neighbour.map_or(1, |neighbour| neighbour.packet.required_min_rx);
        (least != 0).then(|| span(self.negotiation.in_force().desired_min_tx.max(least)))
    }

    /// §6.8.9: how often echo packets may be sent now, if at all. Never over several hops (RFC 5883 §4).
    pub fn echo_interval(&self) -> Option<Duration> {
        let wanted = self.config.timers.echo_tx?;
        let least = self.neighbour?.packet.required_min_echo_rx;
        let may = self.state == State::Up && self.config.path == Path::SingleHop && least != 0;
        may.then(|| span(wanted.max(least)))
    }

    /// Lets time pass. All that has arrived must have been handed over before.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.expiry().is_some_and(|at| at <= now) {
            if matches!(self.state, State::Init | State::Up) {
                self.enter(State::Down, Diagnostic::DETECTION_TIME_EXPIRED, Verdict::Failed);
            }
            self.neighbour = None; // bfd.RemoteDiscr = 0 (§6.8.1), bfd.RemoteMinRxInterval = 1 (§6.8.18)
            self.negotiation.abandon();
        }
        if self.forget_sequence_at.is_some_and(|at| at <= now) {
            self.forget_sequence_at = None;
            self.authenticator.iter_mut().for_each(Authenticator::forget);
        }
        self.settle();
    }

    /// When to call again, if nothing arrives before. `None`: only a packet or a call can change anything.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let periodic = self.is_periodic().then_some(self.next.0);
        [periodic, self.expiry(), self.forget_sequence_at].into_iter().flatten().min()
    }

    /// The oldest change that was not fetched yet.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// Changes intervals, multiplier or echo without leaving the state (§6.8.3, §6.8.12).
    pub fn set_timers(&mut self, timers: Timers) {
        self.config.timers = timers;
        self.settle();
    }

    /// Says by C whether this BFD goes on when the control plane stops. That is no interval, so no poll sequence follows.
    pub const fn set_control_plane_independent(&mut self, independent: bool) {
        self.config.control_plane_independent = independent;
    }

    /// Whoever stands in for this session heard the neighbour be Up at `at`, with the packets of which nothing came here.
    pub fn heard_elsewhere(&mut self, at: Instant) {
        if let (State::Up, Some(neighbour)) = (self.state, &mut self.neighbour) {
            neighbour.heard = neighbour.heard.max(at);
        }
    }

    /// Holds the session down (§6.8.16). Packets go on; [`Session::is_told`] says when the session may be dropped.
    pub fn disable(&mut self, now: Instant) {
        if self.state == State::AdminDown {
            return;
        }
        self.enter(State::AdminDown, Diagnostic::ADMIN_DOWN, Verdict::Unmonitored);
        self.settle();
        let interval = self.transmit_interval().unwrap_or(span(SLOW));
        self.told_at = Some(now + interval * u32::from(self.config.timers.detect_mult.get()));
    }

    /// Lets the session come up again.
    pub fn enable(&mut self) {
        if self.state == State::AdminDown {
            self.told_at = None;
            self.enter(State::Down, Diagnostic::NONE, Verdict::Starting);
            self.settle();
        }
    }

    /// Whether AdminDown has been sent for as long as the neighbour's detection time (§6.8.16).
    pub fn is_told(&self, now: Instant) -> bool {
        self.told_at.is_some_and(|at| at <= now)
    }

    /// Something else found the path broken: echo (§6.8.5), the link, the forwarding plane (§6.8.15).
    pub fn fail(&mut self, diagnostic: Diagnostic) {
        if matches!(self.state, State::Init | State::Up) {
            self.enter(State::Down, diagnostic, Verdict::Failed);
            self.settle();
        }
    }

    /// When the neighbour is forgotten, and a session that is Up or Init with it Down, if nothing more is heard (§6.8.4).
    pub fn expiry(&self) -> Option<Instant> {
        Some(self.neighbour.as_ref()?.heard + self.detection_time()?)
    }

    fn enter(&mut self, to: State, diagnostic: Diagnostic, left_up: Verdict) {
        let from = std::mem::replace(&mut self.state, to);
        self.diagnostic = diagnostic;
        if from == State::Up {
            self.past = left_up;
        } else if to == State::Down && left_up == Verdict::Starting {
            self.past = Verdict::Starting;
        }
        self.changes.push_back(Change { from, to, diagnostic });
    }

    /// Recomputes what follows from state, neighbour and configuration: what is wanted, and when the next packet is due.
    fn settle(&mut self) {
        let timers = self.config.timers;
        let is_up = self.state == State::Up;
        let slow_tx = if is_up { 0 } else { SLOW }; // §6.8.3
        let slow_rx = if self.echo_interval().is_some() { SLOW } else { 0 }; // §6.8.3: echo does the detecting
        let wanted = Pace {
            desired_min_tx: timers.desired_min_tx.max(slow_tx),
            required_min_rx: timers.required_min_rx.max(slow_rx),
        };
        self.negotiation.want(wanted, is_up);
        if self.neighbour.is_none() {
            self.negotiation.abandon();
        }
        // §6.8.3: a change of the interval counts from the last packet on, at once.
        let Some(interval) = self.transmit_interval() else { return };
        if self.sent.is_some() && interval != self.next.1 {
            self.next = (self.sent_at + self.jitter.apply(interval, timers.detect_mult.get()), interval);
        }
    }
}
