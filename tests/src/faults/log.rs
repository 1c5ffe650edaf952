//! What was done to the lab and when, and what that excuses. Pure.
//!
//! A fault excuses a silence or two answerers only where section 4 of the design says that they may happen, for as long
//! as it says, and only for whom it concerns. A drain, an upgrade, a stop within the lease, a node that returns and a
//! new ranking excuse nothing.

use std::{fmt, ops::Range, time::Duration};

use crate::asker::Stamp;

/// A node by its place in the lab, from 0.
pub type Node = usize;

/// One thing that is done to the lab, until it is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// All processes of a node and its link end at once. It comes back with nothing.
    NodeDies(Node),
    /// Its cable is pulled.
    LinkCut(Node),
    /// Its agent is killed, and started again.
    AgentKilled(Node),
    /// Its agent is frozen, and goes on.
    AgentStopped(Node),
    /// Its agent is told to let go, and started again.
    Drained(Node),
    /// Its agent is killed and another one takes up the table at once.
    Upgraded(Node),
    /// The segment falls in two. The first client is on the side of these nodes, the second one on the other.
    Divided(Vec<Node>),
    /// What the first sends does not reach the second.
    OneWay(Node, Node),
    /// So many in 100 frames between nodes are lost.
    Loss(u8),
    /// The agent sees no change of any object.
    Stale(Node),
    /// Each address is ranked anew: of its ranking from this place on, what was first is last.
    Reranked(usize),
    /// Nothing was done: the machine under the lab let nobody run for longer than an agent may notice.
    Stalled,
}

/// A fault with its times. Doing a thing takes time: each moment is a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub fault: Fault,
    /// While it was done.
    pub begun: Range<Stamp>,
    /// While it was undone; `None` while it lasts.
    pub undone: Option<Range<Stamp>>,
}

/// How long what may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Nobody answers after a node died or a lease ran out, the standby healthy.
    pub take: Duration,
    /// Nobody answers otherwise: the audit and 300 ms for each standby.
    pub otherwise: Duration,
    /// Two answer because a claim was lost.
    pub lost_claim: Duration,
    /// The agents' `--lease`.
    pub lease: Duration,
    /// A lease ends up to this much early: it is counted from the end of a pass.
    pub pass: Duration,
    /// After this a fault that has ended has no effect any more.
    pub settled: Duration,
    /// How late the client or the log may be.
    pub slack: Duration,
}

impl Bounds {
    /// Section 4's, for agents with this lease.
    pub fn of(lease: Duration) -> Self {
        Self {
            take: Duration::from_millis(500),
            otherwise: Duration::from_millis(5_000 + 4 * 300),
            lost_claim: Duration::from_secs(5),
            lease,
            pass: Duration::from_millis(1_100),
            settled: Duration::from_secs(15),
            slack: Duration::from_millis(200),
        }
    }

    /// For a machine that does other things besides: order and counts are judged, not times. Nothing that has no
    /// reason gets one by this.
    pub fn unhurried(self) -> Self {
        Self { take: self.take * 4, otherwise: self.otherwise * 2, lost_claim: self.lost_claim * 2, ..self }
    }
}

/// Why nobody, or more than one, answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The holder died.
    NodeDied,
    /// The holder's link was cut.
    LinkCut,
    /// The holder's lease ran out.
    LeaseRanOut,
    /// The holder is on the other side.
    Divided,
    /// More than one fault at once: audit and standbys.
    Otherwise,
    /// Frames between the nodes are lost at random.
    Loss,
    /// One frame, in which the old holder heard of the new one.
    OneFrame,
    /// The halves came together, and a claim had been lost.
    Healed,
    /// One does not hear the other.
    OneWay,
    /// The machine stood still: the sample says nothing.
    Stalled,
}

/// What a fault makes possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excuse {
    pub(super) why: Why,
    /// When it may begin.
    pub(super) begins: Range<Stamp>,
    /// Who has to have held before; `None` is anybody.
    pub(super) of: Option<Node>,
    /// How long it may last.
    pub(super) most: Duration,
}

impl Why {
    /// One word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NodeDied => "node-died",
            Self::LinkCut => "link-cut",
            Self::LeaseRanOut => "lease-ran-out",
            Self::Divided => "divided",
            Self::Otherwise => "otherwise",
            Self::Loss => "loss",
            Self::OneFrame => "one-frame",
            Self::Healed => "healed",
            Self::OneWay => "one-way",
            Self::Stalled => "stalled",
        }
    }
}

impl Entry {
    /// Whether it could have an effect at this moment.
    pub(super) fn counts_at(&self, at: Stamp, bounds: &Bounds) -> bool {
        let over = self.undone.as_ref().map(|undone| undone.end.after(bounds.settled));
        at >= self.begun.start.before(bounds.slack) && over.is_none_or(|over| at < over)
    }

