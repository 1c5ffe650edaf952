//! Where things are: the clone, the build folders, the cache outside the clone.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// What every cargo command of ours selects: all that runs on the host.
///
/// Always all of it, whatever is built: cargo unifies the features of what is selected, and another selection would
/// build most dependencies again.
pub(crate) const ON_HOST: [&str; 3] = ["--workspace", "--exclude", "lb-ebpf"];

/// The places every command needs.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The root folder of the clone.
    pub(crate) root: PathBuf,
    /// Tools that are kept by version, outside the clone.
    pub(crate) cache: PathBuf,
}

impl Workspace {
    /// The workspace this binary was built in.
    pub(crate) fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let manifest = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = manifest.parent().context("xtask is a folder of the workspace")?.to_owned();
        let cache = match (env::var_os("HERALD_CACHE"), env::var_os("HOME")) {
            (Some(cache), _) => PathBuf::from(cache),
            (None, Some(home)) => Path::new(&home).join(".cache/herald"),
            (None, None) => root.join("target/cache"),
        };
        Ok(Self { root, cache })
    }

    /// Where the built kernel programs are; a fixed place, whatever `CARGO_TARGET_DIR` says.
    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join("target/bpf")
    }

    /// Cargo's build folder for everything that runs on the host.
    pub(crate) fn target(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.map_or_else(|| self.root.join("target"), |target| self.root.join(target))
    }

    /// The cargo that runs this command, at the root of the clone.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }
}
