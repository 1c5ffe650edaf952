//! How often an address moved, and how long who lost it waits: the fabric must not call it a duplicate.

use std::time::Duration;

use super::{timing::Timing, world::NodeIx};

/// The moves of one address that this node knows of, its own among them.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Moves {
    last: Option<NodeIx>,
    /// Oldest first; no more than the cap.
    at: Vec<Duration>,
}

impl Moves {
    /// Notes that `node` holds.
    pub(super) fn note(&mut self, now: Duration, node: NodeIx, timing: &Timing) {
        match self.last.replace(node) {
            Some(last) if last != node => {}
            Some(_) | None => return,
        }
        if self.at.len() >= timing.moves_most {
            self.at.remove(0);
        }
        self.at.push(now);
    }

    /// When `node` may take it so that there are at most `most` moves within the window.
    pub(super) fn allowed_at(&self, node: NodeIx, most: usize, timing: &Timing) -> Duration {
        if self.last.is_none_or(|last| last == node) {
            return Duration::ZERO;
        }
        let nth = self.at.len().checked_sub(most);
        nth.and_then(|nth| self.at.get(nth)).map_or(Duration::ZERO, |at| *at + timing.moves_within)
    }
}

/// The wait of a node that gave way to one below itself: doubles with each loss, halves with time.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct HoldDown {
    level: u32,
    lost_at: Duration,
    pub(super) until: Duration,
}

impl HoldDown {
    /// Whether it began within `time`.
    pub(super) fn is_recent(&self, now: Duration, time: Duration) -> bool {
        self.level > 0 && now < self.lost_at + time
    }

    pub(super) fn lose(&mut self, now: Duration, timing: &Timing) {
        let halvings = now.saturating_sub(self.lost_at).as_nanos() / timing.damping.as_nanos().max(1);
        self.level = self.level.saturating_sub(u32::try_from(halvings).unwrap_or(u32::MAX)).saturating_add(1).min(16);
        self.lost_at = now;
        let wait = timing.hold_down * (1 << (self.level - 1));
        self.until = now + wait.min(timing.hold_down_most);
    }
}
