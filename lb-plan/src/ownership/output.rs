//! What the machine asks for, and what it says of itself.

use std::{collections::BTreeMap, time::Duration};

use super::Why;
use crate::agent::{EntryKey, Mac, SegmentId};

/// One thing to do, in the order in which it has to be done: an entry stands before its announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write an answer entry. `generation` is higher than any before, on this node.
    Answer {
        /// The entry.
        key: EntryKey,
        /// Its generation.
        generation: u32,
    },
    /// Write a suppress entry, and end what is announced of it.
    Suppress {
        /// The entry.
        key: EntryKey,
    },
    /// The machine knows nothing of this entry any more.
    Forget {
        /// The entry.
        key: EntryKey,
    },
    /// Announce an entry that answers.
    Announce {
        /// The entry.
        key: EntryKey,
        /// How often.
        copies: Copies,
    },
    /// Drop the copies that are still due, but for the first: nobody was heard here since that, or a node above has come
    /// back that takes the address.
    Hush {
        /// The entry.
        key: EntryKey,
    },
    /// Ask who has an address (ARP sender 0.0.0.0; NS from our link-local address).
    Probe {
        /// What for, and where.
        key: EntryKey,
        /// Whom; `None` asks everybody.
        to: Option<Mac>,
    },
    /// What the reflector says from now on.
    Reflect(Reflect),
    /// Run an S-BFD initiator at this rate; `None` ends it.
    Watch {
        /// Where.
        segment: SegmentId,
        /// Whom.
        node: String,
        /// How fast.
        rate: Option<Rate>,
    },
    /// The status of the address changed: [`super::Machine::status`] says how.
    Changed {
        /// The entry.
        key: EntryKey,
    },
    /// A station that is no node uses the address. Once per 10 s.
    Stranger {
        /// The entry.
        key: EntryKey,
        /// Its MAC.
        mac: Mac,
    },
}

/// How often something is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// The whole series of a node that takes.
    Series,
    /// Once, and at once.
    One,
    /// Once, when there is time: the holder stays who it was.
    Refresh,
}

/// What a reflector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reflect {
    /// What is mine is held.
    Up,
    /// Take it from me.
    AdminDown,
}

/// How fast a node is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rate {
    /// 300 ms.
    Slow,
    /// 50 ms.
    Full,
}

/// Who holds an address, as this node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Who; `None`: nobody that this node knows of.
    pub holder: Option<&'a str>,
    /// This node holds it, and why; or it does not, and why not.
    pub holding: Result<Why, WhyNot>,
    /// Since when `holding` is held or not.
    pub since: Duration,
}

/// Why this node does not hold an address; one word, shown where the address is accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WhyNot {
    /// It has just been told of the address.
    New,
    /// The VirtualIP waits out its quarantine.
    Released,
    /// No node is ranked.
    NoNodes,
    /// The link of the segment is down.
    LinkDown,
    /// Nobody has been heard on the link since it came up.
    LinkQuiet,
    /// This node has no on-link address on the segment, and cannot know who else stands there.
    Blind,
    /// The node is not ranked for it.
    NotRanked,
    /// The node drains.
    Draining,
    /// The node is not ready to hold anything yet.
    WarmingUp,
    /// The lease is not held.
    LeaseLost,
    /// A node above lives.
    NodeAbove,
    /// A silent node is being asked.
    Asking,
    /// The segment is being asked, before it is taken.
    Looking,
    /// A cold start waits for the nodes above.
    ColdStart,
    /// It gave way to a node below a short while ago.
    HoldDown,
    /// A node below holds it, and failback waits.
    Failback,
    /// It moved too often for a move that is planned.
    Capped,
    /// It moved too often, and a node that seemed dead was not: this node may be one that is not heard.
    Doubtful,
    /// A stranger has it.
    Stranger,
}

impl WhyNot {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Released => "Released",
            Self::NoNodes => "NoNodes",
            Self::LinkDown => "LinkDown",
            Self::LinkQuiet => "LinkQuiet",
            Self::Blind => "Blind",
            Self::NotRanked => "NotRanked",
            Self::Draining => "Draining",
            Self::WarmingUp => "WarmingUp",
            Self::LeaseLost => "LeaseLost",
            Self::NodeAbove => "NodeAbove",
            Self::Asking => "Asking",
            Self::Looking => "Looking",
            Self::ColdStart => "ColdStart",
            Self::HoldDown => "HoldDown",
            Self::Failback => "Failback",
            Self::Capped => "Capped",
            Self::Doubtful => "Doubtful",
            Self::Stranger => "Stranger",
        }
    }
}

/// Why this node ceased to hold an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// Another node claimed it.
    Claimed,
    /// Another node answered for it.
    Answered,
    /// The program yielded it, and nobody knows to whom.
    Yielded,
    /// The VirtualIP is gone.
    Gone,
    /// Rule 8, or the lease.
    LetGo(WhyNot),
}

impl Loss {
    /// One word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Claimed => "Claimed",
            Self::Answered => "Answered",
            Self::Yielded => "Yielded",
            Self::Gone => "Gone",
            Self::LetGo(why) => why.word(),
        }
    }
}

/// What happened so far. Only ever grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Addresses taken, by reason.
    pub takes: BTreeMap<Why, u64>,
    /// Addresses given up, by reason.
    pub losses: BTreeMap<Loss, u64>,
    /// Claims of nodes heard for addresses that this node held.
    pub claims_heard: u64,
    /// Of these, those that it kept by its MAC.
    pub claims_withstood: u64,
    /// Another known node answered for an address that this node held.
    pub duplicates: u64,
    /// Frames of strangers for addresses that this node held or was about to take.
    pub strangers: u64,
    /// Questions sent.
    pub probes: u64,
    /// Audits begun.
    pub audits: u64,
    /// Silent nodes that were asked and answered: false alarms.
    pub silent_answered: u64,
    /// Silent nodes that were asked and did not.
    pub silent_dead: u64,
}
