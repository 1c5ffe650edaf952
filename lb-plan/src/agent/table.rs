//! The forwarding state as values, and the difference between what is applied and what is wanted.
//!
//! Invariant of the order: after every single operation, no request is answered that must not be, and none that must
//! be suppressed reaches the kernel through a segment that points at an unfilled part of the table:
//!
//! 1. segments that keep their broadcast domain (a changed MAC, or a role that suppresses),
//! 2. entries that turn to suppress, or are new as suppress,
//! 3. entries that turn to answer, or are new as answer,
//! 4. segments that are new or change their broadcast domain: its entries stand by now,
//! 5. segments that go, then entries that go,
//! 6. segments that begin to hold: an entry that is about to go must not be answered in between.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    net::IpAddr,
    slice,
};

use super::frame::Mac;

/// A layer 2 broadcast domain: the smallest kernel index of the devices that stand in it.
pub type SegmentId = u32;

/// How a frame arrives: interface and VLAN tags, outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SegmentKey {
    /// The interface that the program sees.
    pub ifindex: u32,
    /// VLAN identifier of the outer tag, 0 if there is none.
    pub outer: u16,
    /// VLAN identifier of the inner tag, 0 if there is none.
    pub inner: u16,
}

/// What arriving there means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The broadcast domain.
    pub id: SegmentId,
    /// The hardware address that answers carry.
    pub mac: Mac,
    /// Whether this interface answers in it.
    pub role: Role,
}

/// What an interface does on its segment: of two on one segment only one answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Answers for the addresses that the node holds.
    Holds,
    /// Drops every request for an address in the table.
    Suppresses,
}

/// One address on one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// The broadcast domain.
    pub segment: SegmentId,
    /// The address.
    pub address: IpAddr,
}

/// What to do with a request for the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Answer it.
    Answer,
    /// Drop it before the kernel can answer.
    Suppress,
}

/// What is applied, as far as the difference needs it.
pub trait Table {
    /// The segments that stand.
    fn segments(&self) -> &BTreeMap<SegmentKey, Segment>;
    /// The entries that count, in the order of their keys.
    fn entries(&self) -> impl Iterator<Item = (EntryKey, Action)>;
}

/// One step from applied to wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Inserts or replaces a segment.
    SetSegment(SegmentKey, Segment),
    /// Frames that arrive there are not ours any more.
    RemoveSegment(SegmentKey),
    /// Inserts or replaces an entry.
    SetEntry(EntryKey, Action),
    /// The address is not ours any more.
    RemoveEntry(EntryKey),
}

/// What has to change, in the order in which it has to. `entries` is sorted by key and holds each key once.
pub fn diff(
    applied: &impl Table,
    segments: &BTreeMap<SegmentKey, Segment>,
    entries: &[(EntryKey, Action)],
) -> Vec<Operation> {
    let changed = ChangedSegments::between(applied.segments(), segments);
    let mut changes = EntryChanges::default();
    changes.collect(applied.entries(), entries);

    let gone = applied.segments().keys().filter(|key| !segments.contains_key(key));
    let set = |segments: Vec<_>| segments.into_iter().map(|(key, segment)| Operation::SetSegment(key, segment));
    set(changed.kept)
        .chain(changes.suppress.into_iter().map(|key| Operation::SetEntry(key, Action::Suppress)))
        .chain(changes.answer.into_iter().map(|key| Operation::SetEntry(key, Action::Answer)))
        .chain(set(changed.moved))
        .chain(gone.map(|key| Operation::RemoveSegment(*key)))
        .chain(changes.gone.into_iter().map(Operation::RemoveEntry))
        .chain(set(changed.begin_to_hold))
        .collect()
}

#[derive(Default)]
struct ChangedSegments {
    kept: Vec<(SegmentKey, Segment)>,
    moved: Vec<(SegmentKey, Segment)>,
    begin_to_hold: Vec<(SegmentKey, Segment)>,
}

impl ChangedSegments {
    fn between(applied: &BTreeMap<SegmentKey, Segment>, wanted: &BTreeMap<SegmentKey, Segment>) -> Self {
        let mut changed = Self::default();
        for (key, segment) in wanted {
            let list = match applied.get(key) {
                Some(old) if old == segment => continue,
                Some(old) if old.id != segment.id => &mut changed.moved,
                Some(old) if old.role != segment.role && segment.role == Role::Holds => &mut changed.begin_to_hold,
                Some(_) => &mut changed.kept,
                None => &mut changed.moved,
            };
            list.push((*key, *segment));
        }
        changed
    }
}

#[derive(Default)]
struct EntryChanges {
    suppress: Vec<EntryKey>,
    answer: Vec<EntryKey>,
    gone: Vec<EntryKey>,
}

impl EntryChanges {
    /// Merges the two sorted sequences.
    fn collect(&mut self, applied: impl Iterator<Item = (EntryKey, Action)>, wanted: &[(EntryKey, Action)]) {
        let mut wanted = wanted.iter().peekable();
        for (key, action) in applied {
            self.set_before(&mut wanted, key);
            match wanted.next_if(|(next, _)| *next == key) {
                Some((_, new)) if *new != action => self.set(key, *new),
                Some(_) => {}
                None => self.gone.push(key),
            }
        }
        wanted.for_each(|(key, action)| self.set(*key, *action));
    }

    fn set_before(&mut self, wanted: &mut Peekable<slice::Iter<'_, (EntryKey, Action)>>, key: EntryKey) {
        while let Some((new, action)) = wanted.next_if(|(next, _)| *next < key) {
            self.set(*new, *action);
        }
    }

    fn set(&mut self, key: EntryKey, action: Action) {
        match action {
            Action::Answer => self.answer.push(key),
            Action::Suppress => self.suppress.push(key),
        }
    }
}

/// A table that is two maps, for tests and for callers without more to remember.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainTable {
    /// See [`Table::segments`].
    pub segments: BTreeMap<SegmentKey, Segment>,
    /// See [`Table::entries`].
    pub entries: BTreeMap<EntryKey, Action>,
}

impl PlainTable {
    /// Does one step.
    pub fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::SetSegment(key, segment) => drop(self.segments.insert(key, segment)),
            Operation::RemoveSegment(key) => drop(self.segments.remove(&key)),
            Operation::SetEntry(key, action) => drop(self.entries.insert(key, action)),
            Operation::RemoveEntry(key) => drop(self.entries.remove(&key)),
        }
    }
}

impl Table for PlainTable {
    fn segments(&self) -> &BTreeMap<SegmentKey, Segment> {
        &self.segments
    }

    fn entries(&self) -> impl Iterator<Item = (EntryKey, Action)> {
        let iter: btree_map::Iter<'_, _, _> = self.entries.iter();
        iter.map(|(key, action)| (*key, *action))
    }
}

#[cfg(test)]
mod tests;
