//! What is advertised, what is in force, and the poll sequence that leads from one to the other (RFC 5880 §6.5, §6.8.3).
//!
//! Invariant: without a poll sequence under way, what is advertised is in force.

use std::{num::NonZeroU8, time::Duration};

/// Intervals in microseconds, as packets carry them.
pub type Micros = u32;

/// The slowest this side may want to send while the session is not Up (§6.8.3).
pub(super) const SLOW: Micros = 1_000_000;

/// What the operator wants of a session's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// How often we would like to send, in microseconds.
    pub desired_min_tx: Micros,
    /// How often we can receive, in microseconds. Not 0.
    pub required_min_rx: Micros,
    /// How many packets may be missed.
    pub detect_mult: NonZeroU8,
    /// How often we would like to send echo packets, in microseconds; `None`: no echo (§6.4).
    pub echo_tx: Option<Micros>,
    /// How often we loop echo packets back, in microseconds; 0: not at all.
    pub required_min_echo_rx: Micros,
}

impl Default for Timers {
    /// The defaults of a profile: 300 ms × 3, no echo.
    fn default() -> Self {
        Self {
            desired_min_tx: 300_000,
            required_min_rx: 300_000,
            detect_mult: NonZeroU8::new(3).expect("not 0"),
            echo_tx: None,
            required_min_echo_rx: 0,
        }
    }
}

/// bfd.DesiredMinTxInterval and bfd.RequiredMinRxInterval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) desired_min_tx: Micros,
    pub(super) required_min_rx: Micros,
}

/// Only one poll sequence at a time (§6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poll {
    Idle,
    Running {
        /// Something changed after it began: the next F may answer what was, so another sequence follows.
        is_stale: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Negotiation {
    advertised: Pace,
    in_force: Pace,
    poll: Poll,
}

impl Negotiation {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { advertised: pace, in_force: pace, poll: Poll::Idle }
    }

    pub(super) const fn advertised(&self) -> Pace {
        self.advertised
    }

    pub(super) const fn in_force(&self) -> Pace {
        self.in_force
    }

    pub(super) const fn is_polling(&self) -> bool {
        matches!(self.poll, Poll::Running { .. })
    }

    /// Advertises `wanted`. While Up, what would make the neighbour miss packets, or us miss its silence, waits for the
    /// end of the poll sequence: a longer transmit interval, a shorter detection time. All else is in force at once.
    pub(super) fn want(&mut self, wanted: Pace, is_up: bool) {
        if wanted != self.advertised {
            self.advertised = wanted;
            self.poll = Poll::Running { is_stale: self.is_polling() };
        }
        if !is_up {
            self.in_force = wanted;
            return;
        }
        self.in_force.desired_min_tx = self.in_force.desired_min_tx.min(wanted.desired_min_tx);
        self.in_force.required_min_rx = self.in_force.required_min_rx.max(wanted.required_min_rx);
    }

    /// F was received.
    pub(super) fn finish(&mut self) {
        self.poll = match self.poll {
            Poll::Running { is_stale: true } => Poll::Running { is_stale: false },
            Poll::Running { is_stale: false } | Poll::Idle => Poll::Idle,
        };
        if self.poll == Poll::Idle {
            self.in_force = self.advertised;
        }
    }

    /// Nobody is there to answer: whoever comes learns what is advertised from the first packet.
    pub(super) fn abandon(&mut self) {
        self.poll = Poll::Idle;
        self.in_force = self.advertised;
    }
}

/// Microseconds as a span.
pub(super) fn span(micros: Micros) -> Duration {
    Duration::from_micros(micros.into())
}
