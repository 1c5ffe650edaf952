//! What an agent left on bpffs, read while it cannot say anything itself: stopped, killed or not yet started.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use aya::{
    maps::{Array, HashMap, Map, MapData, MapError},
    programs::links::{FdLink, PinnedLink},
};
use lb_common::{
    abi::{ABI, Entry, Key4, Key6, Segment, SegmentId, name},
    lease::{LATCH, Latch, SUPPRESS_UNTIL},
};
use nix::time::{ClockId, clock_gettime};

use crate::{asker::Stamp, lab::Host};

/// The pins of one agent.
#[derive(Debug, Clone)]
pub struct Pins {
    root: PathBuf,
}

/// The dead-man lease as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its epoch.
    pub epoch: u16,
    /// When it runs out; `None` once it has tripped.
    pub deadline: Option<Stamp>,
    /// When suppressed addresses pass again.
    pub suppress_until: Stamp,
}

impl Pins {
    /// The pins below the `--bpffs` folder of an agent.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Reads the lease.
    pub fn lease(&self) -> anyhow::Result<Lease> {
        let words: Array<_, u64> = Map::Array(self.map(name::LEASE)?).try_into().context("the lease is an array")?;
        let latch = Latch(words.get(&LATCH, 0)?);
        let suppress_until = words.get(&SUPPRESS_UNTIL, 0)?;
        Ok(Lease {
            epoch: latch.epoch(),
            deadline: if latch.deadline() == 0 { None } else { Some(stamp_of(latch.deadline())?) },
            suppress_until: stamp_of(suppress_until)?,
        })
    }

    /// Opens the table of the segment that an interface of the node is on.
    pub fn table(&self, node: &Host, interface: &str) -> anyhow::Result<Table> {
        let index = node.netns.run(|| nix::net::if_::if_nametoindex(interface))?.context("look up the interface")?;
        let segments: Array<_, Segment> = Map::Array(self.map(name::SEGMENTS)?).try_into()?;
        let segment = segments.get(&index, 0)?.id;
        ensure!(segment != 0, "{interface} of {} is on no segment", node.name);
        let (v4, v6) = (self.map(name::VIPS_V4)?, self.map(name::VIPS_V6)?);
        Ok(Table { segment, v4: Map::HashMap(v4).try_into()?, v6: Map::HashMap(v6).try_into()? })
    }

    fn map(&self, name: &str) -> anyhow::Result<MapData> {
        let path = self.root.join("maps").join(format!("{name}_abi{ABI}"));
        MapData::from_pin(&path).with_context(|| format!("open the pinned map {}", path.display()))
    }

    /// The ids of the programs behind the pinned links: they change when a program is swapped.
    pub fn programs(&self) -> anyhow::Result<Vec<u32>> {
        let folder = self.root.join("links");
        let mut programs = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry?.path();
            let link = PinnedLink::from_pin(&path).with_context(|| format!("open {}", path.display()))?;
            programs.push(FdLink::from(link).info()?.program_id());
        }
        Ok(programs)
    }

    /// Whether nothing is left.
    pub fn are_gone(&self) -> bool {
        let files = |folder: &str| fs::read_dir(self.root.join(folder)).map_or(0, Iterator::count);
        files("maps") + files("links") == 0
    }
}

/// What the kernel program looks up, on one segment.
#[derive(Debug)]
pub struct Table {
    segment: SegmentId,
    v4: HashMap<MapData, Key4, Entry>,
    v6: HashMap<MapData, Key6, Entry>,
}

impl Table {
    /// The entry of an address, if there is one.
    pub fn entry(&self, address: IpAddr) -> anyhow::Result<Option<Entry>> {
        let segment = self.segment;
        let found = match address {
            IpAddr::V4(v4) => self.v4.get(&Key4 { segment, address: v4.octets() }, 0),
            IpAddr::V6(v6) => self.v6.get(&Key6 { segment, address: v6.octets() }, 0),
        };
        match found {
            Ok(entry) => Ok(Some(entry)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("look up {address}")),
        }
    }
}

/// The kernel counts milliseconds of the monotonic clock; frames are stamped by the wall clock.
fn stamp_of(monotonic_millis: u64) -> anyhow::Result<Stamp> {
    let (wall, monotonic) = (Stamp::now()?, Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?));
    Ok(wall.moved(Duration::from_millis(monotonic_millis), monotonic))
}
