//! Routers of the distribution in the lab's namespaces, and the agent's speaker in a node's.
//!
//! Everything is asserted from the router's view: what it says of the session and of the routes is what counts.

pub mod bird;
pub mod ear;
pub mod ecmp;
pub mod frr;
pub mod gobgp;
pub mod pages;
pub mod scene;
pub mod stage;
pub mod traffic;

use std::process::Command;

use anyhow::{Context as _, ensure};
use lb_tests::need::{self, Need};

/// Whether this machine has the routers; if not, that is said as a skip.
pub fn met() -> bool {
    need::met(&[
        Need::Root,
        Need::Program("ip"),
        Need::Program("ethtool"),
        Need::Program("vtysh"),
        Need::Program("bird"),
        Need::Program("gobgpd"),
    ])
}

/// What a command prints, or its error.
fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("start {:?}", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}
