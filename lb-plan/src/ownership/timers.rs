//! What is due when: one deadline per thing, so that a woken machine looks at nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::world::{NodeIx, PlaceIx};
use crate::agent::SegmentId;

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// This node's stage.
    Own,
    /// The questions to a silent node.
    Peer(SegmentId, NodeIx),
    /// An address.
    Place(PlaceIx),
}

/// The deadlines.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Duration, Timer)>,
    by_timer: BTreeMap<Timer, Duration>,
}

impl Timers {
    /// Sets or clears a deadline.
    pub(super) fn set(&mut self, timer: Timer, due: Option<Duration>) {
        let before = match due {
            Some(due) => self.by_timer.insert(timer, due),
            None => self.by_timer.remove(&timer),
        };
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, timer));
        }
        self.due.extend(due.map(|due| (due, timer)));
    }

    /// Takes out one that is due.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Timer> {
        let (due, timer) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.set(timer, None);
        Some(timer)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }
}
