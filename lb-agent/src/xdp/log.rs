//! The kernel program's log: off unless asked for, because it is a record per frame.

use anyhow::Context;
use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};

use crate::args::EbpfLog;

/// The level as the load-time constant has it: nothing, or up to `info`.
pub(crate) const fn level(log: EbpfLog) -> u8 {
    match log {
        EbpfLog::Off => 0,
        EbpfLog::Frames => aya_log::Level::Info as u8,
    }
}

/// Hands the program's records to this process's log, for as long as the runtime lives.
pub(crate) fn forward(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    let logger = EbpfLogger::init(ebpf).context("open the kernel program's log")?;
    // SAFETY: the logger owns the map behind its descriptor, which stays the same and open until the logger is dropped.
    let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
    let mut logger = logger.context("watch the kernel program's log")?;
    tokio::spawn(async move {
        loop {
            match logger.readable_mut().await {
                Ok(mut ready) => {
                    ready.get_inner_mut().flush();
                    ready.clear_ready();
                }
                Err(error) => {
                    tracing::warn!("the kernel program's log has ended: {error}");
                    return;
                }
            }
        }
    });
    Ok(())
}
