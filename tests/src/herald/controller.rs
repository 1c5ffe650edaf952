//! The controller in a lab.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;

use super::{Manifests, program};
use crate::{
    http,
    lab::{Lab, Namespace, Process},
    wait,
};

const LISTEN: &str = "127.0.0.1:7481";
/// A debug build on a busy machine.
const START: Duration = Duration::from_secs(20);

/// A running controller.
#[derive(Debug)]
pub struct Controller {
    process: Process,
    netns: Namespace,
}

/// What `/state` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ControllerState {
    /// The digest of the users' files that the last completed pass saw.
    pub manifests: String,
    /// Completed passes since its start.
    pub passes: u64,
    /// Whether the first lists are complete.
    pub synced: bool,
}

impl Controller {
    /// Starts a controller on a folder and waits until it has read everything.
    pub fn start(lab: &Lab, manifests: &Manifests, args: &[&str]) -> anyhow::Result<Self> {
        let mut controller = Self::launch(lab, manifests, args)?;
        controller.wait_for(START, "the controller to be synced", |state| state.synced)?;
        Ok(controller)
    }

    /// Starts a controller and does not wait.
    pub fn launch(lab: &Lab, manifests: &Manifests, args: &[&str]) -> anyhow::Result<Self> {
        let mut command = lab.control.command(program("lb-controller"));
        command.arg("--manifests").arg(manifests.dir()).args(["--listen", LISTEN]).args(args);
        let process = Process::start("lb-controller", command, &lab.dir().join("controller.log"))?;
        Ok(Self { process, netns: lab.control.clone() })
    }

    /// What it says of itself.
    pub fn state(&self) -> anyhow::Result<ControllerState> {
        let server: SocketAddr = LISTEN.parse()?;
        serde_json::from_str(&http::get(&self.netns, server, "/state")?).context("the controller's /state")
    }

    /// Waits for a state, or says why it cannot come.
    pub fn wait_for(
        &mut self,
        limit: Duration,
        what: &str,
        mut wanted: impl FnMut(&ControllerState) -> bool,
    ) -> anyhow::Result<ControllerState> {
        let waited = wait::for_ok(limit, what, || match self.process.must_run() {
            // It will not come back by itself: no use in waiting.
            Err(error) => Ok(Err(error)),
            Ok(()) => self
                .state()
                .map_err(|error| format!("{error:#}"))
                .and_then(|state| if wanted(&state) { Ok(Ok(state)) } else { Err(format!("{state:?}")) }),
        });
        waited.with_context(|| self.process.log_tail())?
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
