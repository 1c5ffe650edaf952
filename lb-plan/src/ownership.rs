//! Whether this node holds an address: one pure machine, fed by everything that the node knows.
//!
//! Must not: read a clock, send a frame, or ask another node. Its inputs are values, so that every rule can be
//! tested without a network.
//!
//! So far the machine has one rule: the first ranked node holds. It has no idea yet whether that node is alive.
//! The rest of the rules takes this place, with these names:
//!
//! 1. *Want*: ranked, warmed up, link up and heard, every node above Down or AdminDown.
//! 2. *Take from the silent*: five unicast probes decide for all of a silent node's addresses.
//! 3. *Take from below, or from AdminDown*: at once (make before break).
//! 4. *Taking*: table first, then announce ([`crate::agent::announce`]).
//! 5. *Yield*: who hears a claim gives way, in the XDP program; the way back is a higher generation.
//! 6. *Refresh*: announce again, every 60 s, or every 5 s in doubt.
//! 7. *Nobody answers*: standby *k* takes after *k* × 300 ms of unanswered probes.
//! 8. *Let go at once*: link down, released, ranking empty; a VirtualIP that merely disappears: after 60 s
//!    ([`crate::agent::leave`]; done).
//! 9. *Strangers*: announced against once in 10 s, then the class decides.
//! 10. *Warm-up and health*: nothing is claimed before kube-proxy has synced and the programs passed the self-test.
//!
//! Invariant that holds for every rule: an address that this node does not hold is *suppressed* on it as long as
//! its VirtualIP exists, because every node may have the address on `lo` and the kernel would answer for it.

use lb_api::virtual_ip::Phase;

/// What this node does about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// This node answers.
    Hold(Why),
    /// This node makes sure that it does not answer.
    Suppress,
}

/// Why this node holds an address; one word, shown in the VirtualIP's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is the first of the ranked nodes.
    FirstRanked,
}

impl Why {
    /// The word for the VirtualIP's status.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FirstRanked => "FirstRanked",
        }
    }
}

/// Decides for one address. `ranked` is best first; a released address is nobody's.
pub fn decide(ranked: &[String], me: &str, phase: Phase) -> Holding {
    match phase {
        Phase::Released => Holding::Suppress,
        Phase::Bound if ranked.first().is_some_and(|first| first == me) => Holding::Hold(Why::FirstRanked),
        Phase::Bound => Holding::Suppress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(nodes: &[&str]) -> Vec<String> {
        nodes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn first_ranked_node_holds_and_every_other_suppresses() {
        let nodes = ranked(&["a", "b"]);

        assert_eq!(decide(&nodes, "a", Phase::Bound), Holding::Hold(Why::FirstRanked));
        assert_eq!(decide(&nodes, "b", Phase::Bound), Holding::Suppress);
        assert_eq!(decide(&nodes, "unranked", Phase::Bound), Holding::Suppress);
    }

    #[test]
    fn nobody_holds_a_released_address_or_one_without_ranking() {
        assert_eq!(decide(&ranked(&["a"]), "a", Phase::Released), Holding::Suppress);
        assert_eq!(decide(&[], "a", Phase::Bound), Holding::Suppress);
    }
}
