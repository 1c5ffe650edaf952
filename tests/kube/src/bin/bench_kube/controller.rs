//! The controller that is measured.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use lb_tests::{
    herald::{Metrics, program},
    http,
    lab::{Lab, Namespace, Process},
    usage::Usage,
};
use lb_tests_kube::Plane;
use serde_json::Value;

pub(crate) const IDENTITY: &str = "controller";
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7481);
/// Nothing takes longer, not even of ten thousand in a debug build.
const LIMIT: Duration = Duration::from_secs(600);
/// How often it is asked: often enough for the figures, and seldom enough to cost nothing.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct Controller {
    process: Process,
    namespace: Namespace,
    pub(crate) started: Instant,
}

impl Controller {
    pub(crate) fn start(lab: &Lab, plane: &Plane) -> anyhow::Result<Self> {
        let mut command = lab.control.command(program("lb-controller"));
        let listen = LISTEN.to_string();
        command.arg("--kubeconfig").arg(plane.access(IDENTITY).kubeconfig()).args(["--listen", &listen]);
        let log = plane.logs().join("lb-controller.log");
        let started = Instant::now();
        Ok(Self { process: Process::start("lb-controller", command, &log)?, namespace: lab.control.clone(), started })
    }

    /// Ends it as Kubernetes does.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        let status = self.process.term(Duration::from_secs(30))?;
        anyhow::ensure!(status.success(), "the controller ended with {status}");
        Ok(())
    }

    /// Waits until so many writes of a kind were done.
    pub(crate) fn wait_for_writes(&mut self, action: &str, wanted: usize) -> anyhow::Result<()> {
        self.wait(&format!("{wanted} {action}"), |controller| Ok(controller.written(action)? >= wanted))
    }

    /// How many writes of a kind were done.
    pub(crate) fn written(&self, action: &str) -> anyhow::Result<usize> {
        let text = http::get(&self.namespace, LISTEN, "/metrics")?;
        let labels = [("action", action), ("outcome", "done")];
        let done = Metrics::read(&text).sum("herald_controller_steps_total", &labels).unwrap_or(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
        Ok(done as usize)
    }

    pub(crate) fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        self.wait("the controller to be ready", |controller| {
            Ok(http::get(&controller.namespace, LISTEN, "/readyz").is_ok())
        })
    }

    /// Waits until it has planned as the leader.
    pub(crate) fn wait_until_planned(&mut self) -> anyhow::Result<()> {
        self.wait("the first pass", |controller| {
            let state: Value = serde_json::from_str(&http::get(&controller.namespace, LISTEN, "/state")?)?;
            Ok(state["passes"].as_u64().is_some_and(|passes| passes > 0))
        })
    }

    /// `VmRSS` and `VmHWM`, in KiB.
    pub(crate) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let usage = Usage::of(self.process.pid());
        Ok((usage.resident_kib()?, usage.most_resident_kib()?))
    }

    /// Processor time of the process so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        Usage::of(self.process.pid()).cpu()
    }

    fn wait(&mut self, what: &str, condition: impl Fn(&Self) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let end = Instant::now() + LIMIT;
        loop {
            self.process.must_run()?;
            // It may not listen yet.
            if condition(self).unwrap_or(false) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < end, "waited {LIMIT:?} for {what}\n{}", self.process.log_tail());
            std::thread::sleep(PAUSE);
        }
    }
}
