//! Herald in a cluster as an operator installs it: the published manifests, applied with kubectl, and images that hold
//! the programs of this build.
//!
//! Must not: patch what the manifests say. A test that wants something else writes an overlay.

use std::path::PathBuf;

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

/// The images that the manifests name.
pub fn images() -> Images {
    let image = |name| Image::program(&herald::program(name));
    Images::default().with("lb-agent:0.1.0", image("lb-agent")).with("lb-controller:0.1.0", image("lb-controller"))
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
    /// Installs Herald as docs/install.md says and waits until every Pod of it is ready.
    pub fn install_herald(&mut self) -> anyhow::Result<()> {
        // The switch's ports have to deliver what a node sends from XDP.
        self.lab_mut().attach_pass()?;
        let kubectl = self.kubectl();
        kubectl.run(&["create", "--filename", &folder("crds").to_string_lossy()])?;
        kubectl.apply_kustomization(&folder("base"))?;
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
