//! What an agent left on bpffs, read while it cannot say anything itself: stopped, killed or not yet started.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use aya::{
    maps::{Array, Map, MapData},
    programs::links::{FdLink, PinnedLink},
};
use lb_common::{
    abi::{ABI, name},
    lease::{LATCH, Latch, SUPPRESS_UNTIL},
};
use nix::time::{ClockId, clock_gettime};

use crate::asker::Stamp;

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
        let path = self.root.join("maps").join(format!("{}_abi{ABI}", name::LEASE));
        let data = MapData::from_pin(&path).with_context(|| format!("open the pinned map {}", path.display()))?;
        let words: Array<_, u64> = Map::Array(data).try_into().context("the lease is an array of words")?;
        let latch = Latch(words.get(&LATCH, 0)?);
        let suppress_until = words.get(&SUPPRESS_UNTIL, 0)?;
        Ok(Lease {
            epoch: latch.epoch(),
            deadline: if latch.deadline() == 0 { None } else { Some(stamp_of(latch.deadline())?) },
            suppress_until: stamp_of(suppress_until)?,
        })
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

/// The kernel counts milliseconds of the monotonic clock; frames are stamped by the wall clock.
fn stamp_of(monotonic_millis: u64) -> anyhow::Result<Stamp> {
    let (wall, monotonic) = (Stamp::now()?, Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?));
    Ok(wall.moved(Duration::from_millis(monotonic_millis), monotonic))
}
