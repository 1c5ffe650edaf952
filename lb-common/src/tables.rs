//! What the program knows: segments, addresses and the lease; and what follows from them for one address.

use crate::{
    abi::{Action, Entry, Key4, Key6, Reflector, Role, Segment},
    eth::Vlans,
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
            Standing::Held(latch) if entry.epoch == latch.epoch() => Self::Answer,
            Standing::Held(_) | Standing::Lapsed | Standing::Gone => Self::Lapsed,
        }
    }
}
