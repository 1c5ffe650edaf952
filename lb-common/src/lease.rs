//! The dead-man lease: until when the agent vouches for its table, as a latch.
//!
//! One word: 16 bits of epoch, 48 bits of deadline in milliseconds of the monotonic clock. Entries answer only in
//! their epoch. The first frame that finds the deadline passed sets it to 0 by compare-and-set; a renewal that comes
//! later finds another word than it expects and fails, so an agent that was stopped cannot resume what others may
//! have taken over. It starts over with a new epoch, an empty table and the warm-up.
//!
//! A second word says until when suppress entries count: past it everything passes, so that another load balancer
//! on the node can work.
//!
//! All words are written in the kernel only: by the responder (the trip) and by the renewal program.

/// Index of the latch in [`crate::abi::name::LEASE`].
pub const LATCH: u32 = 0;
/// Index of the suppress limit (milliseconds, monotonic) in [`crate::abi::name::LEASE`].
pub const SUPPRESS_UNTIL: u32 = 1;
/// Index of what the tick clock lacks to the monotonic clock (nanoseconds) in [`crate::abi::name::LEASE`].
pub const TICK_OFFSET: u32 = 2;
/// How many words [`crate::abi::name::LEASE`] has.
pub const WORDS: u32 = 3;

/// The load-time constant of the kernel program with the length of a kernel tick in nanoseconds, which is the
/// resolution of `CLOCK_MONOTONIC_COARSE`.
///
/// With it the responder's clock is a multiplication: ticks, which the kernel's compiler reads in place, times this
/// plus the offset that each renewal writes. Without it (0) the responder calls the coarse clock, for 20 ns more (ADR
/// 0018 has the figures).
pub const TICK_NANOS: &str = "TICK_NANOS";

const DEADLINE_BITS: u32 = 48;
const DEADLINE_MASK: u64 = (1 << DEADLINE_BITS) - 1;

/// The latch as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Latch(pub u64);

/// Milliseconds of the monotonic clock.
pub type Millis = u64;
/// Nanoseconds of the monotonic clock, as the kernel gives them: a multiplication is cheaper than a division.
pub type Nanos = u64;

/// A moment in nanoseconds.
#[inline(always)]
pub const fn nanos(moment: Millis) -> Nanos {
    moment.wrapping_mul(1_000_000)
}

/// What a latch says at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The table is vouched for.
    Held,
    /// The deadline has passed and nobody has noted it: the word must be replaced by [`Latch::tripped`].
    Expired,
    /// Noted earlier, or never taken.
    Tripped,
}

impl Latch {
    /// A latch of `epoch` that runs out at `deadline`.
    pub const fn new(epoch: u16, deadline: Millis) -> Self {
        Self(((epoch as u64) << DEADLINE_BITS) | (deadline & DEADLINE_MASK))
    }

    /// The epoch whose entries answer.
    pub const fn epoch(self) -> u16 {
        (self.0 >> DEADLINE_BITS) as u16
    }

    /// When it runs out; 0 once tripped.
    pub const fn deadline(self) -> Millis {
        self.0 & DEADLINE_MASK
    }

    /// The same epoch, run out for good.
    pub const fn tripped(self) -> Self {
        Self::new(self.epoch(), 0)
    }

    /// What the latch says at `now`. The deadline itself still counts.
    #[inline(always)]
    pub const fn state(self, now: Nanos) -> State {
        match self.deadline() {
            0 => State::Tripped,
            deadline if now > nanos(deadline) => State::Expired,
            _ => State::Held,
        }
    }
}

/// What the agent asks of the renewal program, as the frame of a test run.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// The word the agent believes to stand there. A renewal keeps its epoch; a start has another.
    pub expected: u64,
    /// The word to put there.
    pub wanted: u64,
    /// Until when suppress entries count, in milliseconds.
    pub suppress_until: u64,
}

/// What the renewal program returns: the XDP verdict of its test run.
pub mod verdict {
    /// `XDP_PASS`: the words stand as asked.
    pub const RENEWED: u32 = 2;
    /// `XDP_DROP`: the latch holds another word than expected, or has run out; nothing was written.
    pub const LOST: u32 = 1;
    /// `XDP_ABORTED`: the frame is not a [`super::Renewal`].
    pub const REFUSED: u32 = 0;
}

const _: () = assert!(size_of::<Renewal>() == 24);
