//! The maps that the kernel program and the agent share: names, keys, values, sizes.
//!
//! Every type is `repr(C)`, has no implicit padding (sizes are asserted below) and holds addresses as network-order
//! bytes, so that equal values are equal bytes: a hash map compares bytes.
//!
//! One writer for each word. The agent writes [`Segment`]s, [`Entry`]s, stations, the [`Reflector`], [`BfdSession`]s and the
//! sender filter; the kernel alone writes the lease ([`crate::lease`]), what it yielded, what it heard, the events and the
//! counters. It may remove a [`BfdSession`], and does nothing else to one.

use crate::bfd::LENGTH;

/// The version of everything in this file. Part of the name under which a map is pinned: a map whose layout changed
/// is another map.
pub const ABI: u32 = 4;

/// Names of the maps (at most 15 characters) and of the programs in the object.
pub mod name {
    /// `Array<Segment>` by ifindex: untagged segments of interfaces with an index under [`super::IFINDEX_ARRAY`].
    pub const SEGMENTS: &str = "SEGMENTS";
    /// `HashMap<VlanKey, Segment>`: tagged segments, and interfaces with a larger index.
    pub const VLAN_SEGMENTS: &str = "VLAN_SEGMENTS";
    /// `HashMap<Key4, Entry>`.
    pub const VIPS_V4: &str = "VIPS_V4";
    /// `HashMap<Key6, Entry>`.
    pub const VIPS_V6: &str = "VIPS_V6";
    /// `Array<u64>` of [`super::FILTER_WORDS`]: which (segment, address) may be in a table; see [`crate::filter`].
    pub const FILTER: &str = "FILTER";
    /// `Array<u64>` of [`crate::lease::WORDS`]: the latch, the suppress limit, the clock's offset; see [`crate::lease`].
    pub const LEASE: &str = "LEASE";
    /// `Array<u64>` of one [`super::Reflector`].
    pub const REFLECTOR: &str = "REFLECTOR";
    /// `HashMap<StationKey, u32>`, a [`super::Station`] as a number: the hardware addresses of nodes.
    pub const NODE_MACS: &str = "NODE_MACS";
    /// `Array<u64>` of [`super::SLOTS`] by [`super::Entry::slot`]: the highest generation that gave way to a claim.
    pub const YIELDED: &str = "YIELDED";
    /// `HashMap<SegmentId, u64>`: when a peer last said that it hears our reflector, in nanoseconds of the lease's clock.
    pub const HEARD: &str = "HEARD";
    /// `HashMap<[u8; 4], BfdSession>` by our discriminator: the sessions with routers that the program stands in for.
    pub const BFD_SESSIONS: &str = "BFD_SESSIONS";
    /// `Array<u64>` of [`super::BFD_WORDS`] by [`super::BfdWord::index`], nanoseconds of the lease's clock.
    pub const BFD_MOMENTS: &str = "BFD_MOMENTS";
    /// `RingBuf` of [`crate::event::Event`].
    pub const EVENTS: &str = "EVENTS";
    /// `PerCpuArray<Budget>` by [`crate::event::Kind`].
    pub const BUDGETS: &str = "BUDGETS";
    /// `PerCpuArray<u64>` by [`crate::outcome::Outcome`].
    pub const OUTCOMES: &str = "OUTCOMES";
    /// The responder, attached to interfaces.
    pub const RESPONDER: &str = "lb_responder";
    /// The same as [`RESPONDER`] for tc ingress.
    pub const CLASSIFIER: &str = "lb_classifier";
    /// The lease renewal, run by `BPF_PROG_TEST_RUN` with a [`crate::lease::Renewal`] as its frame.
    pub const RENEW: &str = "lb_renew";
}

/// Every map of the object, for pinning.
pub const MAPS: [&str; 15] = [
    name::SEGMENTS,
    name::VLAN_SEGMENTS,
    name::VIPS_V4,
    name::VIPS_V6,
    name::FILTER,
    name::LEASE,
    name::REFLECTOR,
    name::NODE_MACS,
    name::YIELDED,
    name::HEARD,
    name::BFD_SESSIONS,
    name::BFD_MOMENTS,
    name::EVENTS,
    name::BUDGETS,
    name::OUTCOMES,
];

