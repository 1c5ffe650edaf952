//! What becomes a container: the first process of a Pod's container, run by the pod runner as `pod-init SPEC`.
//!
//! It enters the Pod's network namespace and makes a PID namespace. Its child makes mount, IPC and UTS namespaces,
//! builds the root file system, gives up what the container may not have, and becomes the command. The first process
//! stays outside: it hands on signals, and ends as the command ended.
//!
//! Invariant: when the first process dies, whatever kills it, everything in the container dies with it.
//! What a container gets: the OCI runtime specification's Linux parts, as far as this package's README says.

mod mounts;
mod privileges;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs::{self, File},
    io::Write as _,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use nix::{
    errno::Errno,
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl,
        signal::{SigSet, Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork, sethostname},
};
use serde::{Deserialize, Serialize};

pub(crate) use privileges::Capabilities;

/// The exit code that says that the command was never run. What went wrong stands in [`Spec::error`].
pub(crate) const NOT_STARTED: i32 = 125;

/// What a container is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The network namespace to enter; without one, that of the caller.
    pub(crate) netns: Option<PathBuf>,
    pub(crate) hostname: String,
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) working_dir: PathBuf,
    /// An empty folder: the root file system is mounted on it.
    pub(crate) root: PathBuf,
    pub(crate) read_only_root: bool,
    /// Whether the machine's programs and libraries are part of the image.
    pub(crate) libraries: bool,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) capabilities: Capabilities,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) no_new_privileges: bool,
    /// Where the process id of the command is written, as the machine sees it.
    pub(crate) pid: PathBuf,
    /// Where it is written why the command was not run.
    pub(crate) error: PathBuf,
}

/// Something of the machine that a container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    pub(crate) source: Source,
    /// Where in the container.
    pub(crate) at: PathBuf,
    pub(crate) read_only: bool,
}

/// Where a mount's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    /// A file or a folder.
    Bind(PathBuf),
    /// sysfs, which shows the network namespace of who mounts it: the folder below it.
    Sysfs(PathBuf),
}

/// The whole life of `pod-init`: the exit code is the command's, or 128 and its signal, or `NOT_STARTED`.
pub fn main(spec: &Path) -> i32 {
    let spec = match read(spec) {
        Ok(spec) => spec,
        Err(error) => {
            tracing::error!("{error:#}");
            return NOT_STARTED;
        }
    };
    match File::create(&spec.error) {
        Ok(mut file) => run(&spec, &file).unwrap_or_else(|error| {
            // Nobody is left to tell when even this fails; the exit code says the rest.
            drop(write!(file, "{error:#}"));
            NOT_STARTED
        }),
        Err(_) => NOT_STARTED,
    }
}

fn read(file: &Path) -> anyhow::Result<Spec> {
    let text = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("decode {}", file.display()))
}

fn run(spec: &Spec, error: &File) -> anyhow::Result<i32> {
    // The runner's thread is the parent: a test that is killed leaves no container behind.
    prctl::set_pdeathsig(Signal::SIGKILL).context("ask to die with the runner")?;
    if let Some(netns) = &spec.netns {
        let file = File::open(netns).with_context(|| format!("open {}", netns.display()))?;
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET).context("enter the Pod's network namespace")?;
    }
    // It counts for children: the next one is the first process of it.
    unshare(CloneFlags::CLONE_NEWPID).context("make the container's PID namespace")?;
    // Blocked before the fork, so that none is lost between the fork and the wait.
    let signals = SigSet::all();
    signals.thread_block().context("block signals")?;
    // SAFETY: this process has one thread, so that its copy can do all that it could.
    match unsafe { fork() }.context("fork")? {
        ForkResult::Child => {
            let Err(failure) = become_command(spec);
            let mut error = error;
            drop(write!(error, "{failure:#}"));
            std::process::exit(NOT_STARTED);
        }
        ForkResult::Parent { child } => {
            fs::write(&spec.pid, child.to_string()).context("write the process id")?;
            watch_over(child, &signals)
        }
    }
}

/// Hands on signals to the command until it ends.
fn watch_over(child: Pid, signals: &SigSet) -> anyhow::Result<i32> {
    loop {
        let signal = signals.wait().context("wait for a signal")?;
        if signal != Signal::SIGCHLD {
            match kill(child, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error).context(format!("hand on {signal}")),
            }
            continue;
        }
        match waitpid(child, Some(WaitPidFlag::WNOHANG)).context("wait for the command")? {
            WaitStatus::Exited(_, code) => return Ok(code),
            WaitStatus::Signaled(_, signal, _) => return Ok(128 + signal as i32),
            WaitStatus::StillAlive
            | WaitStatus::Stopped(..)
            | WaitStatus::Continued(_)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_) => {}
        }
    }
}

fn become_command(spec: &Spec) -> anyhow::Result<Infallible> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("ask to die with the first process")?;
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    unshare(own).context("make the container's namespaces")?;
    sethostname(&spec.hostname).context("set the host name")?;
    mounts::enter_root(spec)?;
    std::env::set_current_dir(&spec.working_dir)
        .with_context(|| format!("enter the working directory {}", spec.working_dir.display()))?;
    privileges::give_up(spec)?;
    // A change of user forgets it.
    prctl::set_pdeathsig(Signal::SIGKILL).context("ask to die with the first process")?;
    let Some((program, arguments)) = spec.command.split_first() else { bail!("there is no command to run") };
    SigSet::empty().thread_set_mask().context("unblock signals")?;
    let failure = Command::new(find(program, spec)).args(arguments).env_clear().envs(&spec.env).exec();
    Err(failure).with_context(|| format!("run {program}"))
}

/// A command without a slash is looked for where the container's `PATH` says.
fn find(program: &str, spec: &Spec) -> PathBuf {
    let path = spec.env.get("PATH").map_or("", String::as_str);
    let found = std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file());
    if program.contains('/') { PathBuf::from(program) } else { found.unwrap_or_else(|| PathBuf::from(program)) }
}
