//! What the program tells the agent: somebody else spoke for one of our addresses, or asked for one.
//!
//! Events are hints: the ring buffer may be full and each kind has a budget, so an agent that finds [`Budget::lost`]
//! grown looks for itself. No event is needed for the program to be right: it yields on its own ([`crate::sighting`]).

use crate::{abi::SegmentId, eth::Mac, lease::Nanos};

/// Events of one kind that one CPU sends in a [`WINDOW_LOG2`]; the rest is counted as lost.
pub const BUDGET: u64 = 1_000;
/// The length of a window of the budget: 2^30 ns, about a second.
pub const WINDOW_LOG2: u32 = 30;

/// One event, as it lies in the ring buffer.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Event {
    /// When the frame was judged, on the lease's clock.
    pub at: Nanos,
    /// The address; an IPv4 address has the first four bytes.
    pub address: [u8; 16],
    /// The broadcast domain.
    pub segment: SegmentId,
    /// The interface that the frame came in by. Set by [`crate::tables::Tables::emit`].
    pub ifindex: u32,
    /// The slot of the entry.
    pub slot: u32,
    /// The generation of the entry.
    pub generation: u32,
    /// The epoch of the entry.
    pub epoch: u16,
    /// Whose frame it was: ARP's sender, the target option of an advertisement, else the Ethernet source.
    pub mac: Mac,
    /// [`Kind`] as a number.
    pub kind: u8,
    /// 4 or 6.
    pub family: u8,
    /// What is true of the frame: see [`flag`].
    pub flags: u8,
    /// Zero.
    pub pad: [u8; 5],
}

/// What happened. Each kind has a budget of its own, so that a flood of one does not cost another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A node announced the address as its own.
    Claim = 0,
    /// A node spoke from the address without announcing it: the answer to a probe, or a request.
    Sighting = 1,
    /// Somebody asked, in the way of a probe, for an address that we suppress or gave away.
    Probe = 2,
    /// Somebody who is no node spoke from the address.
    Stranger = 3,
    /// A solicitation for an address that we hold was not answered: the driver would not let the frame grow.
    Unanswered = 4,
}

impl Kind {
    /// All of them, in the order of their budgets.
    pub const ALL: [Self; 5] = [Self::Claim, Self::Sighting, Self::Probe, Self::Stranger, Self::Unanswered];

    /// The metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Sighting => "sighting",
            Self::Probe => "probe",
            Self::Stranger => "stranger",
            Self::Unanswered => "unanswered",
        }
    }
}

/// Bits of [`Event::flags`].
pub mod flag {
    /// The frame was sent to our hardware address.
    pub const TO_US: u8 = 1;
    /// It asked: an ARP request, a solicitation. Without it, it answered.
    pub const REQUEST: u8 = 1 << 1;
    /// ARP whose sender is its target, or an advertisement without S: for everybody to know.
    pub const ANNOUNCEMENT: u8 = 1 << 2;
    /// The program gave way, with this very frame.
    pub const YIELDED: u8 = 1 << 3;
    /// We claimed the address just now and have the lower hardware address: it stays ours, to be announced once more.
    pub const KEPT: u8 = 1 << 4;
}

/// What one CPU has spent on one kind of event.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// The number of the window.
    pub window: u64,
    /// Events sent in it.
    pub spent: u64,
    /// Events not sent since the map was made: over the budget, or the ring buffer was full.
    pub lost: u64,
}

impl Budget {
    /// Takes one event off the budget of the window of `now`; whether there was one left.
    #[inline(always)]
    pub fn take(&mut self, now: Nanos) -> bool {
        let window = now >> WINDOW_LOG2;
        if self.window != window {
            self.window = window;
            self.spent = 0;
        }
        if self.spent >= BUDGET {
            self.lost = self.lost.wrapping_add(1);
            return false;
        }
        self.spent += 1;
        true
    }
}

const _: () = assert!(size_of::<Event>() == 56);
const _: () = assert!(size_of::<Budget>() == 24);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding (size asserted above).
unsafe impl aya::Pod for Budget {}
