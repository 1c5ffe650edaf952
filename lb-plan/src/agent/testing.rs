//! For tests of the plan: ownership as if every node lived.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_api::{VirtualIP, virtual_ip::Phase};

use super::{EntryKey, Ownership};
use crate::ownership::Why;

/// The first ranked node holds.
#[derive(Debug)]
pub(super) struct FirstRanked(BTreeMap<IpAddr, bool>);

impl FirstRanked {
    pub(super) fn of<'a>(node: &str, objects: impl Iterator<Item = &'a VirtualIP>) -> Self {
        let mut held = BTreeMap::new();
        for object in objects {
            let Ok(address) = object.spec.address.parse::<IpAddr>() else { continue };
            let first = object.spec.nodes.first().is_some_and(|first| first == node);
            let holds = first && object.spec.phase == Phase::Bound;
            // Of two objects of one address both must say so.
            held.entry(address.to_canonical()).and_modify(|held| *held &= holds).or_insert(holds);
        }
        Self(held)
    }
}

impl Ownership for FirstRanked {
    fn why(&self, key: EntryKey) -> Option<Why> {
        self.0.get(&key.address).copied().unwrap_or_default().then_some(Why::FirstRanked)
    }
}
