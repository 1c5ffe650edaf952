//! One BGP connection as a sans-IO state machine, from the moment TCP is up.
//!
//! Octets and time go in; a [`Step`] comes out for each message, and [`Over`] at the end. Opens no socket, reads no clock:
//! `peer.rs` owns the sessions of a peer, dials, retries and resolves collisions (RFC 4271 §6.8).
//!
//! Invariant: after [`Over`] the session is dropped; its last words are all that is still to be written.
//! Spec: RFC 4271 §8.2.2 (states) and §6 (errors), RFC 6608 (subcodes), RFC 9687 (send hold timer).

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::PeerConfig,
    frame::{EXTENDED_MAX, Frame, Framer, Kind},
    jitter::Jitter,
    notification::Notification,
    open::{self, Negotiated},
    output::Output,
    status::{Counters, Down},
    wire,
};

mod clock;
mod established;
mod step;
#[cfg(test)]
mod tests;

use self::clock::Clock;
pub(crate) use self::{
    clock::earliest,
    established::Established,
    step::{Over, Step},
};

/// How long an OPEN may take to come (RFC 4271 §8.2.2: "4 minutes").
const OPEN_HOLD: Duration = Duration::from_secs(240);
/// A peer that takes no octet for so long is gone, or twice the hold time if that is longer (RFC 9687 §6).
const SEND_HOLD: Duration = Duration::from_secs(480);

/// Each deadline lives in the state that owns it: a timer of a dead state cannot fire.
#[derive(Debug)]
enum State {
    OpenSent { hold_until: Instant },
    OpenConfirm { agreed: Negotiated, clock: Clock },
    Established(Box<Established>),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    config: Arc<PeerConfig>,
    local: IpAddr,
    framer: Framer,
    output: Output,
    /// While there is something to write: when the peer's refusal to take it ends the session.
    stalled_at: Option<Instant>,
    jitter: Jitter,
    state: State,
    counters: Counters,
    last_malformed: Option<String>,
}

impl Session {
    /// TCP is up: sends our OPEN. `restarted`: see [`open::ours`].
    pub(crate) fn new(now: Instant, config: Arc<PeerConfig>, local: IpAddr, restarted: bool, jitter: Jitter) -> Self {
        let mut session = Self {
            // A socket of both families shows IPv4 peers as mapped.
            local: local.to_canonical(),
            // Every OPEN of ours offers extended messages (RFC 8654 §4).
            framer: Framer::new(EXTENDED_MAX),
            output: Output::default(),
            stalled_at: None,
            jitter,
            state: State::OpenSent { hold_until: now + OPEN_HOLD },
            counters: Counters::default(),
            last_malformed: None,
            config,
        };
        session.output.push(&wire::encode_open(&open::ours(&session.config, restarted)));
        session.counters.sent.open += 1;
        session
    }

    /// Takes the next message of `input`, which shrinks by what was used.
    pub(crate) fn step(&mut self, now: Instant, input: &mut &[u8]) -> Step {
        match self.framer.next(input) {
            Ok(Some(frame)) => self.take(now, frame).unwrap_or_else(Step::Over),
            Ok(None) => Step::Waiting,
            Err(notification) => Step::Over(self.fail(notification)),
        }
    }

    /// One arm per row of RFC 4271 §8.2.2 that a message can cause.
    fn take(&mut self, now: Instant, frame: Frame) -> Result<Step, Over> {
        self.count(frame.kind);
        match (&mut self.state, frame.kind) {
            // Never answered, in whatever state (§6.4).
            (_, Kind::Notification) => Err(self.closed(Down::Received(wire::decode_notification(frame.octets)))),
            (State::OpenSent { .. }, Kind::Open) => self.take_open(now, frame.octets),
            (State::OpenConfirm { agreed, clock }, Kind::Keepalive) => {
                clock.heard(now, agreed);
                let established = Established::new(now, &self.config, self.local, agreed.clone(), *clock);
                self.state = State::Established(Box::new(established));
                self.counters.established += 1;
                Ok(Step::Established)
            }
            (State::Established(up), Kind::Keepalive) => {
                up.heard(now);
                Ok(Step::Took)
            }
            (State::Established(up), Kind::Update) => {
                up.heard(now);
                self.take_update(frame.octets)
            }
            (State::Established(up), Kind::RouteRefresh) => match up.take_refresh(&frame.octets) {
                Ok(()) => Ok(Step::Took),
                Err(notification) => Err(self.fail(notification)),
            },
            (State::OpenSent { .. }, Kind::Keepalive | Kind::Update | Kind::RouteRefresh) => {
                Err(self.fail(Notification::UNEXPECTED_IN_OPEN_SENT))
            }
            (State::OpenConfirm { .. }, Kind::Open | Kind::Update | Kind::RouteRefresh) => {
                Err(self.fail(Notification::UNEXPECTED_IN_OPEN_CONFIRM))
            }
            (State::Established(_), Kind::Open) => Err(self.fail(Notification::UNEXPECTED_IN_ESTABLISHED)),
        }
    }

    fn take_open(&mut self, now: Instant, octets: Vec<u8>) -> Result<Step, Over> {
        let open = wire::decode_open(octets).map_err(|notification| self.fail(notification))?;
        let agreed = open::judge(&self.config, &open).map_err(|error| {
            let over = self.fail(Notification::from(&error));
            over.because(error.to_string())
        })?;
        self.send_keepalive();
        let mut clock = Clock { hold_until: None, keepalive_at: None };
        clock.heard(now, &agreed);
        clock.spoke(now, &agreed, &mut self.jitter);
        self.state = State::OpenConfirm { agreed, clock };
        Ok(Step::Opened)
    }