/// Interfaces with an index under this have their untagged segment in an array, the others in the hash.
pub const IFINDEX_ARRAY: u32 = 1024;

/// Room for tagged segments.
pub const MAX_VLAN_SEGMENTS: u32 = 4096;

/// Room for addresses of one family, counted per segment. Memory is taken as entries come.
pub const MAX_ENTRIES: u32 = 65_536;

/// Room for notes of yields: one for each entry of both families.
pub const SLOTS: u32 = 2 * MAX_ENTRIES;

/// Room for hardware addresses of nodes, counted per segment.
pub const MAX_STATIONS: u32 = 16_384;

/// Room for segments in [`name::HEARD`].
pub const MAX_HEARD: u32 = 4096;

/// Room for BFD sessions with routers.
pub const MAX_BFD: u32 = 1024;

/// Words in [`name::BFD_MOMENTS`].
pub const BFD_WORDS: u32 = MAX_BFD * BfdWord::COUNT;

/// Bytes of the ring buffer: 4,000 events wait for an agent that is busy.
pub const EVENT_BYTES: u32 = 1 << 18;

/// Words of the sender filter: 2^18 bits, so 10,000 addresses leave 96 in 100 strangers to one array look-up.
pub const FILTER_WORDS: u32 = 4096;

/// A layer 2 broadcast domain as the agent numbers them; 0 is none.
pub type SegmentId = u32;

/// What an interface (and tag) is to us.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// The broadcast domain; 0: not ours, every frame passes.
    pub id: SegmentId,
    /// The hardware address that answers carry.
    pub mac: [u8; 6],
    /// [`Role`] as a number.
    pub role: u8,
    /// Zero.
    pub pad: u8,
}

/// What an interface does on its segment. Of two interfaces on one segment only one answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Answers for the addresses that the node holds.
    Holds = 1,
    /// Drops requests for any address in the table.
    Suppresses = 2,
}

/// Key of [`name::VLAN_SEGMENTS`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VlanKey {
    /// The interface the frame arrived on.
    pub ifindex: u32,
    /// VLAN identifier of the outer tag, 0 if there is none.
    pub outer: u16,
    /// VLAN identifier of the inner tag, 0 if there is none.
    pub inner: u16,
}

/// Key of [`name::VIPS_V4`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key4 {
    /// The broadcast domain.
    pub segment: SegmentId,
    /// The address.
    pub address: [u8; 4],
}

/// Key of [`name::VIPS_V6`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key6 {
    /// The address. First, so that it is stored as two words.
    pub address: [u8; 16],
    /// The broadcast domain.
    pub segment: SegmentId,
}

/// Key of [`name::NODE_MACS`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct StationKey {
    /// The broadcast domain.
    pub segment: SegmentId,
    /// A hardware address on it.
    pub mac: [u8; 6],
    /// Zero.
    pub pad: [u8; 2],
}

/// Whose a hardware address on a segment is. One that is not listed is a stranger's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Station {
    /// Of another node: its claims are given way to.
    Node = 1,
    /// Of another interface of this node on the same segment: what it sends is our own.
    Ours = 2,
}

/// What to do with a request for an address.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry {
    /// Until when (nanoseconds of the lease's clock) this node, which has just claimed the address, keeps it against the
    /// claim of a node with a higher hardware address. 0: it gives way to every claim.
    pub keep_until: u64,
    /// Where the program notes in [`name::YIELDED`] that it gave way.
    pub slot: u32,
    /// The program answers only while this is higher than what stands in the slot.
    pub generation: u32,
    /// An answer counts only in this epoch of the lease.
    pub epoch: u16,
    /// [`Action`] as a number.
    pub action: u8,
    /// 1: while `keep_until` has not come, the program gives way to nobody. The address was taken from a node that holds it
    /// and ranks below, so what is heard from there is from before it heard the claim.
    pub firm: u8,
    /// Zero.
    pub pad: [u8; 4],
}

