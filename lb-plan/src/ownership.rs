//! Whether this node holds an address: one pure machine, fed by everything that the node knows.
//!
//! Must not: read a clock, send a frame, or ask another node. Its inputs are values, so that every rule can be
//! tested without a network.
//!
//! The [`Machine`] follows ten rules (the design's section on who holds an address):
//!
//! 1. *Want*: ranked, warmed up, link up and heard, every node above Down or AdminDown (`judge`).
//! 2. *Take from the silent*: five unicast probes decide for all of a silent node's addresses (`hear`).
//! 3. *Take from below, or from AdminDown*: at once (make before break; `judge`).
//! 4. *Taking*: table first, then announce ([`crate::agent::announce`]; `act`).
//! 5. *Yield*: who hears a claim gives way, in the XDP program; the way back is a higher generation (`hear`).
//! 6. *Refresh*: announce again, every 60 s, or every 5 s in doubt; ask who else answers (`keep`).
//! 7. *Nobody answers*: standby *k* takes after *k* × 300 ms of unanswered probes (`keep`).
//! 8. *Let go at once*: link down, released, ranking empty (`judge`); a VirtualIP that merely disappears: after 60 s
//!    ([`crate::agent::leave`]).
//! 9. *Strangers*: announced against once in 10 s, then the class decides (`hear`).
//! 10. *Warm-up and health*: nothing is claimed before kube-proxy has synced and the programs passed the self-test
//!     (`own`).
//!
//! Which row of the transition table does what is in `table`, and nowhere else.
//!
//! # How the agent drives it
//!
//! Once, at the start: [`Machine::new`]; if an earlier agent's lease still stands, [`Machine::take_up`] for each answer
//! entry whose generation is above its slot's `YIELDED`, and [`Machine::skip_generations`] with the highest number in
//! `YIELDED` and the table. Then, with one monotonic clock, in each turn of the loop:
//!
//! 1. *Drain first*: every event of the ring buffer is a [`Input::Sighting`], every answer on the S-BFD sockets goes to
//!    its initiator, whose reading is an [`Input::Session`] if it changed. Nothing is decided on what still waits in a
//!    buffer. If sightings were lost, [`Input::Missed`] says so. If claims were, and from time to time, the map is read:
//!    every answer entry whose slot's `YIELDED` reached its generation is an [`Input::Yielded`].
//! 2. *Facts*, when they changed or from time to time: [`Machine::set_links`], [`Machine::set_nodes`] (before the
//!    addresses, the first time), [`Machine::set_addresses`] or, for a change of one, [`Machine::set_address`];
//!    [`Input::Health`], [`Input::Lease`], [`Input::Drain`]; [`Input::Heard`] for each segment whose receive
//!    counter moved: once a second, and every 100 ms on one on which no session reads Up.
//! 3. [`Machine::poll`], and do its [`Output`]s in order: entries go to the table before their announcements go to the
//!    [`crate::agent::announce::Schedule`]. For each copy that is sent, [`Machine::announced`].
//! 4. Sleep until the earliest of [`Machine::next`], the schedule's and the initiators' deadlines, or an event.
//!
//! The whole state is there as levels too ([`Machine::entries`], [`Machine::reflects`]), so a pass that compares the
//! table with it repairs whatever an output failed to do. An entry whose lease was lost is not answered any more, and
//! the machine asks for it again with a higher generation when it holds it again.
//!
//! Invariant that holds for every rule: an address that this node does not hold is *suppressed* on it as long as
//! its VirtualIP exists, because every node may have the address on `lo` and the kernel would answer for it.

mod act;
mod facts;
mod hear;
mod input;
mod judge;
mod keep;
mod machine;
mod moves;
mod output;
mod own;
mod place;
mod questions;
mod rules;
mod table;
mod timers;
mod timing;
mod world;

pub use input::{Address, Conflict, Failback, Health, Input, Link, Node, Proxy, Reading, Says, SelfTest, Sighting};
pub use machine::Machine;
pub use output::{Copies, Counters, Loss, Output, Rate, Reflect, Status, WhyNot};
pub use timing::Timing;

/// Why this node holds an address; one word, shown in the VirtualIP's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It is the first of the ranked nodes.
    FirstRanked,
    /// No node above it stands on the segment.
    NobodyAbove,
    /// A node above, or the holder, went silent and did not answer when it was asked.
    Silent,
    /// A node above, or the holder, says "take it from me".
    AdminDown,
    /// It came back, and took it from a node below.
    Failback,
    /// The ranking put it above the holder.
    Promoted,
    /// Nobody answered for it.
    NobodyAnswered,
    /// An earlier agent of this node held it.
    TakenUp,
}

impl Why {
    /// The word for the VirtualIP's status.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FirstRanked => "FirstRanked",
            Self::NobodyAbove => "NobodyAbove",
            Self::Silent => "Silent",
            Self::AdminDown => "AdminDown",
            Self::Failback => "Failback",
            Self::Promoted => "Promoted",
            Self::NobodyAnswered => "NobodyAnswered",
            Self::TakenUp => "TakenUp",
        }
    }
}

#[cfg(test)]
mod tests;
