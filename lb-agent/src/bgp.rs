//! The BGP speaker's driver: sockets, clocks and tasks around `lb_bgp::Peer`.
//!
//! ```text
//!  Wanted (peers, routes) ──► supervisor ──orders──► one task per peer ──► sockets
//!                                 │  ▲                    │    ▲
//!                             listeners ──calls───────────┘    └── BFD (a thread of its own)
//!                                                         └──► SpeakerStatus
//! ```
//!
//! A thread of its own: ten thousand routes to be compared or a peer that floods cost the owner of the tables nothing.
//! What is wanted is given whole, each time; a peer whose part is the same is left alone, one whose session is another
//! starts anew by itself, and other routes are a difference on the wire.
//!
//! Must not: decide who is announced where (`lb_plan`), or anything of the protocol (`lb_bgp`).

mod connection;
mod dial;
mod endpoint;
mod listen;
mod local;
mod metrics;
mod neighbour;
mod option;
mod path;
mod peer;
mod socket;
mod status;
mod supervisor;
mod translate;
mod wanted;

use std::{io, sync::Arc, thread, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::peer::chain;
pub use self::{
    endpoint::{Authentication, Endpoint, Hops, PORT, Password, PasswordError, Remote},
    metrics::SpeakerMetrics,
    status::{PeerStatus, SpeakerStatus, ToWire},
    translate::Translator,
    wanted::{Session, Wanted, WantedPeer},
};
use self::{status::Board, supervisor::Supervisor};
use crate::bfd::{Bfd, Remains};

/// How long leaving every peer may take.
const LEAVE: Duration = Duration::from_secs(5);

/// How the speaker leaves its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// Connections are closed without a word, so that graceful restart keeps the routes for the next process.
    Restart,
    /// Everything is withdrawn, then Cease with this text for the peers' operators (RFC 9003).
    Shutdown(String),
}

/// A running speaker. Dropped, it leaves its peers as [`Leave::Restart`] does.
#[derive(Debug)]
pub struct Speaker {
    wanted: watch::Sender<Arc<Wanted>>,
    status: watch::Receiver<SpeakerStatus>,
    leave: mpsc::Sender<(Leave, oneshot::Sender<()>)>,
    bfd: Bfd,
}

impl Speaker {
    /// Starts the threads of BGP and BFD, in the network namespace of the caller.
    ///
    /// The peers of the first [`Speaker::apply`] are met as by a process that has restarted (RFC 4724 §4.1).
    ///
    /// # Errors
    /// When a thread or its means to wait cannot be made.
    pub fn start() -> io::Result<Self> {
        Self::start_with(None)
    }

    /// The same, with that by which sessions of BFD go on in the next process.
    ///
    /// # Errors
    /// When a thread or its means to wait cannot be made.
    pub fn start_with(remains: Option<&Remains>) -> io::Result<Self> {
        let bfd = Bfd::start(remains)?;
        let (wanted, changes) = watch::channel(Arc::new(Wanted::default()));
        let (leave, leaving) = mpsc::channel(1);
        let (board, status) = Board::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let supervisor = Supervisor::new(board, bfd.clone());
        thread::Builder::new()
            .name("bgp".to_owned())
            .spawn(move || runtime.block_on(supervisor.run(changes, leaving)))?;
        Ok(Self { wanted, status, leave, bfd })
    }

    /// Makes `wanted` what the peers should know. Returns at once.
    pub fn apply(&self, wanted: Arc<Wanted>) {
        self.wanted.send_replace(wanted);
    }

    /// What it shows of itself, always the latest.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<SpeakerStatus> {
        self.status.clone()
    }

    /// The thread that monitors paths, to look at its sessions.
    #[must_use]
    pub const fn bfd(&self) -> &Bfd {
        &self.bfd
    }

    /// Leaves every peer, and waits until they are told, at most a few seconds.
    pub async fn leave(self, how: Leave) {
        let (done, told) = oneshot::channel();
        if self.leave.send((how, done)).await.is_err() {
            return; // The thread is gone, and its sockets with it.
        }
        if tokio::time::timeout(LEAVE, told).await.is_err() {
            tracing::warn!("not every BGP peer could be told in {LEAVE:?}");
        }
    }
}
