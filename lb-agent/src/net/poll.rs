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
    readable(fds, until).map(drop)
}

/// The same, and which of them can be read: an answer for each.
pub(crate) fn readable<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>, until: Option<Instant>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let left = until.map(|until| TimeSpec::from_duration(until.saturating_duration_since(Instant::now())));
    match ppoll(&mut polled, left, None) {
        // An error that waits at a socket is read as well, or it would wake for ever.
        Ok(_) => Ok(polled.iter().map(|fd| fd.any().unwrap_or(true)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; polled.len()]),
        Err(errno) => {
            // Never in a tight circle, whatever is wrong.
            std::thread::sleep(Duration::from_millis(10));
            Err(errno.into())
        }
    }
}
