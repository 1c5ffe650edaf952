//! An agent in a lab.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::{Manifests, Metrics, Pins, objects, program};
use crate::{
    http,
    lab::{Host, Lab, Process},
    wait,
};

const LISTEN: &str = "127.0.0.1:7480";
/// A debug build on a busy machine.
const START: Duration = Duration::from_secs(20);

/// How the program is to be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mode {
    /// The best that works.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// On tc ingress.
    Tc,
    /// On socket buffers.
    Generic,
}

impl Mode {
    /// As the command line spells it.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Tc => "tc",
            Self::Generic => "generic",
        }
    }
}

/// What differs between tests.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// How to attach.
    pub mode: Mode,
    /// `--lease`.
    pub lease: &'static str,
    /// `--suppress-limit`.
    pub suppress_limit: &'static str,
    /// `--handover`.
    pub handover: &'static str,
    /// `--on-term`.
    pub on_term: &'static str,
    /// The program; `None` is the one that was built beside the tests.
    pub binary: Option<PathBuf>,
    /// An API server by its kubeconfig, in place of the manifests.
    pub kubeconfig: Option<PathBuf>,
    /// Whether it sees a file system of its own, so that [`Agent::freeze_view`] can be called.
    pub own_view: bool,
    /// `--proxy-health`.
    pub proxy_health: &'static str,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            lease: "10s",
            suppress_limit: "5m",
            handover: "60s",
            on_term: "auto",
            binary: None,
            kubeconfig: None,
            own_view: false,
            proxy_health: "off",
        }
    }
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    node: Host,
    process: Process,
    bpffs: PathBuf,
    run_dir: PathBuf,
    manifests: PathBuf,
}

impl Agent {
    /// Starts an agent on a node and waits until its program is attached and its first pass is done.
    pub fn start(lab: &Lab, node: &Host, manifests: &Manifests, options: &AgentOptions) -> anyhow::Result<Self> {
        let mut agent = Self::launch(lab, node, manifests, options)?;
        agent.wait_ready(START)?;
        Ok(agent)
    }

    /// Starts an agent and does not wait.
    pub fn launch(lab: &Lab, node: &Host, manifests: &Manifests, options: &AgentOptions) -> anyhow::Result<Self> {
        let (bpffs, run_dir) = (lab.bpffs(node)?, lab.dir().join(format!("run-{}", node.name)));
        let binary = options.binary.clone().unwrap_or_else(|| program("lb-agent"));
        let mut command = if options.own_view {
            let mut unshare = node.netns.command("unshare");
            unshare.arg("--mount").arg(binary);
            unshare
        } else {
            node.netns.command(binary)
        };
        command.arg("run").args(["--node", &node.name, "--listen", LISTEN, "--mode", options.mode.flag()]);
        command.args(["--lease", options.lease, "--suppress-limit", options.suppress_limit]);
        command.args(["--handover", options.handover, "--on-term", options.on_term]);
        // An agent of another version, which an upgrade begins with, may not know it.
        if options.proxy_health != "off" {
            command.args(["--proxy-health", options.proxy_health]);
        }
        match &options.kubeconfig {
            Some(file) => command.arg("--kubeconfig").arg(file),
            None => command.arg("--manifests").arg(manifests.dir()),
        };
        command.arg("--bpffs").arg(&bpffs).arg("--run-dir").arg(&run_dir);
        command.arg("--object").arg(objects().join("herald.o"));
        let log = lab.dir().join(format!("agent-{}.log", node.name));
        let process = Process::start(&format!("lb-agent on {}", node.name), command, &log)?;
        Ok(Self { node: node.clone(), process, bpffs, run_dir, manifests: manifests.dir().to_owned() })
    }

    /// Waits until it says that it is ready.
    pub fn wait_ready(&mut self, limit: Duration) -> anyhow::Result<()> {
        let (node, server) = (self.node.clone(), self.server());
        let waited = wait::for_ok(limit, format!("the agent on {} to be ready", node.name), || {
            match self.process.must_run() {
                // It will not come back by itself: no use in waiting.
                Err(error) => Ok(Err(error)),
                Ok(()) => http::get(&node.netns, server, "/readyz").map(Ok).map_err(|error| format!("{error:#}")),
            }
        });
        waited.with_context(|| self.process.log_tail())?.map(drop)
    }

    /// What it says of itself, as JSON.
    pub fn state(&self) -> anyhow::Result<serde_json::Value> {
        let text = http::get(&self.node.netns, self.server(), "/state")?;
        serde_json::from_str(&text).with_context(|| format!("/state of the agent on {}", self.node.name))
    }

    /// Its counters.
    pub fn metrics(&self) -> anyhow::Result<Metrics> {
        Ok(Metrics::read(&http::get(&self.node.netns, self.server(), "/metrics")?))
    }

    /// The node it works for.
    pub fn node(&self) -> &Host {
        &self.node
    }

    /// What it has pinned.
    pub fn pins(&self) -> Pins {
        Pins::at(&self.bpffs)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Freezes it.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.process.stop()
    }

    /// Lets it go on.
    pub fn cont(&self) -> anyhow::Result<()> {
        self.process.cont()
    }

    /// Puts a copy of the manifests, as they are now, in their place: from here on it sees no change, and nobody sees
    /// what it writes. Needs [`AgentOptions::own_view`].
    pub fn freeze_view(&self, copy: &Path) -> anyhow::Result<()> {
        let mut copying = Command::new("cp");
        copying.arg("-a").arg("--").arg(&self.manifests).arg(copy);
        succeed(&mut copying)?;
        succeed(self.in_view("mount").arg("--bind").arg(copy).arg(&self.manifests))
    }

    /// Shows it the manifests again.
    pub fn thaw_view(&self) -> anyhow::Result<()> {
        succeed(self.in_view("umount").arg("--lazy").arg(&self.manifests))
    }

    fn in_view(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid().to_string(), "--mount", program]);
        command
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Runs `lb-agent cleanup` on the node, as an operator would once the agent is gone.
    pub fn cleanup(&self) -> anyhow::Result<()> {
        let mut command: Command = self.node.netns.command(program("lb-agent"));
        command.arg("cleanup").arg("--bpffs").arg(&self.bpffs).arg("--run-dir").arg(&self.run_dir);
        succeed(&mut command).with_context(|| format!("clean up on {}", self.node.name))
    }

    fn server(&self) -> SocketAddr {
        LISTEN.parse().expect("a constant address")
    }
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("start {:?}", command.get_program()))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {out}{err}");
    Ok(())
}
