//! Scheduling before everything else, so that a starved machine does not starve who measures it.

use std::io;

use anyhow::ensure;

/// Above other real-time work of the same kind, below the kernel's own.
const PRIORITY: i32 = 10;

/// Puts the calling thread under SCHED_FIFO (sched(7)). In a control group other than the root, version 1 gives a thread
/// no real-time share by default: the error says so.
pub fn this_thread() -> anyhow::Result<()> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the pointer is to a value of the call's type, alive during the call; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    ensure!(
        result == 0,
        "schedule the recorder by SCHED_FIFO (in the root cpu control group?): {}",
        io::Error::last_os_error()
    );
    Ok(())
}
