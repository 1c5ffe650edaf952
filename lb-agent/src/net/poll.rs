//! Waits for the next packet, the next command or the next deadline, to the nanosecond: for the threads that keep time
//! by themselves.

use std::{
    io,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

/// Waits until one of `fds` can be read or `until` has passed.
pub(crate) fn wait<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>, until: Option<Instant>) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let left = until.map(|until| TimeSpec::from_duration(until.saturating_duration_since(Instant::now())));
    match ppoll(&mut polled, left, None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => {
            // Never in a tight circle, whatever is wrong.
            std::thread::sleep(Duration::from_millis(10));
            Err(errno.into())
        }
    }
}
