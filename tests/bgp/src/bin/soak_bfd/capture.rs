//! When BFD packets of one sender arrived, by the kernel's own clock.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, bail};
use lb_tests::{
    lab::{Host, INTERFACE},
    packet_socket::{FRAME, PacketSocket},
};

/// A receiver that notes times. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Capture {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Debug, Default)]
struct Seen {
    count: usize,
    last: Option<Duration>,
    longest: Duration,
}

impl Capture {
    /// Notes what arrives at a host from a sender.
    pub(crate) fn start(at: &Host, from: Ipv4Addr) -> anyhow::Result<Self> {
        let (stop, seen) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Seen>>::default());
        let (is_over, note) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = at.netns.spawn("capture", move || {
            let socket = PacketSocket::open(INTERFACE, 0x0800)?;
            let mut frame = [0; FRAME];
            while !is_over.load(Ordering::Relaxed) {
                while let Some(received) = socket.receive(&mut frame)? {
                    if is_bfd(&frame[..received.length.min(FRAME)], from) {
                        note.lock().unwrap_or_else(PoisonError::into_inner).take(received.at);
                    }
                }
                // Times are the kernel's: looking seldom makes none of them late.
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        })?;
        Ok(Self { stop, seen, thread: Some(thread) })
    }

    /// Packets so far.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// When the last one arrived, on the wall clock; after all that is on its way has been taken.
    pub(crate) fn last(&self) -> anyhow::Result<Option<Duration>> {
        self.check()?;
        std::thread::sleep(Duration::from_millis(10));
        Ok(self.seen.lock().unwrap_or_else(PoisonError::into_inner).last)
    }

    /// The longest time between two since the last call.
    pub(crate) fn longest(&self) -> anyhow::Result<Duration> {
        self.check()?;
        Ok(std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).longest))
    }

    /// Ends it: the longest time between two.
    pub(crate) fn finish(mut self) -> anyhow::Result<Duration> {
        let longest = self.longest()?;
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended?,
            Some(Err(_)) => bail!("the capture panicked"),
            None => {}
        }
        Ok(longest)
    }

    fn check(&self) -> anyhow::Result<()> {
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        (!ended).then_some(()).context("the capture has ended")
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Seen {
    fn take(&mut self, at: Duration) {
        if let Some(last) = self.last.replace(at) {
            self.longest = self.longest.max(at.saturating_sub(last));
        }
        self.count += 1;
    }
}

/// UDP to port 3784 (RFC 5881 §4) in an IPv4 packet without options.
fn is_bfd(frame: &[u8], from: Ipv4Addr) -> bool {
    let at = |place: usize| frame.get(place).copied();
    at(14) == Some(0x45)
        && at(23) == Some(17)
        && frame.get(26..30) == Some(&from.octets())
        && frame.get(36..38) == Some(&3784_u16.to_be_bytes())
}
