//! What is known apart from single addresses: this node, the others, and the segments between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    input::Reading,
    moves::HoldDown,
    output::Rate,
    own::Own,
    questions::Questions,
    rules::{Rule, Rules},
    timing::Timing,
};
use crate::agent::{Mac, SegmentId};

/// A node by number; 0 is this one.
pub(super) type NodeIx = u16;
/// An address on a segment by number.
pub(super) type PlaceIx = u32;
/// This node.
pub(super) const ME: NodeIx = 0;

/// Everything but the places.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) timing: Timing,
    pub(super) rules: Rules,
    pub(super) own: Own,
    pub(super) questions: Questions,
    nodes: Vec<Known>,
    by_name: BTreeMap<String, NodeIx>,
    segments: BTreeMap<SegmentId, Segment>,
}

/// A node by name, whether it is there or only ranked somewhere.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: String,
    /// What the controller thinks of it.
    pub(super) ready: bool,
}

/// A broadcast domain.
#[derive(Debug, Clone, Default)]
pub(super) struct Segment {
    /// Ours there.
    pub(super) mac: Mac,
    pub(super) link: LinkState,
    /// This node cannot know who else stands there.
    pub(super) blind: bool,
    pub(super) heard_at: Duration,
    pub(super) by_mac: BTreeMap<Mac, NodeIx>,
    pub(super) peers: BTreeMap<NodeIx, Peer>,
    /// How many sessions read Up.
    pub(super) up: u32,
    /// Something was taken and not announced.
    pub(super) cut_off: bool,
}

/// Rule 1's view of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub(super) enum LinkState {
    /// No carrier.
    #[default]
    Down,
    /// Nobody heard since carrier-up; counts from then on.
    Quiet { until: Duration },
    /// Up and heard.
    Usable,
}

/// Another node on a segment.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// `None`: it does not stand here.
    pub(super) mac: Option<Mac>,
    pub(super) reading: Reading,
    pub(super) verdict: Verdict,
    /// Each time it was taken for dead and was not, its silence is believed later.
    pub(super) doubt: HoldDown,
    /// The places that depend on it: it is ranked above this node there, or holds them.
    pub(super) places: BTreeSet<PlaceIx>,
    /// How many places want it watched, slowly and fully.
    pub(super) wanted: [u32; 2],
    pub(super) told: Option<Rate>,
}

/// What asking a silent node has shown (rule 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Verdict {
    /// It was not asked.
    #[default]
    Open,
    /// It is being asked: so many times, the next one is due.
    Asking { asked: u8, due: Duration },
    /// It was heard, and counts as alive.
    Answered { until: Duration },
    /// It answered nothing, and then spoke by itself at `at`: it lives, and does not hear this node.
    Speaks { at: Duration, until: Duration },
    /// It did not.
    Dead,
}

/// What a node is to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    /// Must be waited for.
    Alive,
    /// The same, and it hears nothing of what this node says: neither a question nor a claim.
    Deaf,
    /// Says "take it from me".
    Leaving,
    /// Has to be asked.
    Silent,
    /// Was asked, and is not there.
    Dead,
    /// Does not stand on the segment.
    Absent,
}

impl World {
    pub(super) fn new(name: &str, timing: Timing, rules: Rules) -> Self {
        let mut world = Self {
            timing,
            rules,
            own: Own::default(),
            questions: Questions::default(),
            nodes: Vec::new(),
            by_name: BTreeMap::new(),
            segments: BTreeMap::new(),
        };
        world.number(name);
        world
    }

    /// The number of a name, which it gets if it has none.
    pub(super) fn number(&mut self, name: &str) -> NodeIx {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = NodeIx::try_from(self.nodes.len()).unwrap_or(NodeIx::MAX);
        self.nodes.push(Known { name: name.to_owned(), ready: false });
        self.by_name.insert(name.to_owned(), number);
        number
    }

    pub(super) fn find(&self, name: &str) -> Option<NodeIx> {
        self.by_name.get(name).copied()
    }

    pub(super) fn name(&self, node: NodeIx) -> &str {
        self.nodes.get(usize::from(node)).map_or("", |known| &known.name)
    }

    pub(super) fn nodes_mut(&mut self) -> impl Iterator<Item = (NodeIx, &mut Known)> {
        (0..).zip(self.nodes.iter_mut())
    }

