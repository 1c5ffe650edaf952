//! What the program knows: segments, addresses and the lease; and what follows from them for one address.

use crate::{
    abi::{Action, BfdSession, BfdWord, Entry, Key4, Key6, Reflector, Role, Segment, SegmentId, StationKey},
    eth::Vlans,
    event::Event,
    lease::{Latch, Millis, Nanos, State, nanos},
};

/// The maps, as the kernel and the host both can offer them.
pub trait Tables {
    /// What the interface of this frame is to us on these VLANs.
    fn segment(&self, vlans: Vlans) -> Option<Segment>;
    /// A word of the sender filter.
    fn filter_word(&self, index: u32) -> u64;
    /// The entry of an IPv4 address.
    fn entry4(&self, key: &Key4) -> Option<Entry>;
    /// The entry of an IPv6 address.
    fn entry6(&self, key: &Key6) -> Option<Entry>;
    /// Whose a hardware address is, as a number of [`crate::abi::Station`]; `None`: a stranger's.
    fn station(&self, key: &StationKey) -> Option<u32>;
    /// The highest generation of a slot that gave way. One that is not in the table: all of them have.
    fn yielded(&self, slot: u32) -> u64;
    /// Notes that a generation gives way, unless a higher one did; whether this call noted it.
    fn note_yield(&self, slot: u32, generation: u32) -> bool;
    /// Tells the agent, within the budget of the event's kind.
    fn emit(&self, event: &Event);
    /// Notes that a peer on the segment said that it hears our reflector.
    fn note_heard(&self, segment: SegmentId);
    /// The BFD session of that discriminator, as it stands on the wire.
    fn bfd_session(&self, discriminator: [u8; 4]) -> Option<&BfdSession>;
    /// Removes it: its neighbour is not Up any more.
    fn forget_bfd_session(&self, discriminator: [u8; 4]);
    /// A moment of the BFD session in `slot`. One that is not in the table: for ever.
    fn bfd_moment(&self, slot: u32, word: BfdWord) -> Nanos;
    /// Notes one.
    fn note_bfd_moment(&self, slot: u32, word: BfdWord, moment: Nanos);
    /// What the S-BFD reflector is.
    fn reflector(&self) -> Reflector;
    /// The lease.
    fn latch(&self) -> Latch;
    /// Replaces the latch by its tripped form, unless another did something to it first.
    fn trip(&self, found: Latch);
    /// Until when suppress entries count.
    fn suppress_until(&self) -> Millis;
    /// The monotonic clock in nanoseconds; coarse will do (4 ms at 250 Hz).
    fn now(&self) -> Nanos;
}

/// What to do with a request for an address of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Answer it.
    Answer,
    /// Drop it: another node is ranked for the address.
    Suppress,
    /// Drop it: another node claimed the address, and the agent has not taken it back.
    Yielded,
    /// Drop it: the answer is not vouched for any more.
    Lapsed,
    /// Let the kernel have it: the agent has been gone for longer than the suppress limit.
    Pass,
}

/// Whether the agent vouches for the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does, in the epoch of this latch.
    Held(Latch),
    /// It does not, but nobody else is to answer in its place.
    Lapsed,
    /// It has been gone for longer than the suppress limit.
    Gone,
}

impl Standing {
    /// Asks the lease. The one place where the latch trips.
    #[inline(always)]
    pub fn of<T: Tables>(tables: &T) -> Self {
        let latch = tables.latch();
        let now = tables.now();
        let state = latch.state(now);
        if state == State::Expired {
            tables.trip(latch);
        }
        if state == State::Held {
            return Self::Held(latch);
        }
        if now > nanos(tables.suppress_until()) {
            return Self::Gone;
        }
        Self::Lapsed
    }
}

impl Duty {
    /// Weighs an entry against the lease.
    #[inline(always)]
    pub fn of<T: Tables>(tables: &T, segment: &Segment, entry: &Entry) -> Self {
        let standing = Standing::of(tables);
        if standing == Standing::Gone {
            return Self::Pass;
        }
        if entry.action != Action::Answer as u8 || segment.role != Role::Holds as u8 {
            return Self::Suppress;
        }
        match standing {
            Standing::Held(latch) if entry.epoch == latch.epoch() => {
                if has_yielded(tables, entry) {
                    Self::Yielded
                } else {
                    Self::Answer
                }
            }
            Standing::Held(_) | Standing::Lapsed | Standing::Gone => Self::Lapsed,
        }
    }
}

/// Whether this generation of the entry gave way to a claim.
#[inline(always)]
pub fn has_yielded<T: Tables>(tables: &T, entry: &Entry) -> bool {
    entry.generation as u64 <= tables.yielded(entry.slot)
}
