//! What is in the maps, and the only code that writes it there.
//!
//! The agent remembers what it wrote; at the start it reads what an earlier agent left. An entry's slot is its own
//! ([`super::slots`]). Its generation grows each time it answers again, and is always above what the program noted in
//! the slot: so an entry that gave way to another node's claim answers only after [`Tables::apply`] said so anew.
//!
//! Invariant: the sender filter's bit is set before an entry is inserted and cleared after it is removed.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Context;
use aya::maps::MapError;
use lb_common::{
    abi::{self, Entry, FILTER_WORDS, IFINDEX_ARRAY, SLOTS},
    lease::Nanos,
};
use lb_plan::agent::{Action, EntryKey, Operation, Segment, SegmentKey, Table};

mod claims;

pub(crate) use claims::Look;

use super::{
    convert::{self, Key},
    filter::{Filter, Write},
    maps::Maps,
    slots::Slots,
};
use crate::clock;

/// For how long a claim of ours stands against the claim of a node with a higher hardware address (DESIGN section 4, rule 5).
const KEEP: Nanos = 250_000_000;

/// The applied state, with the maps it is in.
pub(crate) struct Tables {
    maps: Maps,
    segments: BTreeMap<SegmentKey, Segment>,
    entries: BTreeMap<EntryKey, Entry>,
    filter: Filter,
    slots: Slots,
    epoch: u16,
}

impl Tables {
    /// Reads what the maps hold. Entries that answer in another epoch than `epoch` are as good as suppressed.
    pub(crate) fn read(maps: Maps, epoch: u16) -> anyhow::Result<Self> {
        let words: Result<Vec<u64>, MapError> = (0..FILTER_WORDS).map(|index| maps.filter.get(&index, 0)).collect();
        let mut tables = Self {
            segments: read_segments(&maps).context("read the segments")?,
            entries: read_entries(&maps).context("read the entries")?,
            filter: Filter::of(words.context("read the sender filter")?),
            maps,
            slots: Slots::around([].into_iter(), epoch, SLOTS),
            epoch,
        };
        tables.slots = Slots::around(tables.entries.values().map(|entry| entry.slot), epoch, SLOTS);
        for key in tables.entries.keys() {
            if let Some(write) = tables.filter.add(Key::from(*key)) {
                write_word(&mut tables.maps, write).context("write the sender filter")?;
            }
        }
        for write in tables.filter.sweep() {
            write_word(&mut tables.maps, write).context("write the sender filter")?;
        }
        Ok(tables)
    }

    /// The lease was lost: no entry answers any more, and none may come back to life in a later epoch.
    pub(crate) fn start_over(&mut self, epoch: u16) -> Vec<anyhow::Error> {
        self.epoch = epoch;
        let answering: Vec<EntryKey> =
            self.entries.iter().filter(|(_, entry)| answers(entry)).map(|(key, _)| *key).collect();
        answering.into_iter().filter_map(|key| self.set_entry(key, Action::Suppress).err()).collect()
    }

    /// Does one step.
    pub(crate) fn apply(&mut self, operation: Operation) -> anyhow::Result<()> {
        match operation {
            Operation::SetSegment(key, segment) => self.set_segment(key, segment),
            Operation::RemoveSegment(key) => self.remove_segment(key),
            Operation::SetEntry(key, action) => self.set_entry(key, action),
            Operation::RemoveEntry(key) => self.remove_entry(key),
        }
    }

    /// What an entry stands for: an answer of another epoch is as good as suppressed.
    fn counts(&self, entry: &Entry) -> Action {
        if answers(entry) && entry.epoch == self.epoch { Action::Answer } else { Action::Suppress }
    }

