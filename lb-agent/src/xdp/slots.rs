//! Which slot an entry notes its yields in.
//!
//! A slot that was let go rests until the epoch ends: a CPU may still judge a claim by the entry that had it. Should all
//! be used up within one epoch, the one that rested longest goes first; that is safe too, because a slot's generations
//! only grow ([`super::tables::Tables`]), whoever has it.
//!
//! Pure.

use std::collections::{BTreeSet, VecDeque};

/// The slots that no entry has.
#[derive(Debug)]
pub(crate) struct Slots {
    /// From here on no slot was ever used.
    next: u32,
    limit: u32,
    /// With the epoch in which they were let go, oldest first.
    resting: VecDeque<(u32, u16)>,
}

impl Slots {
    /// What entries of an earlier agent leave free; what it let go rests, because nobody knows since when.
    pub(crate) fn around(used: impl Iterator<Item = u32>, epoch: u16, limit: u32) -> Self {
        let used: BTreeSet<u32> = used.collect();
        let next = used.last().map_or(0, |last| last + 1);
        let resting = (0..next).filter(|slot| !used.contains(slot)).map(|slot| (slot, epoch)).collect();
        Self { next, limit, resting }
    }

    /// A slot for a new entry; `None` if every one is in use.
    pub(crate) fn take(&mut self, epoch: u16) -> Option<u32> {
        let has_rested = self.resting.front().is_some_and(|(_, since)| *since != epoch);
        if self.next < self.limit && !has_rested {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.resting.pop_front().map(|(slot, _)| slot)
    }

    /// The entry is gone.
    pub(crate) fn release(&mut self, slot: u32, epoch: u16) {
        self.resting.push_back((slot, epoch));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// No two entries share a slot, and none is handed out again in its epoch while another one is left.
        #[test]
        fn slots_are_unique_and_rest_for_their_epoch(steps in prop::collection::vec((any::<bool>(), 0..4_usize, any::<bool>()), 0..60)) {
            let mut slots = Slots::around(std::iter::empty(), 1, 200);
            let (mut epoch, mut used, mut let_go) = (1, Vec::new(), BTreeSet::new());
            for (release, which, next_epoch) in steps {
                if next_epoch && which == 0 {
                    epoch += 1;
                    let_go.clear();
                }
                if release && !used.is_empty() {
                    let slot = used.remove(which % used.len());
                    slots.release(slot, epoch);
                    let_go.insert(slot);
                } else {
                    let slot = slots.take(epoch).expect("there is room");
                    prop_assert!(!used.contains(&slot) && !let_go.contains(&slot), "{slot}");
                    used.push(slot);
                }
            }
        }
    }

    #[test]
    fn what_an_earlier_agent_left_is_not_given_away() {
        let mut slots = Slots::around([0, 3].into_iter(), 7, 6);

        assert_eq!([(); 2].map(|()| slots.take(7)), [Some(4), Some(5)], "1 and 2 may have been let go just now");
        assert_eq!(slots.take(8), Some(1), "in the next epoch nobody knows them any more");
    }

    #[test]
    fn when_all_are_used_up_the_longest_rest_ends_first() {
        let mut slots = Slots::around([0, 1, 2].into_iter(), 7, 3);
        assert_eq!(slots.take(7), None);
        slots.release(1, 7);
        slots.release(0, 7);

        assert_eq!([(); 3].map(|()| slots.take(7)), [Some(1), Some(0), None]);
    }
}
