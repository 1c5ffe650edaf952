//! The agents of a cluster as its tests reach them: their Pods, and the API server under their tokens.

use std::fs;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    cluster::Cluster,
    install,
    plane::{ADDRESS, PORT},
};

impl Cluster {
    /// The Pod of the agent on a node that is not being deleted.
    pub fn agent(&self, node: &str) -> anyhow::Result<Value> {
        let on = format!("spec.nodeName={node}");
        let of = "app.kubernetes.io/name=herald-agent";
        let get = ["--namespace", install::NAMESPACE, "get", "pods", "--selector", of, "--field-selector", &on];
        let pods = self.kubectl().json(&get)?;
        let pods = pods["items"].as_array().context("a list of Pods")?;
        let alive = pods.iter().find(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        alive.cloned().with_context(|| format!("no agent on {node}"))
    }

    /// The token of the agent on a node, as its Pod has it.
    pub fn agent_token(&self, node: &str) -> anyhow::Result<String> {
        let uid = self.agent(node)?["metadata"]["uid"].as_str().context("a Pod has a uid")?.to_owned();
        let pid = self.container_pid(node, &uid, "agent")?;
        let file = format!("/proc/{pid}/root/var/run/secrets/kubernetes.io/serviceaccount/token");
        fs::read_to_string(&file).with_context(|| format!("read {file}"))
    }

    /// Merges a patch into an object as whoever has the token; an error is the API server's message. The path begins with
    /// the group, as `lb.herald.dev/v1alpha1/virtualips/192.0.2.1`.
    pub fn patch_as(&self, token: &str, path: &str, patch: &str) -> anyhow::Result<()> {
        let mut curl = self.lab().control.command("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--request", "PATCH"]);
        curl.arg("--cacert").arg(self.plane().ca()).args(["--data", patch]);
        curl.args(["--header", "Content-Type: application/merge-patch+json"]);
        curl.args(["--header", &format!("Authorization: Bearer {token}")]);
        curl.arg(format!("https://{ADDRESS}:{PORT}/apis/{path}"));
        let output = curl.output().context("start curl")?;
        ensure!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr).trim());
        let answer: Value = serde_json::from_slice(&output.stdout).context("the answer is no JSON")?;
        ensure!(answer["kind"] != "Status", "{}", answer["message"].as_str().unwrap_or_default());
        Ok(())
    }
}
