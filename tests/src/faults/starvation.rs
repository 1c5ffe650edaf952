//! A machine that is busy with everything else: every agent at nice 19 in a control group with a twentieth of a core,
//! beside 64 processes for each core that spin. What answers is the kernel program, so nothing may go unanswered and
//! nothing may move.
//!
//! The recorder goes before all of it (SCHED_FIFO); where even it was late, the sample is void.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::{
    account::{Account, account},
    holder::Outcome,
    log::Bounds,
    stage::{NODES, Stage},
};
use crate::{herald::Agent, lab::Process, wait};

/// The default `--lease`: what users run.
pub const LEASE: (&str, Duration) = ("10s", Duration::from_secs(10));
const ADDRESSES: usize = 20;
const RATE: u32 = 200;
/// Of each core.
const SPINNING: usize = 64;
/// Of the group of each agent, in microseconds of a tenth of a second: 5 % of a core.
const QUOTA: u32 = 5_000;
const PERIOD: u32 = 100_000;

/// Starves the agents for this long.
pub fn run(length: Duration) -> anyhow::Result<Outcome> {
    let mut stage = Stage::build(LEASE.0)?;
    stage.take(ADDRESSES, |place| (0..NODES).map(|rank| (place / 2 + rank) % NODES).collect())?;
    let takes = stage.takes()?;
    let folder = stage.folder();
    let groups: anyhow::Result<Vec<Group>> = stage
        .agents()
        .iter()
        .map(|agent| Group::of(agent, &folder.file_name().unwrap_or_default().to_string_lossy()))
        .collect();
    let groups = groups?;
    let mut spinning = spin(&folder)?;
    let seen = stage.perform_starved(length, RATE)?;
    spinning.iter_mut().try_for_each(Process::must_run).context("the machine was busy to the end")?;
    groups.iter().zip(stage.agents()).try_for_each(|(group, agent)| group.has(agent))?;
    drop(spinning);
    drop(groups);
    let account = account(&seen.lines, &seen.log, &Bounds::of(LEASE.1), NODES, &seen.span);
    let after = stage.takes()?;
    check(&account, takes, after)?;
    Ok(Outcome { log: seen.log, account, start: seen.span.start })
}

/// Nothing has moved, as the clients saw it and as the agents say.
fn check(account: &Account, before: f64, after: f64) -> anyhow::Result<()> {
    ensure!(account.moves == 0, "{} moves: nobody died\n{account}", account.moves);
    ensure!(after <= before, "the agents took {} addresses: nobody died\n{account}", after - before);
    Ok(())
}

fn spin(folder: &Path) -> anyhow::Result<Vec<Process>> {
    let cores = thread::available_parallelism()?.get();
    let spinner = |_| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "while :; do :; done"]);
        Process::start("a spinning process", shell, &folder.join("spin.log"))
    };
    (0..cores * SPINNING).map(spinner).collect()
}

/// A control group with a share of the processor (`cpu` of version 1, or version 2), with one agent in it.
struct Group {
    path: PathBuf,
    root: PathBuf,
}

impl Group {
    fn of(agent: &Agent, lab: &str) -> anyhow::Result<Self> {
        let old = Path::new("/sys/fs/cgroup/cpu");
        let is_old = old.join("cpu.cfs_quota_us").exists() || old.join("cpu.shares").exists();
        let root = if is_old { old.to_owned() } else { PathBuf::from("/sys/fs/cgroup") };
        let group = Self { path: root.join(format!("{lab}-{}", agent.node().name)), root };
        let write = |folder: &Path, file: &str, text: String| {
            fs::write(folder.join(file), text).with_context(|| format!("write {}", folder.join(file).display()))
        };
        if !is_old {
            write(&group.root, "cgroup.subtree_control", "+cpu".into())?;
        }
        fs::create_dir(&group.path).with_context(|| format!("make the control group {}", group.path.display()))?;
        if is_old {
            write(&group.path, "cpu.cfs_period_us", PERIOD.to_string())?;
            write(&group.path, "cpu.cfs_quota_us", QUOTA.to_string())?;
        } else {
            write(&group.path, "cpu.max", format!("{QUOTA} {PERIOD}"))?;
        }
        for task in fs::read_dir(format!("/proc/{}/task", agent.pid())).context("list the agent's threads")? {
            nice(task?.file_name().to_string_lossy().parse()?)?;
        }
        write(&group.path, "cgroup.procs", agent.pid().to_string())?;
        Ok(group)
    }

    /// The agent was in it all the time: it has not ended, and nothing has moved it.
    fn has(&self, agent: &Agent) -> anyhow::Result<()> {
        let processes = fs::read_to_string(self.path.join("cgroup.procs")).context("list the control group")?;
        ensure!(
            processes.lines().any(|process| process == agent.pid().to_string()),
            "the agent of {} is not in {}",
            agent.node().name,
            self.path.display()
        );
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let processes = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            // One that has ended since is not in it any more.
            drop(fs::write(self.root.join("cgroup.procs"), process));
        }
        let gone = wait::for_ok(Duration::from_secs(5), "an empty control group", || fs::remove_dir(&self.path));
        if let Err(error) = gone {
            tracing::warn!("remove {}: {error}", self.path.display());
        }
    }
}

/// Gives a thread the least weight there is.
fn nice(thread: u32) -> anyhow::Result<()> {
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, 19) };
    ensure!(result == 0, "set the priority of thread {thread}: {}", io::Error::last_os_error());
    Ok(())
}
