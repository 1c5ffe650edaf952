//! The only writers of the lease: see `lb_common::lease`.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use lb_common::{
    frame::Frame,
    lease::{LATCH, Latch, SUPPRESS_UNTIL, State, TICK_OFFSET, verdict},
};

use crate::{maps, packet::Packet};

/// Puts the wanted word into the latch if it still holds the expected one and, for a renewal, has not run out.
#[inline(always)]
pub(crate) fn renew(frame: &mut Packet<'_>) -> u32 {
    let Some(expected) = word_at(frame, 0) else { return verdict::REFUSED };
    let Some(wanted) = word_at(frame, 8) else { return verdict::REFUSED };
    let Some(suppress_until) = word_at(frame, 16) else { return verdict::REFUSED };
    let Some(latch) = maps::word(LATCH) else { return verdict::REFUSED };
    let Some(limit) = maps::word(SUPPRESS_UNTIL) else { return verdict::REFUSED };
    let Some(offset) = maps::word(TICK_OFFSET) else { return verdict::REFUSED };
    // A tick between its two readings makes the offset one tick off; the next renewal writes it again.
    compare_and_set(offset, maps::read(offset), maps::tick_offset());
    let (before, after) = (Latch(expected), Latch(wanted));
    let renewal = before.epoch() == after.epoch();
    if renewal && before.state(maps::now()) != State::Held {
        compare_and_set(latch, expected, before.tripped().0);
        return verdict::LOST;
    }
    // The limit goes first: a frame between the two writes finds a limit that is too late, never one too early.
    let limit_before = maps::read(limit);
    compare_and_set(limit, limit_before, suppress_until);
    if !compare_and_set(latch, expected, wanted) {
        compare_and_set(limit, suppress_until, limit_before);
        return verdict::LOST;
    }
    verdict::RENEWED
}

/// Replaces `*word` by `new` if it is `old`; whether it was.
#[inline(always)]
pub(crate) fn compare_and_set(word: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: `word` points to an aligned element of a map, which lives as long as the program.
    let (_, done) =
        unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(word, old, new) };
    done
}

#[inline(always)]
fn word_at(frame: &mut Packet<'_>, offset: usize) -> Option<u64> {
    frame.view::<8>(offset).map(|bytes| u64::from_ne_bytes(*bytes))
}
