//! What ownership asks of the tables: which claims were given way to, what a peer hears, what the reflector says.

use std::time::Duration;

use anyhow::Context;
use aya::maps::MapError;
use lb_common::abi::{Entry, Reflector, SegmentId};
use lb_plan::agent::{Action, EntryKey};

use super::{Tables, keep_from_now};

impl Tables {
    /// The claim of an address is announced only now, later than it was written: it stands against a simultaneous one from
    /// here on. Does not make an entry answer that gave way meanwhile.
    pub(crate) fn claimed(&mut self, key: EntryKey) -> anyhow::Result<()> {
        match self.entries.get(&key).copied() {
            Some(entry) if self.counts(&entry) == Action::Answer => {
                self.write_entry(key, Entry { keep_until: keep_from_now(), ..entry })
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

    /// Every address that stands as answered and that the program gave away: for an agent that may have missed an event.
    pub(crate) fn yields(&self) -> anyhow::Result<Vec<EntryKey>> {
        let mut yields = Vec::new();
        for key in self.entries.keys() {
            if self.has_yielded(*key)? {
                yields.push(*key);
            }
        }
        Ok(yields)
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
