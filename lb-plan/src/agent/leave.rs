//! VirtualIPs that are not listed any more, and how long they still count (rule 8 of [`crate::ownership`]).
//!
//! A release is a state that the object shows. An object that merely disappears says nothing about its address: a
//! folder may have been removed by mistake, or an agent has started while a file does not parse. Such an object
//! counts as it was last seen: for [`GRACE`] if it is gone for sure, and without limit while it may still exist.
//! Suppressed addresses stay as answered ones do, because the node that holds the address goes on answering.
//!
//! Pure: time comes as a value, on any clock that only goes forward.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use lb_api::{
    VirtualIP, VirtualIPSpec,
    virtual_ip::{Phase, name_of},
};

use super::{
    table::{Action, EntryKey, SegmentId},
    topology::Topology,
};

/// How long an object counts that has disappeared without having been released.
pub const GRACE: Duration = Duration::from_secs(60);

/// What the listing says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is listed: the listing decides.
    Listed,
    /// It is not listed, but may stand in a document that cannot be used.
    Doubtful,
    /// It does not exist.
    Gone,
}

/// The objects that count although they are not listed.
#[derive(Debug, Default)]
pub struct Leaving {
    kept: BTreeMap<String, Kept>,
}

#[derive(Debug)]
struct Kept {
    object: Arc<VirtualIP>,
    /// Until when it counts; `None` while it is in doubt.
    until: Option<Duration>,
}

impl Leaving {
    /// Takes up an object that is not listed any more. A released one is nobody's, so nothing of it is kept.
    pub fn add(&mut self, object: Arc<VirtualIP>) {
        if let (Phase::Bound, Some(name)) = (object.spec.phase, object.metadata.name.clone()) {
            self.kept.insert(name, Kept { object, until: None });
        }
    }

    /// Judges every kept object anew; whether one counts no more.
    pub fn judge(&mut self, now: Duration, presence: impl Fn(&str) -> Presence) -> bool {
        let before = self.kept.len();
        self.kept.retain(|name, kept| match presence(name) {
            Presence::Listed => false,
            Presence::Doubtful => {
                kept.until = None;
                true
            }
            Presence::Gone => *kept.until.get_or_insert(now + GRACE) > now,
        });
        self.kept.len() != before
    }

    /// The objects that count.
    pub fn objects(&self) -> impl Iterator<Item = &VirtualIP> {
        self.kept.values().map(|kept| &*kept.object)
    }

    /// The same, shared.
    pub fn shared(&self) -> impl Iterator<Item = Arc<VirtualIP>> {
        self.kept.values().map(|kept| Arc::clone(&kept.object))
    }

    /// When the next one ends to count.
    pub fn next(&self) -> Option<Duration> {
        self.kept.values().filter_map(|kept| kept.until).min()
    }
}

/// The objects behind a table that an earlier agent left, as far as the table tells: where this node answers it is
/// the first ranked, everything else is suppressed.
pub fn standing(node: &str, topology: &Topology, entries: impl Iterator<Item = (EntryKey, Action)>) -> Vec<VirtualIP> {
    let mut by_address: BTreeMap<IpAddr, [BTreeSet<SegmentId>; 2]> = BTreeMap::new();
    for (key, action) in entries {
        let [answered, suppressed] = by_address.entry(key.address).or_default();
        match action {
            Action::Answer => answered.insert(key.segment),
            Action::Suppress => suppressed.insert(key.segment),
        };
    }
    let names_on = |segments: &BTreeSet<SegmentId>| -> Vec<String> {
        let stations = segments.iter().flat_map(|segment| topology.on_segment(*segment));
        stations.map(|station| station.name.clone()).collect()
    };
    let object = |(address, [answered, suppressed]): (IpAddr, [BTreeSet<SegmentId>; 2])| {
        let everywhere = suppressed.is_empty();
        let interfaces = if everywhere { Vec::new() } else { names_on(&answered) };
        // No interface at all would mean every interface.
        let holds = everywhere || !interfaces.is_empty();
        let nodes = if holds { vec![node.to_owned()] } else { Vec::new() };
        let spec = VirtualIPSpec { address: address.to_string(), nodes, interfaces, ..VirtualIPSpec::default() };
        VirtualIP::new(&name_of(address), spec)
    };
    by_address.into_iter().map(object).collect()
}

#[cfg(test)]
mod tests;
