//! BIRD 2 in a namespace, asked by `birdc`.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::Context as _;
use lb_tests::{
    lab::{Host, Lab, Process},
    need, wait,
};

const LIMIT: Duration = Duration::from_secs(20);

/// A running router.
#[derive(Debug)]
pub struct Bird {
    control: PathBuf,
    process: Process,
}

impl Bird {
    /// Starts a router whose whole configuration is `config`, and waits until it can be asked.
    pub fn start(lab: &Lab, host: &Host, config: &str) -> anyhow::Result<Self> {
        let dir = lab.dir().join(format!("bird-{}", host.name));
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let (file, control) = (dir.join("bird.conf"), dir.join("bird.ctl"));
        fs::write(&file, format!("log stderr all;\n{config}"))?;
        let mut command = host.netns.command("bird");
        command.arg("-f").arg("-c").arg(file).arg("-s").arg(&control).arg("-P").arg(dir.join("bird.pid"));
        let process = Process::start(&format!("bird on {}", host.name), command, &dir.join("bird.log"))?;
        let mut bird = Self { control, process };
        let ready = wait::for_ok(LIMIT, "bird to answer", || {
            bird.process.must_run().and_then(|()| bird.ask("show status")).map_err(|error| format!("{error:#}"))
        });
        ready.with_context(|| bird.process.log_tail())?;
        Ok(bird)
    }

    /// What a command of `birdc` says.
    pub fn ask(&self, command: &str) -> anyhow::Result<String> {
        let birdc = need::find_program("birdc").context("birdc is not there")?;
        crate::read(Command::new(birdc).arg("-s").arg(&self.control).args(command.split(' ')))
    }

    /// The end of its log, for a failure.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}
