//! The transition table: from what an address's state is, and what happened, to what is done.
//!
//! Pure, and all of it in one `match`. What a row does to the world is in `act`.
//!
//! ```text
//!          Take, look first             nobody answered
//!   Rest ───────────────────> Look ───────────────────────┐
//!   │ ^ ^                      │                          v
//!   │ │ └── Wait, LetGo, Ask ──┘        LetGo, Claim,   Hold <──┐ Refresh, Verify, Defend
//!   │ └───────────────────────────────── Answer ────────┘ ^ └───┘
//!   └────────── Take; or an audit that nobody answered ───┘
//! ```

use super::{
    Why,
    judge::Judgement,
    output::{Loss, WhyNot},
    place::State,
};

/// What happened to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// Facts may have changed, or time passed.
    Facts,
    /// All questions of a look went unanswered.
    LookEnded,
    /// Another node's claim was heard; `tie`: ours was sent a moment ago, and our MAC is the lower one.
    Claim { tie: bool },
    /// The program says that it yielded, and to whom is not known.
    Yielded,
    /// Another node answers for it; `mine`: this node has the right to take it from there.
    Answer { mine: bool },
    /// A stranger was heard. Whether to retreat is judged like all else that must not be held.
    Stranger,
    /// An audit went unanswered to its end.
    Silence,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Stay,
    /// Be at rest, for this reason.
    Rest(WhyNot),
    /// Ask the silent nodes, and wait.
    Ask,
    /// Ask the segment first.
    Look,
    /// Answer, then announce (rule 4).
    Take(Why),
    /// Answer with a higher generation, and announce once more (rule 5).
    Defend,
    /// Announce once more, and ask again (rule 6).
    Contest,
    /// Announce against it, if the last time is long ago (rule 9).
    Object,
    /// Suppress.
    GiveUp(Loss),
}

/// The table.
pub(super) fn turn(state: &State, happened: Happened, judgement: Judgement) -> Turn {
    use Happened as H;
    use Judgement as J;
    match (state, happened, judgement) {
        // Rule 8; and rule 5 in all its forms.
        (State::Hold(_), _, J::LetGo { why, .. }) => Turn::GiveUp(Loss::LetGo(why)),
        (State::Hold(_), H::Claim { tie: true }, _) => Turn::Defend,
        (State::Hold(_), H::Claim { tie: false }, _) => Turn::GiveUp(Loss::Claimed),
        (State::Hold(_), H::Yielded, _) => Turn::GiveUp(Loss::Yielded),
        // Rule 6: who has no right to it lets go; who has says so once more, because the other may not have heard.
        (State::Hold(hold), H::Answer { mine: true }, _) if !hold.contested => Turn::Contest,
        (State::Hold(_), H::Answer { .. }, _) => Turn::GiveUp(Loss::Answered),
        // Rule 9.
        (State::Hold(_), H::Stranger, _) => Turn::Object,
        // Make before break: whatever else is so, a holder holds until it hears a claim.
        (State::Hold(_), H::Facts | H::LookEnded | H::Silence, J::Wait { .. } | J::Ask | J::Take { .. }) => Turn::Stay,

        // Rule 7: whatever the sessions say.
        (State::Rest { .. }, H::Silence, judgement) if judgement.stands_by() => Turn::Take(Why::NobodyAnswered),
        // Rules 1 to 3.
        (_, _, J::LetGo { why, .. } | J::Wait { why, .. }) => Turn::Rest(why),
        (_, _, J::Ask) => Turn::Ask,
        (_, _, J::Take { why, look: false }) | (State::Look { .. }, H::LookEnded, J::Take { why, .. }) => {
            Turn::Take(why)
        }
        (State::Look { .. }, _, J::Take { look: true, .. }) => Turn::Stay,
        (State::Rest { .. }, _, J::Take { look: true, .. }) => Turn::Look,
    }
}