    /// When a client may first miss an answer, the client being on this side (0 or 1), if the fault is the only one.
    pub(super) fn silences(&self, client: usize, nodes: usize, bounds: &Bounds) -> Vec<Excuse> {
        let now = self.begun.start.before(bounds.slack)..self.begun.end.after(bounds.slack);
        let of = |why, node, begins| Excuse { why, begins, of: Some(node), most: bounds.take };
        match &self.fault {
            Fault::NodeDies(node) => vec![of(Why::NodeDied, *node, now)],
            Fault::LinkCut(node) => vec![of(Why::LinkCut, *node, now)],
            Fault::AgentKilled(node) | Fault::AgentStopped(node) => {
                let end = self.begun.end.after(bounds.lease + bounds.slack);
                let end = self.undone.as_ref().map_or(end, |undone| end.min(undone.end.after(bounds.slack)));
                let start = self.begun.start.after(bounds.lease.saturating_sub(bounds.pass));
                // Undone within the lease: it has not run out.
                if start < end { vec![of(Why::LeaseRanOut, *node, start..end)] } else { Vec::new() }
            }
            Fault::Divided(left) => {
                let other = (0..nodes).filter(|node| left.contains(node) != (client == 0));
                other.map(|node| of(Why::Divided, node, now.clone())).collect()
            }
            Fault::Loss(_) => {
                let end = self.undone.as_ref().map_or(Stamp::END, |undone| undone.end.after(bounds.otherwise));
                vec![Excuse { why: Why::Loss, begins: now.start..end, of: None, most: bounds.otherwise }]
            }
            Fault::Stalled => vec![self.stalled(bounds)],
            Fault::Drained(_) | Fault::Upgraded(_) | Fault::OneWay(..) | Fault::Stale(_) | Fault::Reranked(_) => {
                Vec::new()
            }
        }
    }

    /// When more than one may answer for more than a frame.
    pub(super) fn overlaps(&self, bounds: &Bounds) -> Vec<Excuse> {
        let lost_claim = bounds.lost_claim + bounds.slack;
        let until = self.undone.as_ref().map_or(Stamp::END, |undone| undone.end.after(lost_claim));
        let start = self.begun.start.before(bounds.slack);
        let any = |why, begins, most| vec![Excuse { why, begins, of: None, most }];
        match &self.fault {
            Fault::Divided(_) => match &self.undone {
                // While it lasts, each client sees one half.
                Some(undone) => any(Why::Healed, undone.start.before(bounds.slack)..until, lost_claim),
                None => Vec::new(),
            },
            // Who is not heard takes, and hears the holder's next announcement.
            Fault::OneWay(..) => any(Why::OneWay, start..until, lost_claim),
            Fault::Loss(_) => any(Why::Loss, start..until, lost_claim),
            Fault::Stalled => vec![self.stalled(bounds)],
            Fault::NodeDies(_)
            | Fault::LinkCut(_)
            | Fault::AgentKilled(_)
            | Fault::AgentStopped(_)
            | Fault::Drained(_)
            | Fault::Upgraded(_)
            | Fault::Stale(_)
            | Fault::Reranked(_) => Vec::new(),
        }
    }
}

impl Entry {
    /// Everything may be late by as much, and what follows from it takes its time.
    fn stalled(&self, bounds: &Bounds) -> Excuse {
        let end = self.undone.as_ref().map_or(Stamp::END, |undone| undone.end.after(bounds.settled));
        let begins = self.begun.start.before(bounds.pass)..end;
        Excuse { why: Why::Stalled, begins, of: None, most: bounds.otherwise }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node: &Node| format!("node-{}", node + 1);
        match self {
            Self::NodeDies(node) => write!(f, "{} dies", name(node)),
            Self::LinkCut(node) => write!(f, "the link of {} is cut", name(node)),
            Self::AgentKilled(node) => write!(f, "the agent of {} is killed", name(node)),
            Self::AgentStopped(node) => write!(f, "the agent of {} is stopped", name(node)),
            Self::Drained(node) => write!(f, "{} is drained", name(node)),
            Self::Upgraded(node) => write!(f, "the agent of {} is replaced", name(node)),
            Self::Divided(left) => {
                write!(f, "the segment is divided: {} here", left.iter().map(name).collect::<Vec<_>>().join(", "))
            }
            Self::OneWay(from, to) => write!(f, "{} does not hear {}", name(to), name(from)),
            Self::Loss(percent) => write!(f, "{percent} % of the frames between nodes are lost"),
            Self::Stale(node) => write!(f, "{} sees no change of objects", name(node)),
            Self::Reranked(from) => write!(f, "every address is ranked anew from place {from} on"),
            Self::Stalled => f.write_str("the machine stood still"),
        }
    }
}
