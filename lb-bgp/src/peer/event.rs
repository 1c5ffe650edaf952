//! What a peer's machine and its driver say to each other.

use std::net::IpAddr;

use crate::{open::Negotiated, status::Down};

/// One connection of one peer, in the words of the driver and the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(super) u64);

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// [`super::Peer::poll_timeout`] has passed. It may be sent at any time.
    Timer,
    /// The connection asked for by [`Action::Connect`] is up.
    Connected {
        /// Which.
        conn: ConnId,
        /// Our address on it.
        local: IpAddr,
    },
    /// The connection asked for by [`Action::Connect`] could not be made.
    ConnectFailed {
        /// Which.
        conn: ConnId,
        /// In the words of the system.
        error: String,
    },
    /// Octets were read.
    Received {
        /// Where.
        conn: ConnId,
        /// Any number of them.
        octets: &'a [u8],
    },
    /// Octets of [`super::Peer::output`] were written.
    Written {
        /// Where.
        conn: ConnId,
        /// How many.
        count: usize,
    },
    /// TCP has ended the connection.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// BFD says that the peer cannot be reached: the session ends at once (RFC 5882 §4.3, RFC 9384).
    BfdDown,
    /// The session is to be made anew, with a text for the peer's operator.
    Reset(&'a str),
    /// The end, see [`Stop`].
    Stop(Stop<'a>),
}

/// How a peer is left for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop<'a> {
    /// Without a word, so that graceful restart keeps the routes: this process is replaced.
    Restart,
    /// Everything is withdrawn, then Cease with a text: this node no longer serves.
    Shutdown(&'a str),
    /// Everything is withdrawn, then Cease: the peer was removed from the configuration.
    Deconfigured,
    /// Cease: another [`super::Peer`] with another configuration follows.
    Reconfigured,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Connect to the peer.
    Connect(ConnId),
    /// Write these octets if it can be done soon (half a second), then close. Without octets: close at once.
    Close {
        /// Which; one that is still being made as well.
        conn: ConnId,
        /// A rest of a message, and a NOTIFICATION.
        last_words: Vec<u8>,
    },
    /// The session is Established.
    Up(Box<Negotiated>),
    /// The session that was Established is over.
    Down(Down),
    /// An attempt has failed before it was Established.
    Failed(Down),
}
