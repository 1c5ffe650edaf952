//! `kubectl`, as an operator would run it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, ensure};

use crate::{access::Access, programs::program};

/// Longer than a webhook may take.
const LIMIT: &str = "--request-timeout=40s";

/// `kubectl` with somebody's kubeconfig, in the control plane's namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    access: Access,
    cache: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(access: &Access, cache: &Path) -> Self {
        Self { access: access.clone(), cache: cache.to_owned() }
    }

    /// What it prints; an error with what it says when it fails.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run_with(arguments, "")
    }

    /// The objects of a `get`, as JSON.
    pub fn json(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let text = self.run(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }

    /// `apply` of documents.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        self.run_with(&["apply", "--filename", "-"], yaml)
    }

    /// `apply` of a kustomization.
    pub fn apply_kustomization(&self, folder: &Path) -> anyhow::Result<String> {
        self.run(&["apply", "--kustomize", &folder.to_string_lossy()])
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut command = self.access.namespace().command(program("kubectl"));
        command.arg("--kubeconfig").arg(self.access.kubeconfig()).arg("--cache-dir").arg(&self.cache).arg(LIMIT);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("start kubectl")?;
        let mut stdin = child.stdin.take().context("kubectl was started with a pipe")?;
        // It may end before it has read all; its own message is the better one.
        let written = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().context("wait for kubectl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), said.trim());
        written.context("write to kubectl")?;
        String::from_utf8(output.stdout).context("kubectl printed no UTF-8")
    }
}
