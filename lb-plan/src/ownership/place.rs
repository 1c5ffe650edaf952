//! One address on one segment, as this node sees it.

use std::{sync::Arc, time::Duration};

use super::{
    Why,
    input::{Conflict, Failback},
    moves::{HoldDown, Moves},
    output::{Rate, WhyNot},
    timing::Timing,
    world::{ME, NodeIx},
};
use crate::agent::{EntryKey, Mac};

/// What is wanted of an address, by numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Terms {
    pub(super) released: bool,
    /// Best first. The segments of an address share it.
    pub(super) ranking: Arc<[NodeIx]>,
    pub(super) failback: Failback,
    pub(super) conflict: Conflict,
}

/// The state of one address on one segment.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) key: EntryKey,
    pub(super) terms: Terms,
    pub(super) state: State,
    /// Since when it is held, or not.
    pub(super) since: Duration,
    /// The other node that was heard to hold it last.
    pub(super) holder: Option<Seen>,
    /// The ranking put this node above the holder: no failback, a planned move.
    pub(super) promoted: bool,
    /// Since when this node could take it from a living node below.
    pub(super) wanting: Option<Duration>,
    pub(super) hold_down: HoldDown,
    pub(super) moves: Moves,
    pub(super) audit: Option<Audit>,
    pub(super) stranger: Option<Stranger>,
    /// The turn of its next question, if it had to wait for one.
    pub(super) asks_at: Option<Duration>,
    /// Whom this place has watched.
    pub(super) watching: Vec<(NodeIx, Rate)>,
    /// When the judgement may change by itself.
    pub(super) wait_until: Option<Duration>,
}

/// The states of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// Suppresses.
    Rest { why: WhyNot },
    /// Suppresses, and asks the segment before it takes.
    Look { asked: u8, due: Duration },
    /// Answers.
    Hold(Hold),
}

/// What is known only while the address is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Hold {
    pub(super) why: Why,
    /// The node that was heard to hold it before.
    pub(super) from: Option<NodeIx>,
    pub(super) generation: u32,
    /// When the first copy of a series went out, or was to go: rule 5's "I claimed".
    pub(super) claimed_at: Duration,
    /// That copy has been sent.
    pub(super) claimed: bool,
    /// It was taken from a node below that holds it: what is heard from there is from before it heard the claim.
    pub(super) firm: bool,
    pub(super) refresh_at: Duration,
    /// When a claim was withstood last.
    pub(super) defended_at: Option<Duration>,
    /// When to ask whether somebody else answers.
    pub(super) verify_at: Option<Duration>,
    /// Nobody was heard when it was taken: announced as soon as somebody is.
    pub(super) unannounced: bool,
    /// The last such question was answered by a node from which it was taken.
    pub(super) contested: bool,
}

/// A node that was heard to hold the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) node: NodeIx,
    pub(super) at: Duration,
}

/// An audit (rule 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Audit {
    pub(super) due: Duration,
    /// Questions sent and not answered.
    pub(super) unanswered: u32,
}

/// A station that is no node and uses the address (rule 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stranger {
    pub(super) mac: Mac,
    /// When it was announced against.
    pub(super) announced_at: Option<Duration>,
    /// Not to be held before this.
    pub(super) retreat_until: Duration,
}

impl Place {
    pub(super) fn new(now: Duration, key: EntryKey, terms: Terms) -> Self {
        Self {
            key,
            terms,
            state: State::Rest { why: WhyNot::New },
            since: now,
            holder: None,
            promoted: false,
            wanting: None,
            hold_down: HoldDown::default(),
            moves: Moves::default(),
            audit: None,
            stranger: None,
            asks_at: None,
            watching: Vec::new(),
            wait_until: None,
        }
    }

    pub(super) const fn hold(&self) -> Option<&Hold> {
        match &self.state {
            State::Hold(hold) => Some(hold),
            State::Rest { .. } | State::Look { .. } => None,
        }
    }

    pub(super) const fn hold_mut(&mut self) -> Option<&mut Hold> {
        match &mut self.state {
            State::Hold(hold) => Some(hold),
            State::Rest { .. } | State::Look { .. } => None,
        }
    }

    pub(super) fn rank(&self, node: NodeIx) -> Option<usize> {
        self.terms.ranking.iter().position(|ranked| *ranked == node)
    }

    /// The nodes above this one; none if it is not ranked.
    pub(super) fn above(&self) -> &[NodeIx] {
        let rank = self.rank(ME).unwrap_or(0);
        self.terms.ranking.get(..rank).unwrap_or_default()
    }

    /// The node that is next if this one goes.
    pub(super) fn next_below(&self) -> Option<NodeIx> {
        self.terms.ranking.get(self.rank(ME)? + 1).copied()
    }

    /// Whether `node` is below this one. A node that is not ranked is below all.
    pub(super) fn is_below_me(&self, node: NodeIx) -> bool {
        match (self.rank(ME), self.rank(node)) {
            (Some(mine), Some(other)) => other > mine,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            // Nobody is told to give way; the lower number of two strangers to the ranking is no better.
            (None, None) => false,
        }
    }

    /// Notes who was heard to hold it.
    pub(super) fn note_holder(&mut self, now: Duration, node: NodeIx, timing: &Timing) {
        self.holder = Some(Seen { node, at: now });
        self.moves.note(now, node, timing);
    }

    /// The holder, if it was heard so recently that it would have been heard again.
    pub(super) fn holder_below(&self, now: Duration, timing: &Timing) -> Option<NodeIx> {
        let seen = self.holder.filter(|seen| now < seen.at + timing.remember())?;
        self.is_below_me(seen.node).then_some(seen.node)
    }

    /// Whether it holds, or waits for answers.
    pub(super) fn asks(&self) -> bool {
        let audits = self.audit.is_some_and(|audit| audit.unanswered > 0);
        audits || !matches!(self.state, State::Rest { .. })
    }

    /// When something of this place is due.
    pub(super) fn next(&self) -> Option<Duration> {
        let turn = |due: Duration| self.asks_at.map_or(due, |at| at.max(due));
        let state = match &self.state {
            State::Rest { .. } => None,
            State::Look { due, .. } => Some(turn(*due)),
            State::Hold(hold) => Some(hold.verify_at.map_or(hold.refresh_at, turn).min(hold.refresh_at)),
        };
        let audit = self.audit.map(|audit| turn(audit.due));
        [state, self.wait_until, audit].into_iter().flatten().min()
    }
}