    fn take_update(&mut self, octets: Vec<u8>) -> Result<Step, Over> {
        let State::Established(up) = &self.state else { return Ok(Step::Took) };
        let (four_octet_as, internal) = (up.agreed.four_octet_as, up.agreed.internal);
        let received = wire::decode_update(octets, four_octet_as, internal).map_err(|error| self.fail(error))?;
        self.counters.announced += received.announced;
        self.counters.withdrawn += received.withdrawn;
        self.counters.end_of_rib += u64::from(received.end_of_rib.is_some());
        match received.verdict {
            wire::Verdict::Clean => {}
            wire::Verdict::Discarded(why) => {
                self.counters.discarded += 1;
                self.last_malformed = Some(why);
            }
            wire::Verdict::Withdrawn(why) => {
                self.counters.treated_as_withdraw += 1;
                self.last_malformed = Some(why);
            }
        }
        Ok(Step::Took)
    }

    /// A deadline may have passed.
    pub(crate) fn timer(&mut self, now: Instant) -> Option<Over> {
        let due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if due(self.stalled_at) {
            // A NOTIFICATION would not get through either, and must not delay the end (RFC 9687 §5).
            let notification = Notification::SEND_HOLD_TIMER_EXPIRED;
            return Some(self.closed(Down::Sent { notification, why: Some("the peer reads nothing".into()) }));
        }
        let (clock, agreed) = match &mut self.state {
            State::OpenSent { hold_until } => {
                return due(Some(*hold_until)).then(|| self.fail(Notification::HOLD_TIMER_EXPIRED));
            }
            State::OpenConfirm { agreed, clock } => (clock, &*agreed),
            State::Established(up) => {
                if let Some(notification) = up.must_go(now) {
                    return Some(self.fail(notification));
                }
                (&mut up.clock, &up.agreed)
            }
        };
        if due(clock.hold_until) {
            return Some(self.fail(Notification::HOLD_TIMER_EXPIRED)); // §6.5
        }
        if due(clock.keepalive_at) {
            clock.spoke(now, agreed, &mut self.jitter);
            // What waits to be written says as much as a KEEPALIVE, and does not grow.
            if self.output.is_empty() {
                self.send_keepalive();
            }
        }
        None
    }

    /// When [`Self::timer`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            State::OpenSent { hold_until } => Some(*hold_until),
            State::OpenConfirm { clock, .. } => clock.deadline(),
            State::Established(up) => earliest(up.clock.deadline(), up.deadline()),
        };
        earliest(own, self.stalled_at)
    }

    /// `count` octets of the output were written.
    pub(crate) fn written(&mut self, now: Instant, count: usize) -> Option<Over> {
        self.output.advance(count);
        if count > 0 {
            self.stalled_at = None;
        }
        self.watch_output(now);
        let State::Established(up) = &mut self.state else { return None };
        let notification = up.has_left(&self.output)?;
        Some(self.fail(notification))
    }

    /// Ends the session with a NOTIFICATION.
    pub(crate) fn fail(&mut self, notification: Notification) -> Over {
        self.counters.sent.notification += 1;
        let last_words = self.output.last_words(&wire::encode_notification(&notification));
        Over { down: Down::Sent { notification, why: None }, last_words }
    }

    /// Ends the session so that the peer drops its routes, even one that keeps them through NOTIFICATIONs (RFC 8538 §4).
    pub(crate) fn fail_hard(&mut self, notification: Notification) -> Over {
        let hard = self.established().is_some_and(|up| up.agreed.hard_reset);
        self.fail(if hard { notification.into_hard_reset() } else { notification })
    }

    /// Ends the session without another word.
    pub(crate) fn closed(&mut self, down: Down) -> Over {
        Over { down, last_words: Vec::new() }
    }

    /// What was agreed on, from OpenConfirm on.
    pub(crate) fn agreed(&self) -> Option<&Negotiated> {
        match &self.state {
            State::OpenSent { .. } => None,
            State::OpenConfirm { agreed, .. } => Some(agreed),
            State::Established(up) => Some(&up.agreed),
        }
    }

    /// The session that is up.
    pub(crate) fn established(&self) -> Option<&Established> {
        match &self.state {
            State::Established(up) => Some(up),
            State::OpenSent { .. } | State::OpenConfirm { .. } => None,
        }
    }

    pub(crate) const fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn last_malformed(&self) -> Option<&str> {
        self.last_malformed.as_deref()
    }

    fn send_keepalive(&mut self) {
        self.output.push(&wire::keepalive());
        self.counters.sent.keepalive += 1;
    }

    /// The send hold timer runs while something waits to be written.
    fn watch_output(&mut self, now: Instant) {
        if self.output.is_empty() {
            self.stalled_at = None;
        } else if self.stalled_at.is_none() {
            let hold = self.agreed().map_or(Duration::ZERO, |agreed| agreed.hold_time * 2);
            self.stalled_at = Some(now + hold.max(SEND_HOLD));
        }
    }

    fn count(&mut self, kind: Kind) {
        let received = &mut self.counters.received;
        *match kind {
            Kind::Open => &mut received.open,
            Kind::Update => &mut received.update,
            Kind::Notification => &mut received.notification,
            Kind::Keepalive => &mut received.keepalive,
            Kind::RouteRefresh => &mut received.refresh,
        } += 1;
    }
}
