//! Which other nodes live: one S-BFD initiator (RFC 7880, 7881) for each node and segment that the ownership machine
//! wants watched.
//!
//! A thread of its own, because the time between probes is what a failure is measured by. It is told the whole of what
//! is wanted and shows the whole of what it knows; what either side misses in between does not matter. What a peer
//! answers is made by its kernel program, so a busy node over there is not a dead one; and a late thread here does not
//! count its own lateness ([`lb_bfd::initiator`]).

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    num::{NonZeroU8, NonZeroU32},
    os::unix::net::UnixStream,
    sync::mpsc,
    thread,
    time::Duration,
};

use lb_bfd::initiator::Reading;
use lb_plan::agent::{SegmentId, peers::Path};
use tokio::sync::watch;

mod socket;
mod worker;

/// A node on a segment.
pub(crate) type Whom = (SegmentId, String);

/// How a node is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Between which addresses.
    pub(crate) path: Path,
    /// The interface's name, which the socket is bound to.
    pub(crate) device: String,
    /// The discriminator of its reflector.
    pub(crate) remote: NonZeroU32,
    /// Between probes.
    pub(crate) interval: Duration,
    /// How many intervals of silence make it Down.
    pub(crate) multiplier: NonZeroU8,
}

/// What is known of each node that is watched.
pub(crate) type Readings = BTreeMap<Whom, Reading>;

/// What is wanted, and of whom.
type Wanted = BTreeMap<Whom, Target>;

/// The owner's end of the thread, which ends with it.
pub(crate) struct Liveness {
    wanted: Wanted,
    orders: mpsc::Sender<Wanted>,
    waker: UnixStream,
    readings: watch::Receiver<Readings>,
}

impl Liveness {
    /// Starts the thread. It watches nobody yet.
    pub(crate) fn start() -> io::Result<Self> {
        let (waker, woken) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (orders, obeyed) = mpsc::channel();
        let (shown, readings) = watch::channel(Readings::new());
        thread::Builder::new().name("liveness".into()).spawn(move || worker::run(&obeyed, woken, &shown))?;
        Ok(Self { wanted: Wanted::new(), orders, waker, readings })
    }

    /// Watches these, and nobody else, from now on. One that stays as it was keeps its session.
    pub(crate) fn watch(&mut self, wanted: Wanted) {
        if self.wanted == wanted {
            return;
        }
        self.wanted.clone_from(&wanted);
        // The thread ends only with this value.
        _ = self.orders.send(wanted);
        self.wake();
    }

    /// Waits until something is read otherwise than before.
    pub(crate) async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        self.readings.changed().await
    }

    /// All that is known now.
    pub(crate) fn readings(&mut self) -> Readings {
        self.readings.borrow_and_update().clone()
    }

    fn wake(&self) {
        // A full pipe wakes as well.
        _ = (&self.waker).write(&[0]);
    }
}
