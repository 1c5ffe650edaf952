//! GoBGP in a namespace, asked by `gobgp`.

use std::{fs, time::Duration};

use anyhow::Context as _;
use lb_tests::{
    lab::{Host, Lab, Process},
    wait,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

/// A running router.
#[derive(Debug)]
pub struct GoBgp {
    host: Host,
    process: Process,
}

impl GoBgp {
    /// Starts a router whose whole configuration is `config` (TOML), and waits until it can be asked.
    pub fn start(lab: &Lab, host: &Host, config: &str) -> anyhow::Result<Self> {
        let dir = lab.dir().join(format!("gobgp-{}", host.name));
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let file = dir.join("gobgpd.toml");
        fs::write(&file, config)?;
        let mut command = host.netns.command("gobgpd");
        command.arg("--config-file").arg(file).args(["--api-hosts", "127.0.0.1:50051", "--pprof-disable"]);
        let process = Process::start(&format!("gobgpd on {}", host.name), command, &dir.join("gobgpd.log"))?;
        let mut gobgp = Self { host: host.clone(), process };
        let ready = wait::for_ok(LIMIT, "gobgpd to answer", || {
            let running = gobgp.process.must_run();
            running.and_then(|()| gobgp.json(&["neighbor"])).map(drop).map_err(|error| format!("{error:#}"))
        });
        ready.with_context(|| gobgp.process.log_tail())?;
        Ok(gobgp)
    }

    /// What a command says as JSON.
    pub fn json(&self, command: &[&str]) -> anyhow::Result<Value> {
        let text = crate::read(self.host.netns.command("gobgp").arg("--json").args(command))?;
        serde_json::from_str(&text).with_context(|| format!("{command:?}: {text}"))
    }

    /// The end of its log, for a failure.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}
