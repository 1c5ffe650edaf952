//! The self-test by a peer (DESIGN section 4, rule 10): whether frames of the segment reach the program, and its answers
//! the segment.
//!
//! The frame is an ordinary S-BFD probe, and what answers it is the reflector in the program, AdminDown while the node
//! warms up. An initiator that was answered says so in its next probe (RFC 5880 §6.8.6: Up, or Down with diagnostic 3), and
//! the program notes the time by segment. So two probes of any peer prove both ways, without a message of their own, and a
//! node needs nobody's word but what its own program noted.
//!
//! Pure: the note and the time are arguments.

use std::time::Duration;

/// What is known of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfTest {
    /// A peer was answered, and said so.
    Passed,
    /// There is no peer to ask: nothing is shown, and nothing is wrong. A warning.
    Alone,
    /// There are peers, and none has said so yet: nothing may be claimed.
    Waiting {
        /// Since when, on the agent's clock.
        since: Duration,
    },
}

/// Judges a segment. `attached` is when this agent's program came to be there: what an earlier one was told does not
/// count. `heard` is the program's last note. `peers` counts the other nodes with an address on the segment.
pub fn judge(attached: Duration, heard: Option<Duration>, peers: usize) -> SelfTest {
    match heard {
        Some(heard) if heard >= attached => SelfTest::Passed,
        Some(_) | None if peers == 0 => SelfTest::Alone,
        Some(_) | None => SelfTest::Waiting { since: attached },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_peer_that_was_answered_since_the_program_is_there_passes_it() {
        assert_eq!(judge(at(10), Some(at(10)), 1), SelfTest::Passed);
        assert_eq!(judge(at(10), Some(at(11)), 0), SelfTest::Passed, "the peer may be away again");
    }

    #[test]
    fn a_note_of_an_earlier_agent_s_program_does_not_count() {
        assert_eq!(judge(at(10), Some(at(9)), 2), SelfTest::Waiting { since: at(10) });
    }

    #[test]
    fn a_node_that_is_alone_is_inconclusive_and_one_that_is_not_waits() {
        assert_eq!(judge(at(10), None, 0), SelfTest::Alone);
        assert_eq!(judge(at(10), Some(at(9)), 0), SelfTest::Alone);
        assert_eq!(judge(at(10), None, 1), SelfTest::Waiting { since: at(10) });
    }
}
