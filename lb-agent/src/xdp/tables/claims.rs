//! What ownership asks of the tables: which claims were given way to, what a peer hears, what the reflector says.

use std::{ops::Bound, time::Duration};

use anyhow::Context;
use aya::maps::MapError;
use lb_common::{
    abi::{Entry, Reflector, SegmentId},
    lease::Nanos,
};
use lb_plan::agent::{Action, EntryKey};

use super::{KEEP, Tables, from_now};

/// For how long a claim is kept that has not been announced yet: 10,000 take a second.
const TURN: Nanos = 2_000_000_000;

/// The entries to look up, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Begins behind this one.
    pub(crate) behind: Bound<EntryKey>,
    /// At most so many.
    pub(crate) most: usize,
}

impl Look {
    /// Every one.
    pub(crate) const ALL: Self = Self { behind: Bound::Unbounded, most: usize::MAX };
}

/// What the map says of the entries that stand as answered.
#[derive(Debug, Default)]
pub(crate) struct Yields {
    /// These gave way.
    pub(crate) yielded: Vec<EntryKey>,
    /// Of these it is not known.
    pub(crate) failed: Vec<(EntryKey, anyhow::Error)>,
    /// The last one that was looked up.
    pub(crate) last: Option<EntryKey>,
}

impl Tables {
    /// The claim of an address is announced only now, later than it was written: it stands against a simultaneous one from
    /// here on. Does not make an entry answer that gave way meanwhile.
    pub(crate) fn claimed(&mut self, key: EntryKey, firm: bool) -> anyhow::Result<()> {
        self.keep(key, KEEP, firm)
    }

    /// The address was taken from a node that holds it, and its claim will be announced in its turn: until then, and a
    /// moment longer, what is heard from there is from before.
    pub(crate) fn stand(&mut self, key: EntryKey) -> anyhow::Result<()> {
        self.keep(key, TURN, true)
    }

    fn keep(&mut self, key: EntryKey, time: Nanos, firm: bool) -> anyhow::Result<()> {
        match self.entries.get(&key).copied() {
            Some(entry) if self.counts(&entry) == Action::Answer => {
                self.write_entry(key, Entry { keep_until: from_now(time), firm: firm.into(), ..entry })
            }
            _ => Ok(()),
        }
    }

    /// This node gives way to every claim from now on, however short ago it claimed an address itself.
    pub(crate) fn waive_claims(&mut self) -> Vec<anyhow::Error> {
        let claimed = self.entries.iter().filter(|(_, entry)| entry.keep_until > 0);
        let waived: Vec<(EntryKey, Entry)> =
            claimed.map(|(key, entry)| (*key, Entry { keep_until: 0, ..*entry })).collect();
        waived.into_iter().filter_map(|(key, entry)| self.write_entry(key, entry).err()).collect()
    }

    /// Whether an entry of this generation and epoch is the one that stands now.
    pub(crate) fn is_present(&self, key: EntryKey, generation: u32, epoch: u16) -> bool {
        self.entries.get(&key).is_some_and(|entry| (entry.generation, entry.epoch) == (generation, epoch))
    }

    /// Whether an entry answers, as far as the agent's word goes: the program may have given it away.
    pub(crate) fn answers(&self, key: EntryKey) -> bool {
        self.entries.get(&key).is_some_and(|entry| self.counts(entry) == Action::Answer)
    }

    /// Whether the program gave an address away that stands as answered: it does not answer it until it is applied anew.
    pub(crate) fn has_yielded(&self, key: EntryKey) -> anyhow::Result<bool> {
        match self.entries.get(&key) {
            Some(entry) if self.counts(entry) == Action::Answer => {
                Ok(self.yielded_in(entry.slot)? >= u64::from(entry.generation))
            }
            _ => Ok(false),
        }
    }

    /// The addresses that stand as answered and that the program gave away, whatever events have told.
    pub(crate) fn yields(&self, look: Look) -> Yields {
        let mut yields = Yields::default();
        for (key, _) in self.entries.range((look.behind, Bound::Unbounded)).take(look.most) {
            yields.last = Some(*key);
            match self.has_yielded(*key) {
                Ok(true) => yields.yielded.push(*key),
                Ok(false) => {}
                Err(error) => yields.failed.push((*key, error)),
            }
        }
        yields
    }

    /// When a peer last said that this node's answers reach it on a segment, on the clock of [`crate::clock::monotonic`]: the
    /// self-test by a peer.
    pub(crate) fn heard(&self, segment: SegmentId) -> anyhow::Result<Option<Duration>> {
        match self.maps.heard.get(&segment, 0) {
            Ok(at) => Ok(Some(Duration::from_nanos(at))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read whether a peer hears us on segment {segment}")),
        }
    }

    /// What the S-BFD reflector says from now on.
    pub(crate) fn set_reflector(&mut self, reflector: Reflector) -> anyhow::Result<()> {
        self.maps.reflector.set(0, reflector.0, 0).context("write what the reflector says")
    }
}
