//! Frames between nodes that are lost at random: what is taken without need, and who answers besides.

use std::time::Duration;

use super::{
    account::account,
    holder::Outcome,
    log::{Bounds, Fault},
    plan::{Step, TAIL},
    stage::{NODES, Stage},
    starvation::LEASE,
};

const ADDRESSES: usize = 40;
const RATE: u32 = 500;

/// Loses this many in 100 frames for this long. The second value is how many addresses the agents took meanwhile.
pub fn run(percent: u8, length: Duration) -> anyhow::Result<(Outcome, f64)> {
    let mut stage = Stage::build(LEASE.0)?;
    stage.take(ADDRESSES, |place| (0..NODES).map(|rank| (place / 2 + rank) % NODES).collect())?;
    let takes = stage.takes()?;
    let step = Step { at: Duration::from_secs(1), lasts: length, fault: Fault::Loss(percent) };
    let seen = stage.perform(&[step], length + TAIL, RATE)?;
    let account = account(&seen.lines, &seen.log, &Bounds::of(LEASE.1), NODES, &seen.span);
    let taken = stage.takes()? - takes;
    Ok((Outcome { log: seen.log, account, start: seen.span.start }, taken))
}