    pub(crate) fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Whether the address has an entry on any segment.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.segments.values().any(|segment| self.has(EntryKey { segment: segment.id, address }))
    }

    /// Whether there is an entry, whatever it says.
    pub(crate) fn has(&self, key: EntryKey) -> bool {
        self.entries.contains_key(&key)
    }

    pub(crate) fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The maps, for the lease and the counters.
    pub(crate) fn maps(&self) -> &Maps {
        &self.maps
    }

    fn set_segment(&mut self, key: SegmentKey, segment: Segment) -> anyhow::Result<()> {
        let value = convert::segment(segment);
        match array_index(key) {
            Some(index) => self.maps.segments.set(index, value, 0),
            None => self.maps.vlan_segments.insert(convert::vlan_key(key), value, 0),
        }
        .with_context(|| format!("write the segment of {key:?}"))?;
        self.segments.insert(key, segment);
        Ok(())
    }

    fn remove_segment(&mut self, key: SegmentKey) -> anyhow::Result<()> {
        match array_index(key) {
            Some(index) => self.maps.segments.set(index, abi::Segment::default(), 0),
            None => absent_is_fine(self.maps.vlan_segments.remove(&convert::vlan_key(key))),
        }
        .with_context(|| format!("remove the segment of {key:?}"))?;
        self.segments.remove(&key);
        Ok(())
    }

    fn set_entry(&mut self, key: EntryKey, action: Action) -> anyhow::Result<()> {
        match self.entries.get(&key).copied() {
            Some(old) => self.write_entry(key, self.next_entry(old, action)),
            None => self.new_entry(key, action),
        }
    }

    /// What follows an entry. To answer is to claim: with a new generation, and with the right to keep it for a moment.
    fn next_entry(&self, old: Entry, action: Action) -> Entry {
        let (generation, keep_until) = match action {
            Action::Answer => (old.generation + 1, from_now(KEEP)),
            Action::Suppress => (old.generation, 0),
        };
        Entry { keep_until, generation, epoch: self.epoch, action: convert::action(action), firm: 0, ..old }
    }

    fn new_entry(&mut self, key: EntryKey, action: Action) -> anyhow::Result<()> {
        let failed = || format!("write {} on segment {}", key.address, key.segment);
        let slot = self.slots.take(self.epoch).context("the table is full").with_context(failed)?;
        let written = self.yielded_in(slot).and_then(|noted| {
            let generation = u32::try_from(noted).unwrap_or(u32::MAX);
            let entry = self.next_entry(Entry { slot, generation, ..Entry::default() }, action);
            self.need_filter(key)?;
            self.write_entry(key, entry)
        });
        if written.is_err() {
            self.slots.release(slot, self.epoch);
        }
        written.with_context(failed)
    }

    fn write_entry(&mut self, key: EntryKey, entry: Entry) -> anyhow::Result<()> {
        match Key::from(key) {
            Key::V4(key) => self.maps.v4.insert(key, entry, 0),
            Key::V6(key) => self.maps.v6.insert(key, entry, 0),
        }
        .with_context(|| format!("write {} on segment {}", key.address, key.segment))?;
        self.entries.insert(key, entry);
        Ok(())
    }

    fn yielded_in(&self, slot: u32) -> anyhow::Result<u64> {
        self.maps.yielded.get(&slot, 0).with_context(|| format!("read what gave way in slot {slot}"))
    }

    fn remove_entry(&mut self, key: EntryKey) -> anyhow::Result<()> {
        absent_is_fine(match Key::from(key) {
            Key::V4(key) => self.maps.v4.remove(&key),
            Key::V6(key) => self.maps.v6.remove(&key),
        })
        .with_context(|| format!("remove {} from segment {}", key.address, key.segment))?;
        if let Some(entry) = self.entries.remove(&key) {
            self.slots.release(entry.slot, self.epoch);
        }
        if let Some(write) = self.filter.remove(Key::from(key)) {
            write_word(&mut self.maps, write).context("write the sender filter")?;
        }
        Ok(())
    }

    fn need_filter(&mut self, key: EntryKey) -> anyhow::Result<()> {
        let Some(write) = self.filter.add(Key::from(key)) else { return Ok(()) };
        write_word(&mut self.maps, write).context("write the sender filter")
    }
}

impl Table for Tables {
    fn segments(&self) -> &BTreeMap<SegmentKey, Segment> {
        &self.segments
    }

    fn entries(&self) -> impl Iterator<Item = (EntryKey, Action)> {
        self.entries.iter().map(|(key, entry)| (*key, self.counts(entry)))
    }
}

fn from_now(time: Nanos) -> Nanos {
    clock::nanos(clock::monotonic()) + time
}

fn answers(entry: &Entry) -> bool {
    entry.action == abi::Action::Answer as u8
}

fn read_segments(maps: &Maps) -> Result<BTreeMap<SegmentKey, Segment>, MapError> {
    let mut segments = BTreeMap::new();
    for ifindex in 0..IFINDEX_ARRAY {
        let found = convert::from_segment(maps.segments.get(&ifindex, 0)?);
        segments.extend(found.map(|segment| (SegmentKey { ifindex, outer: 0, inner: 0 }, segment)));
    }
    for item in maps.vlan_segments.iter() {
        let (key, segment) = item?;
        segments.extend(convert::from_segment(segment).map(|segment| (convert::from_vlan_key(key), segment)));
    }
    Ok(segments)
}

fn read_entries(maps: &Maps) -> Result<BTreeMap<EntryKey, Entry>, MapError> {
    let mut entries = BTreeMap::new();
    for item in maps.v4.iter() {
        let (key, entry) = item?;
        entries.insert(convert::from_key4(key), entry);
    }
    for item in maps.v6.iter() {
        let (key, entry) = item?;
        entries.insert(convert::from_key6(key), entry);
    }
    Ok(entries)
}

/// Untagged arrivals of interfaces with a small index are in the array.
fn array_index(key: SegmentKey) -> Option<u32> {
    (key.outer == 0 && key.inner == 0 && key.ifindex < IFINDEX_ARRAY).then_some(key.ifindex)
}

fn write_word(maps: &mut Maps, write: Write) -> Result<(), MapError> {
    maps.filter.set(write.index, write.word, 0)
}

pub(super) fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
}