    pub(super) fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.segments.get(&id)
    }

    pub(super) fn segment_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        self.segments.get_mut(&id)
    }

    pub(super) fn segment_or_new(&mut self, id: SegmentId) -> &mut Segment {
        self.segments.entry(id).or_default()
    }

    pub(super) fn segments_mut(&mut self) -> impl Iterator<Item = (SegmentId, &mut Segment)> {
        self.segments.iter_mut().map(|(id, segment)| (*id, segment))
    }

    pub(super) fn peer_mut(&mut self, id: SegmentId, node: NodeIx) -> Option<&mut Peer> {
        self.segments.get_mut(&id)?.peers.get_mut(&node)
    }

    /// Whether a node is silent that lives as far as the controller knows.
    pub(super) fn is_unheard(&self, segment: SegmentId, node: NodeIx) -> bool {
        let peer = self.segments.get(&segment).and_then(|segment| segment.peers.get(&node));
        let ready = self.nodes.get(usize::from(node)).is_some_and(|known| known.ready);
        ready && peer.is_some_and(|peer| peer.mac.is_some() && peer.is_silent())
    }

    pub(super) fn standing(&self, segment: SegmentId, node: NodeIx) -> Standing {
        let peer = self.segments.get(&segment).and_then(|segment| segment.peers.get(&node));
        let Some(peer) = peer.filter(|peer| peer.mac.is_some()) else { return Standing::Absent };
        let ready = self.nodes.get(usize::from(node)).is_some_and(|known| known.ready);
        match peer.reading {
            Reading::Up | Reading::Unknown { in_grace: true } => Standing::Alive,
            Reading::Unknown { in_grace: false } if ready => match peer.verdict {
                Verdict::Speaks { .. } => Standing::Deaf,
                Verdict::Open | Verdict::Asking { .. } | Verdict::Answered { .. } | Verdict::Dead => Standing::Alive,
            },
            Reading::AdminDown => Standing::Leaving,
            Reading::Down | Reading::Unknown { in_grace: false } => match peer.verdict {
                Verdict::Answered { .. } => Standing::Alive,
                Verdict::Speaks { .. } => Standing::Deaf,
                Verdict::Dead => Standing::Dead,
                Verdict::Open | Verdict::Asking { .. } if self.rules.has(Rule::Ask) => Standing::Silent,
                Verdict::Open | Verdict::Asking { .. } => Standing::Dead,
            },
        }
    }
}

impl Segment {
    pub(super) fn peer(&mut self, node: NodeIx) -> &mut Peer {
        self.peers.entry(node).or_default()
    }

    /// Whether rather this node is cut off than all others died at once.
    pub(super) fn is_cut_off(&self, now: Duration, timing: &Timing) -> bool {
        let silent = self.peers.values().filter(|peer| peer.told.is_some() && peer.reading == Reading::Down);
        self.up == 0 && silent.count() > 1 && now >= self.heard_at + timing.cut_off
    }

    /// Whether an objection to an announcement could not be heard.
    pub(super) fn is_deaf(&self, now: Duration, timing: &Timing) -> bool {
        self.up == 0 && now >= self.heard_at + timing.deaf
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            mac: None,
            reading: Reading::Unknown { in_grace: true },
            verdict: Verdict::Open,
            doubt: HoldDown::default(),
            places: BTreeSet::new(),
            wanted: [0; 2],
            told: None,
        }
    }
}

impl Peer {
    /// How fast it has to be watched.
    pub(super) fn rate(&self) -> Option<Rate> {
        match self.wanted {
            _ if self.mac.is_none() => None,
            [0, 0] => None,
            [_, 0] => Some(Rate::Slow),
            _ => Some(Rate::Full),
        }
    }

    /// A frame of it arrived: whatever its session says, it lives. If it was taken for dead, because it answered nothing, and
    /// speaks by itself, it does not hear this node.
    pub(super) fn is_heard(&mut self, now: Duration, by_itself: bool, timing: &Timing) -> bool {
        if !self.is_silent() {
            return false;
        }
        let was = self.verdict;
        self.verdict = match was {
            Verdict::Dead if by_itself => {
                self.doubt.lose(now, timing);
                Verdict::Speaks { at: now, until: self.doubt.until }
            }
            // Copies of one announcement are one word. Who hears nobody at all says no second one.
            Verdict::Speaks { at, until } if by_itself && now >= at + timing.ask_again => {
                Verdict::Speaks { at, until: until.max(now + timing.refresh_fast * 2) }
            }
            Verdict::Speaks { .. } if by_itself => was,
            Verdict::Open
            | Verdict::Asking { .. }
            | Verdict::Answered { .. }
            | Verdict::Speaks { .. }
            | Verdict::Dead => Verdict::Answered { until: now + timing.ask_again },
        };
        std::mem::discriminant(&was) != std::mem::discriminant(&self.verdict)
    }

    /// Its session says nothing, and not for a moment.
    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.reading, Reading::Down | Reading::Unknown { in_grace: false })
    }
}

impl Verdict {
    /// When it changes by itself.
    pub(super) const fn ends(self) -> Option<Duration> {
        match self {
            Self::Answered { until } | Self::Speaks { until, .. } => Some(until),
            Self::Asking { due, .. } => Some(due),
            Self::Open | Self::Dead => None,
        }
    }
}