/// What the agent wants of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// This node holds the address here.
    Answer = 1,
    /// Another node is ranked for it: requests are dropped before the kernel can answer them.
    Suppress = 2,
}

/// The S-BFD reflector of this node: discriminator (32 bits), epoch (16), and whether it says Up.
///
/// One word, so that the program never sees half of a change. It says Up only in its epoch of the lease, so that an
/// agent that starts over says AdminDown from its first renewal on, whatever stood here.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reflector(pub u64);

impl Reflector {
    /// Reflects nothing.
    pub const OFF: Self = Self(0);

    /// Says Up in `epoch`, while the lease is held.
    pub const fn up(discriminator: u32, epoch: u16) -> Self {
        Self((discriminator as u64) << 32 | (epoch as u64) << 16 | 1)
    }

    /// Says AdminDown: "take it from me". While the node warms up or drains.
    pub const fn admin_down(discriminator: u32) -> Self {
        Self((discriminator as u64) << 32)
    }

    /// What probes must name; 0: nothing is reflected.
    pub const fn discriminator(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether it says Up while the lease is held in `epoch`.
    pub const fn is_up_in(self, epoch: u16) -> bool {
        self.0 & 0xffff_ffff == (epoch as u64) << 16 | 1
    }
}

/// A BFD session with a router (RFC 5880), as the program needs it to go on with while the agent does not: what it sends,
/// and whose packets it is sent for.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BfdSession {
    /// Where the neighbour's packets come from. An IPv4 address is mapped (RFC 4291 §2.5.5.2).
    pub peer: [u8; 16],
    /// Where they go to.
    pub local: [u8; 16],
    /// What is sent, P and F clear (RFC 5880 §4.1). The state is Up.
    pub packet: [u8; LENGTH],
    /// The port that it is sent from.
    pub source_port: [u8; 2],
    /// The port that packets of either side are sent to: 3784, or 4784 over several hops.
    pub port: [u8; 2],
    /// Whose moments ([`BfdWord`]) these are, under [`MAX_BFD`].
    pub slot: u32,
    /// The program stands in only in this epoch of the lease.
    pub epoch: u16,
    /// The least TTL or hop limit that packets may arrive with (RFC 5881 §5, RFC 5883 §5).
    pub least_ttl: u8,
    /// Zero.
    pub pad: u8,
}

/// A moment of a BFD session, in [`name::BFD_MOMENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum BfdWord {
    /// The agent's: until when its own packets are to be expected. Until then the program leaves the neighbour's to it.
    Until = 0,
    /// The program's: when the neighbour last said that it is Up in this session, in a packet that could be answered.
    Heard = 1,
    /// The program's: when it last answered one.
    Answered = 2,
}

impl BfdWord {
    /// How many a session has.
    pub const COUNT: u32 = 3;

    /// Where it stands for the session of a slot.
    #[inline(always)]
    pub const fn index(self, slot: u32) -> u32 {
        slot.wrapping_mul(Self::COUNT).wrapping_add(self as u32)
    }
}

const _: () = assert!(size_of::<Reflector>() == 8);
const _: () = assert!(size_of::<BfdSession>() == 68);
const _: () = assert!(size_of::<Segment>() == 12);
const _: () = assert!(size_of::<VlanKey>() == 8);
const _: () = assert!(size_of::<Key4>() == 8);
const _: () = assert!(size_of::<Key6>() == 20);
const _: () = assert!(size_of::<Entry>() == 24);
const _: () = assert!(size_of::<StationKey>() == 12);

#[cfg(feature = "user")]
mod pod {
    use super::{BfdSession, Entry, Key4, Key6, Segment, StationKey, VlanKey};

    // SAFETY: `repr(C)`, integers and byte arrays only, no padding (sizes asserted above).
    unsafe impl aya::Pod for Segment {}
    // SAFETY: as above.
    unsafe impl aya::Pod for VlanKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Key4 {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Key6 {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Entry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for StationKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for BfdSession {}
}
