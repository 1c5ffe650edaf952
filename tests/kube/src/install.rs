//! Herald in a cluster as an operator installs it: the published manifests, applied with kubectl, and images that hold
//! the programs of this build.
//!
//! Must not: patch what the manifests say. A test that wants something else writes an overlay.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use lb_tests::{
    herald,
    need::{Need, workspace},
};

use crate::{
    cluster::Cluster,
    runner::{Image, Images},
};

/// Where everything of it is.
pub const NAMESPACE: &str = "herald-system";
/// kubectl's own limit for a roll-out; a debug build on a busy machine.
const LIMIT: &str = "--timeout=120s";

/// The images that the manifests name: what `cargo xtask image` puts into them, which is each program and its libraries.
pub fn images() -> anyhow::Result<Images> {
    let mut images = Images::default();
    for name in ["lb-agent", "lb-controller"] {
        images = images.with(&format!("{name}:0.1.0"), image(name)?);
    }
    Ok(images)
}

fn image(name: &str) -> anyhow::Result<Image> {
    let program = herald::program(name);
    let output = Command::new("ldd").arg(&program).output().context("start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let libraries = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    // What a link leads to, under the link's name.
    let libraries = libraries.map(|library| Ok((fs::canonicalize(library)?, PathBuf::from(library))));
    let mut files = libraries.collect::<anyhow::Result<Vec<_>>>()?;
    let at = Path::new("/").join(name);
    let entrypoint = vec![at.to_string_lossy().into_owned()];
    files.push((program, at));
    Ok(Image { files, entrypoint, libraries: false })
}

/// What a test needs besides a control plane.
pub fn needs() -> Vec<Need> {
    herald::agent_needs().into_iter().chain(herald::controller_needs()).chain([Need::Program("curl")]).collect()
}

/// A folder of `deploy`.
pub fn folder(name: &str) -> PathBuf {
    workspace().join("deploy").join(name)
}

impl Cluster {
    /// Installs Herald by a kustomization of `deploy`, as docs/install.md says, and waits until every Pod of it is ready.
    pub fn install_herald(&mut self, kustomization: &str) -> anyhow::Result<()> {
        // The switch's ports have to deliver what a node sends from XDP.
        self.lab_mut().attach_pass()?;
        let kubectl = self.kubectl();
        kubectl.run(&["create", "--filename", &folder("crds").to_string_lossy()])?;
        kubectl.apply_kustomization(&folder(kustomization))?;
        self.wait_for_herald()
    }

    /// Waits for the roll-out of both daemons.
    pub fn wait_for_herald(&self) -> anyhow::Result<()> {
        for what in ["daemonset/herald-agent", "deployment/herald-controller"] {
            self.kubectl().run(&["--namespace", NAMESPACE, "rollout", "status", what, LIMIT])?;
        }
        Ok(())
    }
}
