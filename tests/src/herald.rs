//! Herald's own programs in a lab: where they are, how they are started, what they say of themselves.

mod agent;
mod controller;
mod manifests;
mod metrics;
mod pins;

use std::{env, path::PathBuf};

pub use agent::{Agent, AgentOptions, Mode};
pub use controller::Controller;
pub use manifests::{Manifests, Observer, StandIn, addresses_of};
pub use metrics::Metrics;
pub use pins::{Lease, Pins, Table};

use crate::need::{Need, workspace};

/// Names the folder with `lb-agent` and `lb-controller`; without it, the folder this program was built into counts.
pub const BIN_DIR: &str = "HERALD_BIN_DIR";
/// Names the folder with `herald.o` and `lab.o`; without it, `target/bpf` of the workspace counts.
pub const OBJECTS: &str = "HERALD_OBJECTS";

/// A program of Herald.
pub fn program(name: &str) -> PathBuf {
    bin_dir().join(name)
}

/// The folder with the kernel programs.
pub fn objects() -> PathBuf {
    env::var_os(OBJECTS).map_or_else(|| workspace().join("target/bpf"), PathBuf::from)
}

/// What a test with agents needs.
pub fn agent_needs() -> Vec<Need> {
    vec![
        Need::Root,
        Need::Program("ip"),
        Need::Program("ethtool"),
        Need::File(program("lb-agent"), "cargo build -p lb-agent"),
        Need::File(objects().join("herald.o"), "cargo xtask build-ebpf"),
        Need::File(objects().join("lab.o"), "cargo xtask build-ebpf"),
    ]
}

/// What a test with a controller needs besides.
pub fn controller_needs() -> Vec<Need> {
    vec![Need::File(program("lb-controller"), "cargo build -p lb-controller")]
}

fn bin_dir() -> PathBuf {
    if let Some(dir) = env::var_os(BIN_DIR) {
        return PathBuf::from(dir);
    }
    // target/debug/demo, or target/debug/deps/l2-0123456789abcdef for a test.
    let own = env::current_exe().unwrap_or_default();
    let dir = own.parent().map(PathBuf::from).unwrap_or_default();
    if dir.ends_with("deps") { dir.parent().map(PathBuf::from).unwrap_or_default() } else { dir }
}
