//! The hold timer and the keepalive timer.
//!
//! Spec: RFC 4271 §4.4, §6.5 and §10.

use std::time::Instant;

use crate::{jitter::Jitter, open::Negotiated};

/// The timers of a session whose hold time is agreed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// `None`: the hold time is 0.
    pub(super) hold_until: Option<Instant>,
    pub(super) keepalive_at: Option<Instant>,
}

impl Clock {
    /// The peer is alive (§4.4): the hold timer starts anew.
    pub(super) fn heard(&mut self, now: Instant, agreed: &Negotiated) {
        self.hold_until = (!agreed.hold_time.is_zero()).then(|| now + agreed.hold_time);
    }

    /// We have shown that we are alive: the next KEEPALIVE is due a jittered interval later (§10).
    pub(super) fn spoke(&mut self, now: Instant, agreed: &Negotiated, jitter: &mut Jitter) {
        self.keepalive_at = (!agreed.keepalive.is_zero()).then(|| now + jitter.apply(agreed.keepalive));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        earliest(self.hold_until, self.keepalive_at)
    }
}

/// The earlier of two deadlines.
pub(crate) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
