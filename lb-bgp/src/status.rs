//! What can be seen of a peer: states, reasons, counters.

use std::{collections::BTreeMap, fmt, time::Instant};

use crate::{notification::Notification, open::Negotiated, route::Untellable};

/// The states of RFC 4271 §8.2.2, as far as there is a difference here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// Stopped for good.
    Stopped,
    /// Waits: for the next attempt to connect, or for the peer.
    Active,
    /// A connection is being made.
    Connect,
    /// Our OPEN is sent.
    OpenSent,
    /// Both OPENs are taken.
    OpenConfirm,
    /// Routes are told.
    Established,
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "Stopped",
            Self::Active => "Active",
            Self::Connect => "Connect",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        })
    }
}

/// Why a connection came to its end, or never began.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    /// TCP could not connect; the driver says why.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// TCP did not answer in time. A wrong password looks like this, too.
    #[error("cannot connect: no answer (address, route, firewall or password?)")]
    ConnectTimeout,
    /// We ended it.
    #[error("closed by us: {notification}{}", detail(.why.as_deref()))]
    Sent {
        /// What the peer was told.
        notification: Notification,
        /// What it was about, where that says more.
        why: Option<String>,
    },
    /// The peer ended it.
    #[error("closed by the peer: {0}")]
    Received(Notification),
    /// TCP ended without a word.
    #[error("the connection was closed without a NOTIFICATION")]
    Closed,
    /// The peer connected anew while this session was up: it has restarted (RFC 4724 §5).
    #[error("the peer connected again")]
    Replaced,
    /// We left without a word, so that the peer keeps the routes for our return.
    #[error("left for a restart")]
    Restart,
}

fn detail(why: Option<&str>) -> String {
    why.map(|why| format!(": {why}")).unwrap_or_default()
}

/// Messages by type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Messages {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub refresh: u64,
}

/// Counts since the peer was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages handed to the output.
    pub sent: Messages,
    /// Messages taken.
    pub received: Messages,
    /// Prefixes that the peer announced. None was accepted.
    pub announced: u64,
    /// Prefixes that the peer withdrew.
    pub withdrawn: u64,
    /// End-of-RIB marks of the peer (RFC 4724 §2).
    pub end_of_rib: u64,
    /// UPDATEs with an attribute that was discarded (RFC 7606).
    pub discarded: u64,
    /// UPDATEs that counted as a withdrawal (RFC 7606).
    pub treated_as_withdraw: u64,
    /// Times that the session was Established.
    pub established: u64,
}

impl Messages {
    /// Messages of every type.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.refresh
    }
}

impl std::ops::AddAssign for Messages {
    fn add_assign(&mut self, other: Self) {
        self.open += other.open;
        self.update += other.update;
        self.notification += other.notification;
        self.keepalive += other.keepalive;
        self.refresh += other.refresh;
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.announced += other.announced;
        self.withdrawn += other.withdrawn;
        self.end_of_rib += other.end_of_rib;
        self.discarded += other.discarded;
        self.treated_as_withdraw += other.treated_as_withdraw;
        self.established += other.established;
    }
}

/// A look at a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Where it stands.
    pub state: PeerState,
    /// Since when the session is Established.
    pub established_since: Option<Instant>,
    /// What was agreed on, from OpenConfirm on.
    pub negotiated: Option<Negotiated>,
    /// Why the last connection ended. Kept while the next one is up.
    pub last_down: Option<Down>,
    /// What was wrong with the last UPDATE that was wrong.
    pub last_malformed: Option<String>,
    /// Prefixes the peer should know.
    pub wanted: u64,
    /// Prefixes the peer knows from us.
    pub told: u64,
    /// Whether the peer was told everything that is wanted.
    pub settled: bool,
    /// Wanted routes that cannot be told, by reason.
    pub untellable: BTreeMap<Untellable, u64>,
    /// Counts since the peer was made.
    pub counters: Counters,
}
