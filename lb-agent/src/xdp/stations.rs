//! Whose hardware addresses are on the segments: the map by which the program knows a claim from a stranger's frame.
//!
//! Level: what is wanted is compared with what stands in the map, nodes and own interfaces apart, so that an agent that
//! has not read the other nodes yet leaves those of its predecessor alone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aya::maps::{HashMap, MapData};
use lb_common::abi::{Station, StationKey};

use super::tables::absent_is_fine;

/// The map, and what is in it.
pub(crate) struct Stations {
    map: HashMap<MapData, StationKey, u32>,
    known: BTreeMap<StationKey, Station>,
}

impl Stations {
    /// Takes up what an earlier agent left.
    pub(crate) fn read(map: HashMap<MapData, StationKey, u32>) -> anyhow::Result<Self> {
        let mut known = BTreeMap::new();
        for item in map.iter() {
            let (key, number) = item.context("read the nodes' hardware addresses")?;
            // A number that this agent does not know is written again or removed with the next change.
            let station = if number == Station::Ours as u32 { Station::Ours } else { Station::Node };
            known.insert(key, station);
        }
        Ok(Self { map, known })
    }

    /// Makes `wanted` the hardware addresses of that kind. An address that is one of ours is never another node's.
    pub(crate) fn set(&mut self, station: Station, wanted: &BTreeSet<StationKey>) -> Vec<anyhow::Error> {
        let mut errors = Vec::new();
        for change in changes(&self.known, station, wanted) {
            errors.extend(self.apply(change).err());
        }
        errors
    }

    fn apply(&mut self, change: Change) -> anyhow::Result<()> {
        match change {
            Change::Set(key, station) => {
                self.map.insert(key, station as u32, 0).with_context(|| {
                    format!("write the hardware address {:02x?} of segment {}", key.mac, key.segment)
                })?;
                self.known.insert(key, station);
            }
            Change::Remove(key) => {
                absent_is_fine(self.map.remove(&key)).with_context(|| {
                    format!("remove the hardware address {:02x?} of segment {}", key.mac, key.segment)
                })?;
                self.known.remove(&key);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Set(StationKey, Station),
    Remove(StationKey),
}

fn changes(known: &BTreeMap<StationKey, Station>, station: Station, wanted: &BTreeSet<StationKey>) -> Vec<Change> {
    let gone = known.iter().filter(|(key, is)| **is == station && !wanted.contains(*key));
    let gone = gone.map(|(key, _)| Change::Remove(*key));
    let set = wanted.iter().filter(|key| match known.get(*key) {
        Some(is) => *is != station && *is != Station::Ours,
        None => true,
    });
    gone.chain(set.map(|key| Change::Set(*key, station))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> StationKey {
        StationKey { segment: 2, mac: [2, 0, 0, 0, 0, last], pad: [0; 2] }
    }

    #[test]
    fn nodes_and_own_interfaces_are_compared_apart() {
        let known = BTreeMap::from([(key(1), Station::Ours), (key(2), Station::Node), (key(3), Station::Node)]);

        let nodes = changes(&known, Station::Node, &[key(3), key(4)].into());
        assert_eq!(nodes, [Change::Remove(key(2)), Change::Set(key(4), Station::Node)]);
        assert_eq!(changes(&known, Station::Ours, &[key(1)].into()), []);
    }

    #[test]
    fn a_hardware_address_of_ours_is_never_another_node_s() {
        let known = BTreeMap::from([(key(1), Station::Ours), (key(2), Station::Node)]);

        assert_eq!(changes(&known, Station::Node, &[key(1), key(2)].into()), []);
        let ours = changes(&known, Station::Ours, &[key(1), key(2)].into());
        assert_eq!(ours, [Change::Set(key(2), Station::Ours)]);
    }
}
