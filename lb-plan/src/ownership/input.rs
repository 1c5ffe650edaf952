//! What the machine is told: facts about this node, its links, the others, and what was heard on the segment.

use std::{net::IpAddr, time::Duration};

use lb_api::virtual_ip::Phase;

use crate::agent::{EntryKey, Mac, SegmentId};

/// One thing that happened, or one fact that may have changed. Facts are levels: to repeat one changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// A frame arrived whose sender address is one of ours.
    Sighting(Sighting),
    /// The program's own note says that it yielded the entry, whether or not a claim arrived.
    Yielded {
        /// The entry.
        key: EntryKey,
        /// What it noted.
        generation: u32,
    },
    /// What the S-BFD initiator of a node on a segment reads.
    Session {
        /// Where.
        segment: SegmentId,
        /// Who.
        node: &'a str,
        /// What.
        reading: Reading,
    },
    /// Some frame of another station arrived on the segment (a counter of the link moved, or anything else).
    Heard {
        /// Where.
        segment: SegmentId,
    },
    /// What has to be healthy before this node holds anything.
    Health(Health),
    /// Whether the lease is held.
    Lease(bool),
    /// Whether this node drains: annotation, removal, shutdown.
    Drain(bool),
    /// Frames of nodes that spoke from our addresses were not told: what was asked for may have been answered.
    Missed,
    /// The driver knows that it was away (the machine notices most of it by itself).
    Late,
}

/// A frame whose sender address is in the table and whose sender MAC is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The segment it arrived on, and its sender address.
    pub key: EntryKey,
    /// The sender MAC.
    pub mac: Mac,
    /// What it says.
    pub says: Says,
    /// When it arrived, which may be a while ago: whether two claims were simultaneous does not depend on who reads late.
    pub at: Duration,
}

/// What a sighting says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// "It is mine": sender = target, or an unsolicited NA.
    Claim {
        /// The generation of the answer entry that yielded to it; `None` if none did.
        yielded: Option<u32>,
    },
    /// "It is here": an answer to a question.
    Answer,
}

/// What is known of a node from its reflector (RFC 7880).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// It never answered.
    Unknown {
        /// It has not had three intervals yet, and counts as Up.
        in_grace: bool,
    },
    /// It answers.
    Up,
    /// It answers: take it from me.
    AdminDown,
    /// It answered once, and went silent.
    Down,
}

/// What has to be healthy before this node holds anything (rule 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Health {
    /// What carries packets from here to the pods.
    pub proxy: Proxy,
    /// The test of our own programs by a peer's frame.
    pub self_test: SelfTest,
    /// Nothing is claimed before this moment: the node came back a short while ago.
    pub hold_down_until: Duration,
}

/// The state of kube-proxy, or of what replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// It has not synced yet.
    Pending,
    /// It has, and is healthy.
    Synced,
    /// It is not.
    Unhealthy {
        /// Nor is it on any other node: then nothing is gained by draining.
        everywhere: bool,
    },
}

/// The state of the self-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SelfTest {
    /// Not passed, and there is a peer to pass it with.
    Pending,
    /// Passed.
    Passed,
    /// Nobody could test: the node is alone.
    Alone,
}

impl Default for Health {
    fn default() -> Self {
        Self { proxy: Proxy::Pending, self_test: SelfTest::Pending, hold_down_until: Duration::ZERO }
    }
}

/// One of this node's stations, by segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The segment.
    pub segment: SegmentId,
    /// The MAC that answers carry.
    pub mac: Mac,
    /// Up, and with carrier.
    pub running: bool,
}

/// Another node, from its `LoadBalancerNode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its name.
    pub name: &'a str,
    /// What the controller thinks of it: counts while its reflector has never answered.
    pub ready: bool,
    /// Its MAC on each of *our* segments on which it stands.
    pub macs: &'a [(SegmentId, Mac)],
}

/// An address, from its `VirtualIP` and its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// The address, canonical.
    pub address: IpAddr,
    /// Whether it is in use.
    pub phase: Phase,
    /// The ranked nodes, best first.
    pub nodes: &'a [String],
    /// The segments on which it may be answered.
    pub segments: &'a [SegmentId],
    /// When a node that comes back takes it back.
    pub failback: Failback,
    /// What is done about a stranger that has it too.
    pub conflict: Conflict,
}

/// When a node takes an address from a node below itself that holds it and lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Failback {
    /// As soon as it can.
    #[default]
    AtOnce,
    /// After it could for this long.
    After(Duration),
    /// Not before that node is gone.
    Never,
}

/// What a holder does about a stranger after the first announcement against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Conflict {
    /// It goes on holding.
    #[default]
    Defend,
    /// It lets go until the stranger is gone.
    Retreat,
}
