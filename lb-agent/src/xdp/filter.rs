//! Reference counts of the sender filter: several entries may share one bit.
//!
//! Pure. Invariant: a bit is set from before its first entry is inserted until after its last one is removed.

use std::collections::HashMap;

use lb_common::filter::{self, Bit};

use super::convert::Key;

/// The filter's words and how many entries need each bit.
#[derive(Debug)]
pub(crate) struct Filter {
    words: Vec<u64>,
    needed: HashMap<(u32, u64), u32>,
}

/// A word of the map that has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) index: u32,
    pub(crate) word: u64,
}

impl Filter {
    /// Starts from what the map holds.
    pub(crate) fn of(words: Vec<u64>) -> Self {
        Self { words, needed: HashMap::new() }
    }

    /// One more entry: to be written before it is inserted.
    pub(crate) fn add(&mut self, key: Key) -> Option<Write> {
        let Bit { word, mask } = bit(key);
        let needed = self.needed.entry((word, mask)).or_default();
        *needed += 1;
        self.change(word, |bits| bits | mask)
    }

    /// One entry fewer: to be written after it was removed.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Write> {
        let Bit { word, mask } = bit(key);
        let needed = self.needed.get_mut(&(word, mask))?;
        *needed = needed.saturating_sub(1);
        if *needed > 0 {
            return None;
        }
        self.needed.remove(&(word, mask));
        self.change(word, |bits| bits & !mask)
    }

    /// Clears what no entry needs: bits that an agent left when it was killed.
    pub(crate) fn sweep(&mut self) -> Vec<Write> {
        let mut needed = vec![0_u64; self.words.len()];
        for (word, mask) in self.needed.keys() {
            if let Some(bits) = usize::try_from(*word).ok().and_then(|word| needed.get_mut(word)) {
                *bits |= mask;
            }
        }
        let changed = self.words.iter().zip(&needed).zip(0_u32..).filter(|((old, new), _)| old != new);
        let writes = changed.map(|((_, new), index)| Write { index, word: *new }).collect();
        self.words = needed;
        writes
    }

    fn change(&mut self, index: u32, change: impl FnOnce(u64) -> u64) -> Option<Write> {
        let bits = self.words.get_mut(usize::try_from(index).ok()?)?;
        let word = change(*bits);
        (word != *bits).then(|| {
            *bits = word;
            Write { index, word }
        })
    }
}

fn bit(key: Key) -> Bit {
    match key {
        Key::V4(key) => filter::bit4(&key),
        Key::V6(key) => filter::bit6(&key),
    }
}

#[cfg(test)]
mod tests {
    use lb_common::abi::{FILTER_WORDS, Key4};
    use proptest::prelude::*;

    use super::*;

    fn key(address: u32) -> Key {
        Key::V4(Key4 { segment: 1, address: address.to_be_bytes() })
    }

    fn empty() -> Filter {
        Filter::of(vec![0; FILTER_WORDS as usize])
    }

    proptest! {
        /// The words are exactly the bits of the entries that stand, whatever shares a bit.
        #[test]
        fn bits_are_those_of_the_entries_that_stand(addresses in prop::collection::vec(0..4_000_000_u32, 0..200), removed in 0..200_usize) {
            let mut addresses = addresses;
            addresses.sort_unstable();
            addresses.dedup();
            let mut filter = empty();
            let mut map = vec![0_u64; FILTER_WORDS as usize];
            let removed = removed.min(addresses.len());
            let added: Vec<Write> = addresses.iter().filter_map(|address| filter.add(key(*address))).collect();
            let taken: Vec<Write> = addresses[..removed].iter().filter_map(|address| filter.remove(key(*address))).collect();
            added.into_iter().chain(taken).for_each(|write| map[write.index as usize] = write.word);

            let mut expected = vec![0_u64; FILTER_WORDS as usize];
            for address in &addresses[removed..] {
                let Bit { word, mask } = bit(key(*address));
                expected[word as usize] |= mask;
            }
            prop_assert_eq!(map, expected);
        }
    }

    #[test]
    fn an_entry_that_shares_its_bit_keeps_it() {
        let mut filter = empty();
        let first = filter.add(key(7)).expect("the first sets the bit");
        assert_eq!(filter.add(key(7)), None);

        assert_eq!(filter.remove(key(7)), None);
        assert_eq!(filter.remove(key(7)), Some(Write { index: first.index, word: 0 }));
    }

    #[test]
    fn sweep_clears_what_nobody_needs_and_keeps_the_rest() {
        let mut filter = Filter::of(vec![u64::MAX; 1].into_iter().chain(vec![0; FILTER_WORDS as usize - 1]).collect());
        let needed = filter.add(key(7));

        let writes = filter.sweep();

        assert!(writes.contains(&Write { index: 0, word: 0 }), "{writes:?}");
        assert!(needed.is_some() && filter.remove(key(7)).is_some(), "the needed bit was swept");
    }
}
