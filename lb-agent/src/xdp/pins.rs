//! Where pinned maps and links are.
//!
//! `<bpffs>/maps/<NAME>_abi<N>`: a map whose layout changed has another name (a BPF file system refuses names with a
//! dot). `<bpffs>/links/<ifindex>` and, for tc, `<ifindex>_tcx` and `<ifindex>_clsact`: an interface that is made again
//! has another index, and renaming one changes nothing.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use lb_common::abi;
use nix::sys::statfs::{self, BPF_FS_MAGIC};

/// What keeps the program on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    /// An XDP link.
    Xdp,
    /// A tcx link.
    Tcx,
    /// The program of a filter of the clsact qdisc.
    Clsact,
}

impl Pin {
    pub(crate) const ALL: [Self; 3] = [Self::Xdp, Self::Tcx, Self::Clsact];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Xdp => "",
            Self::Tcx => "_tcx",
            Self::Clsact => "_clsact",
        }
    }
}

/// The pinned objects of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Pins {
    root: PathBuf,
}

/// Why there is no place for pins.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinsError {
    #[error("{0} is not on a BPF file system: run `mount -t bpf bpf /sys/fs/bpf`, or name another place with --bpffs")]
    NotBpf(PathBuf),
    #[error("{0} has a dot in a name, which a BPF file system refuses: name another place with --bpffs")]
    Dot(PathBuf),
    #[error("prepare {path} for pinned maps and links")]
    Io { path: PathBuf, source: io::Error },
}

impl Pins {
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes the directories; refuses another file system, where pinning fails later and less clearly.
    pub(crate) fn prepare(&self) -> Result<(), PinsError> {
        let existing = self.root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let kind = statfs::statfs(existing)
            .map_err(|errno| PinsError::Io { path: existing.to_owned(), source: errno.into() })?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
            return Err(PinsError::NotBpf(self.root.clone()));
        }
        let new = self.root.strip_prefix(existing).unwrap_or(Path::new(""));
        if new.to_string_lossy().contains('.') {
            return Err(PinsError::Dot(self.root.clone()));
        }
        for path in [self.maps(), self.links()] {
            fs::create_dir_all(&path).map_err(|source| PinsError::Io { path, source })?;
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    pub(crate) fn map(&self, name: &str) -> PathBuf {
        self.maps().join(format!("{name}_abi{}", abi::ABI))
    }

    pub(crate) fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    pub(crate) fn link(&self, ifindex: u32, pin: Pin) -> PathBuf {
        self.links().join(format!("{ifindex}{}", pin.suffix()))
    }

    /// What is pinned for an interface.
    pub(crate) fn of(&self, ifindex: u32) -> impl Iterator<Item = Pin> {
        Pin::ALL.into_iter().filter(move |pin| self.link(ifindex, *pin).exists())
    }

    /// The interfaces that have something pinned.
    pub(crate) fn pinned_links(&self) -> io::Result<BTreeSet<u32>> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(self.links())? {
            let name = entry?.file_name();
            let index = name.to_str().and_then(|name| name.split('_').next());
            found.extend(index.and_then(|index| index.parse::<u32>().ok()));
        }
        Ok(found)
    }
}
