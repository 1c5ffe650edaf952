//! Notices when the machine lets nobody run: a thread like any other that wakes up often, and says how late it was.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;

use super::log::{Entry, Fault};
use crate::{asker::Stamp, urgent, wait};

const EVERY: Duration = Duration::from_millis(20);
/// What an agent may notice: its probes are due every 50 ms, and three of them make a peer silent.
const STALL: Duration = Duration::from_millis(150);

/// A thread that looks at the clock.
pub(super) struct Clock {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<Entry>>>,
}

impl Clock {
    /// An urgent one goes before everything else, as the recorder does.
    pub(super) fn start(urgent: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Self { stop, thread: std::thread::spawn(move || watch(&seen, urgent)) }
    }

    /// Every time at which this thread was late.
    pub(super) fn stalls(self) -> anyhow::Result<Vec<Entry>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().ok().context("the clock's thread has panicked")?
    }
}

fn watch(stop: &AtomicBool, urgent: bool) -> anyhow::Result<Vec<Entry>> {
    if urgent {
        urgent::this_thread()?;
    }
    let mut stalls = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let before = Stamp::now()?;
        wait::observe(EVERY);
        let after = Stamp::now()?;
        if after - before > EVERY + STALL {
            stalls.push(Entry { fault: Fault::Stalled, begun: before..before, undone: Some(after..after) });
        }
    }
    Ok(stalls)
}
