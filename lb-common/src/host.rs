//! The kernel's side of [`Frame`] and [`Tables`] made of vectors and maps, for tests, the fuzzer and the benches.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    abi::{
        Action, BfdSession, BfdWord, Entry, FILTER_WORDS, Key4, Key6, MAX_BFD, Reflector, Role, SLOTS, Segment,
        SegmentId, Station, StationKey,
    },
    eth::Vlans,
    event::Event,
    filter::{self, Bit},
    frame::Frame,
    lease::{Latch, Millis, Nanos, nanos},
    tables::Tables,
};

pub mod golden;

/// A frame in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// By how many bytes it may grow.
    pub tailroom: usize,
    /// The VLAN identifier of the tag that the kernel took out of it.
    pub stripped_vlan: Option<u16>,
}

impl Packet {
    /// A frame as a driver with room at the end of its buffers hands it over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), tailroom: 128, stripped_vlan: None }
    }

    /// A frame as tc sees it on ingress: without its outer tag.
    pub fn behind_its_tag(bytes: impl Into<Vec<u8>>) -> Self {
        let mut packet = Self::new(bytes);
        if let Some([0x81, 0x00, high, low] | [0x88, 0xa8, high, low]) = packet.bytes.get(12..16) {
            packet.stripped_vlan = Some(u16::from_be_bytes([*high, *low]) & 0x0fff);
            packet.bytes.drain(12..16);
        }
        packet
    }
}

impl Frame for Packet {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn stripped_vlan(&self) -> Option<u16> {
        self.stripped_vlan
    }

    fn view<const N: usize>(&mut self, offset: usize) -> Option<&mut [u8; N]> {
        self.bytes.get_mut(offset..)?.first_chunk_mut()
    }

    fn resize(&mut self, delta: i32) -> Option<()> {
        let len = self.bytes.len().checked_add_signed(delta as isize)?;
        if len > self.bytes.len() + self.tailroom {
            return None;
        }
        self.bytes.resize(len, 0);
        Some(())
    }
}

/// The maps of one interface.
#[derive(Debug, Clone, Default)]
pub struct Maps {
    /// By VLANs; untagged is (0, 0).
    pub segments: BTreeMap<(u16, u16), Segment>,
    /// IPv4 entries by segment and address.
    pub vips4: BTreeMap<(u32, [u8; 4]), Entry>,
    /// IPv6 entries by segment and address.
    pub vips6: BTreeMap<(u32, [u8; 16]), Entry>,
    /// The sender filter.
    pub filter: BTreeMap<u32, u64>,
    /// Hardware addresses of nodes.
    pub stations: BTreeMap<StationKey, Station>,
    /// What gave way, by slot; the responder writes it.
    pub yielded: RefCell<BTreeMap<u32, u64>>,
    /// What the agent is told; the responder writes it. Without budgets.
    pub events: RefCell<Vec<Event>>,
    /// Segments on which a peer hears our reflector; the responder writes it.
    pub heard: RefCell<BTreeSet<SegmentId>>,
    /// BFD sessions with routers, by our discriminator.
    pub bfd: BTreeMap<[u8; 4], BfdSession>,
    /// Those whose neighbour is not Up any more; the responder writes it.
    pub bfd_over: RefCell<BTreeSet<[u8; 4]>>,
    /// Their moments, in nanoseconds, by [`BfdWord::index`]; the responder writes some.
    pub bfd_moments: RefCell<BTreeMap<u32, u64>>,
    /// The S-BFD reflector.
    pub reflector: Reflector,
    /// The latch; the responder trips it.
    pub latch: Cell<u64>,
    /// The suppress limit.
    pub suppress_until: Millis,
    /// The time.
    pub now: Millis,
}

impl Maps {
    /// Adds or replaces an IPv4 entry, filter first, as the agent does.
    pub fn insert4(&mut self, key: Key4, entry: Entry) {
        self.note(filter::bit4(&key));
        self.vips4.insert((key.segment, key.address), entry);
    }

    /// Adds or replaces an IPv6 entry, filter first, as the agent does.
    pub fn insert6(&mut self, key: Key6, entry: Entry) {
        self.note(filter::bit6(&key));
        self.vips6.insert((key.segment, key.address), entry);
    }

    fn note(&mut self, bit: Bit) {
        debug_assert!(bit.word < FILTER_WORDS, "the filter's hash stays in its array");
        *self.filter.entry(bit.word).or_default() |= bit.mask;
    }
}

impl Tables for Maps {
    fn segment(&self, vlans: Vlans) -> Option<Segment> {
        self.segments.get(&(vlans.outer, vlans.inner)).copied()
    }

    fn filter_word(&self, index: u32) -> u64 {
        self.filter.get(&index).copied().unwrap_or_default()
    }

    fn entry4(&self, key: &Key4) -> Option<Entry> {
        self.vips4.get(&(key.segment, key.address)).copied()
    }

    fn entry6(&self, key: &Key6) -> Option<Entry> {
        self.vips6.get(&(key.segment, key.address)).copied()
    }

    fn station(&self, key: &StationKey) -> Option<u32> {
        self.stations.get(key).map(|station| *station as u32)
    }

    fn yielded(&self, slot: u32) -> u64 {
        if slot >= SLOTS {
            return u64::MAX;
        }
        self.yielded.borrow().get(&slot).copied().unwrap_or_default()
    }

    fn note_yield(&self, slot: u32, generation: u32) -> bool {
        if slot >= SLOTS || self.yielded(slot) >= u64::from(generation) {
            return false;
        }
        self.yielded.borrow_mut().insert(slot, u64::from(generation));
        true
    }

    fn emit(&self, event: &Event) {
        self.events.borrow_mut().push(*event);
    }

    fn note_heard(&self, segment: SegmentId) {
        self.heard.borrow_mut().insert(segment);
    }

    fn bfd_session(&self, discriminator: [u8; 4]) -> Option<&BfdSession> {
        self.bfd.get(&discriminator).filter(|_| !self.bfd_over.borrow().contains(&discriminator))
    }

    fn forget_bfd_session(&self, discriminator: [u8; 4]) {
        self.bfd_over.borrow_mut().insert(discriminator);
    }

    fn bfd_moment(&self, slot: u32, word: BfdWord) -> Nanos {
        if slot >= MAX_BFD {
            return Nanos::MAX;
        }
        self.bfd_moments.borrow().get(&word.index(slot)).copied().unwrap_or_default()
    }

    fn note_bfd_moment(&self, slot: u32, word: BfdWord, moment: Nanos) {
        if slot < MAX_BFD {
            self.bfd_moments.borrow_mut().insert(word.index(slot), moment);
        }
    }

    fn reflector(&self) -> Reflector {
        self.reflector
    }

    fn latch(&self) -> Latch {
        Latch(self.latch.get())
    }

    fn trip(&self, found: Latch) {
        if self.latch.get() == found.0 {
            self.latch.set(found.tripped().0);
        }
    }

    fn suppress_until(&self) -> Millis {
        self.suppress_until
    }

    fn now(&self) -> Nanos {
        nanos(self.now)
    }
}

/// An entry of generation 1 that gives way to every claim.
pub fn entry(action: Action, epoch: u16) -> Entry {
    Entry { keep_until: 0, slot: 0, generation: 1, epoch, action: action as u8, firm: 0, pad: [0; 4] }
}

/// A segment whose interface answers.
pub fn segment(id: u32, mac: [u8; 6], role: Role) -> Segment {
    Segment { id, mac, role: role as u8, pad: 0 }
}
