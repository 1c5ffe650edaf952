//! Random faults, and the account of every second.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use super::{
    account::{Account, account},
    log::{Bounds, Entry},
    plan,
    stage::{NODES, Stage},
};
use crate::asker::Stamp;

/// What to do.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Repeats the faults.
    pub seed: u64,
    /// How long.
    pub length: Duration,
    /// How many addresses, half of them IPv6.
    pub addresses: usize,
    /// The bounds are stretched: the machine does other things besides.
    pub unhurried: bool,
    /// A folder for the agents' logs, should it fail.
    pub keep: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What was done.
    pub log: Vec<Entry>,
    /// What was seen.
    pub account: Account,
    /// When it began.
    pub start: Stamp,
}

/// The lease of the agents: short, so that faults can outlast it.
pub const LEASE: (&str, Duration) = ("5s", Duration::from_secs(5));
/// Questions a second, for each client and family.
const RATE: u32 = 500;

/// Does random faults to a lab. An error is a run that could not be done or is void; see [`Account::verdict`].
pub fn run(holder: &Holder) -> anyhow::Result<Outcome> {
    let mut stage = Stage::build(LEASE.0)?;
    stage.take(holder.addresses, |place| (0..NODES).map(|rank| (place / 2 + rank) % NODES).collect())?;
    let steps = plan::random(holder.seed, holder.length, NODES, LEASE.1);
    let seen = stage.perform(&steps, holder.length, RATE);
    let seen = seen.with_context(|| format!("seed {}\n{}", holder.seed, stage.log_tails()))?;
    let bounds = Bounds::of(LEASE.1);
    let bounds = if holder.unhurried { bounds.unhurried() } else { bounds };
    let account = account(&seen.lines, &seen.log, &bounds, NODES, &seen.span);
    if let Some(folder) = holder.keep.as_ref().filter(|_| !account.findings.is_empty()) {
        stage.keep_logs(folder)?;
    }
    Ok(Outcome { log: seen.log, account, start: seen.span.start })
}
