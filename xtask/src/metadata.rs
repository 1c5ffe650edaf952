//! What `cargo metadata` says about the workspace, as far as commands need it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{process, workspace::Workspace};

/// The workspace's own packages.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) license: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One line of a `[dependencies]` table of any kind.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Set for packages of the workspace.
    pub(crate) path: Option<PathBuf>,
}

/// One thing that a package builds.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

/// A program of the workspace: `cargo build -p package --bin name` or `--example name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) package: String,
    pub(crate) name: String,
    pub(crate) example: bool,
}

impl Metadata {
    /// Asks cargo, offline.
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
        let json = process::read(workspace.cargo().args(arguments))?;
        serde_json::from_str(&json).context("reading cargo metadata")
    }

    /// The program or example with this name that runs on the host; `-` and `_` are the same.
    pub(crate) fn program(&self, name: &str) -> Option<Program> {
        let plain = |name: &str| name.replace('_', "-");
        let mut on_host = self.packages.iter().filter(|package| package.name != "lb-ebpf");
        on_host.find_map(|package| {
            let runs = |target: &&Target| target.kind.iter().any(|kind| kind == "bin" || kind == "example");
            let mut targets = package.targets.iter().filter(runs);
            let target = targets.find(|target| plain(&target.name) == plain(name))?;
            Some(Program {
                package: package.name.clone(),
                name: target.name.clone(),
                example: target.kind.iter().any(|kind| kind == "example"),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_either_spelling_and_a_library_is_not() {
        let json = r#"{"packages":[{"name":"p","manifest_path":"/p/Cargo.toml","license":null,"dependencies":[],
            "targets":[{"name":"demo","kind":["lib"]},{"name":"plan_bench","kind":["example"]}]}]}"#;
        let metadata: Metadata = serde_json::from_str(json).expect("as cargo prints it");
        assert_eq!(metadata.program("demo"), None);
        let found = Program { package: "p".into(), name: "plan_bench".into(), example: true };
        assert_eq!(metadata.program("plan-bench"), Some(found));
    }
}
