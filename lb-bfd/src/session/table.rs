//! The transition table (RFC 5880 §6.2, §6.8.6): local state and received state to the next local state.
//!
//! Pure. Time never stands in it: what expires is handled as the loss of the neighbour.

use lb_common::bfd::{Diagnostic, State};

/// The state after a packet, and the diagnostic if it changes.
pub(super) const fn next(local: State, received: State) -> (State, Option<Diagnostic>) {
    match (local, received) {
        // "If bfd.SessionState is AdminDown, discard the packet."
        (State::AdminDown, _) => (State::AdminDown, None),
        // "If the received state is AdminDown: if bfd.SessionState is not Down, … set to Down."
        (State::Init | State::Up, State::AdminDown) => (State::Down, Some(Diagnostic::NEIGHBOUR_DOWN)),
        (State::Down, State::AdminDown) => (State::Down, None),
        (State::Down, State::Down) => (State::Init, None),
        (State::Down, State::Init) => (State::Up, Some(Diagnostic::NONE)),
        (State::Down, State::Up) => (State::Down, None),
        (State::Init, State::Down) => (State::Init, None),
        (State::Init, State::Init | State::Up) => (State::Up, Some(Diagnostic::NONE)),
        (State::Up, State::Down) => (State::Down, Some(Diagnostic::NEIGHBOUR_DOWN)),
        (State::Up, State::Init | State::Up) => (State::Up, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §6.2 figure and §6.8.6 text, all sixteen.
    #[test]
    fn every_pair_of_states_has_the_transition_of_the_rfc() {
        use State::{AdminDown, Down, Init, Up};
        let states = [AdminDown, Down, Init, Up];
        let rows = [
            (AdminDown, [AdminDown, AdminDown, AdminDown, AdminDown]),
            (Down, [Down, Init, Up, Down]),
            (Init, [Down, Init, Up, Up]),
            (Up, [Down, Down, Up, Up]),
        ];
        for (local, expected) in rows {
            assert_eq!(states.map(|received| next(local, received).0), expected, "{local:?}");
        }
    }

    #[test]
    fn a_session_that_the_neighbour_ends_says_so() {
        for (local, received) in
            [(State::Up, State::Down), (State::Up, State::AdminDown), (State::Init, State::AdminDown)]
        {
            assert_eq!(next(local, received).1, Some(Diagnostic::NEIGHBOUR_DOWN));
        }
    }
}
