//! The driver of BFD sessions with routers: sockets, a clock, and one thread around `lb_bfd::session::Session`.
//!
//! A thread of its own, that does nothing else: an interval of 10 ms leaves no time for a plan of ten thousand routes.
//! Sessions are made by who follows a path, shared by all that follow the same one, and end with the last of them. While the
//! thread is late or gone, the kernel program stands in for it (`stand_in.rs`).
//!
//! Must not: decide what a failure means: followers do. Echo packets of the peer are looped back; none are sent.
//! Spec: RFC 5881 §4 and §5 (one hop: ports, TTL), RFC 5883 §5 (several hops), RFC 5880 §6.8.

mod follower;
mod memory;
mod monitored;
mod receiver;
mod sender;
mod stand_in;
mod thread;

use std::{fmt, io, net::IpAddr, path::PathBuf};

use lb_bfd::{
    auth::Keys,
    session::{Role, Timers, Verdict},
};
use lb_common::bfd::{Diagnostic, State};

pub use self::follower::{Bfd, Follower};

/// What a session is to be; what is not here belongs to its [`Path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Intervals and multiplier.
    pub timers: Timers,
    /// Who begins.
    pub role: Role,
    /// The least TTL of packets over several hops.
    pub min_ttl: u8,
    /// `None`: no authentication, and none accepted.
    pub authentication: Option<Keys>,
}

impl Default for Wanted {
    /// The defaults of a profile.
    fn default() -> Self {
        Self { timers: Timers::default(), role: Role::default(), min_ttl: 254, authentication: None }
    }
}

/// Where what outlives the process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// A directory of the host, for the file by which sessions go on in the next process.
    pub dir: PathBuf,
    /// The BPF file system with the maps of the kernel program, which answers the peers meanwhile.
    pub bpffs: PathBuf,
}

/// What is monitored: who, and how packets get there. There is one session for each path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The other end.
    pub peer: IpAddr,
    /// This end; unset: the routing table decides.
    pub local: Option<IpAddr>,
    /// The interface or VRF; unset: the routing table decides.
    pub device: Option<String>,
    /// Whether routers are in between.
    pub multihop: bool,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.peer)?;
        self.device.iter().try_for_each(|device| write!(f, "%{device}"))?;
        if self.multihop { f.write_str(" over several hops") } else { Ok(()) }
    }
}

/// A session, seen from outside.
#[derive(Debug, Clone)]
pub struct SessionStatus {
    /// What it monitors.
    pub path: Path,
    /// bfd.SessionState.
    pub state: State,
    /// What a client is to make of it.
    pub verdict: Verdict,
    /// Why it last left Up.
    pub diagnostic: Diagnostic,
    /// How often the path has failed. An operator's AdminDown is no failure.
    pub failures: u64,
    /// What the peer said last: its state.
    pub remote: Option<State>,
    /// Why packets cannot be sent or received.
    pub problem: Option<String>,
    /// Packets and changes.
    pub counters: Counters,
}

impl SessionStatus {
    pub(crate) fn new(path: Path) -> Self {
        Self {
            path,
            state: State::Down,
            verdict: Verdict::Starting,
            diagnostic: Diagnostic::NONE,
            failures: 0,
            remote: None,
            problem: None,
            counters: Counters::default(),
        }
    }
}

/// Counts since the session was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Control packets taken.
    pub received: u64,
    /// Control packets that were for this session and were discarded.
    pub discarded: u64,
    /// Control packets sent.
    pub sent: u64,
    /// Echo packets of the peer, looped back.
    pub echoes: u64,
    /// Times that the session came up.
    pub ups: u64,
    /// Times that the session left Up.
    pub downs: u64,
}

/// Where packets arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Port {
    SingleHop,
    MultiHop,
    Echo,
}

impl Port {
    /// Where a session's control packets are sent to, and arrive.
    const fn of(path: &Path) -> Self {
        if path.multihop { Self::MultiHop } else { Self::SingleHop }
    }

    const fn number(self) -> u16 {
        match self {
            Self::SingleHop => lb_common::bfd::PORT,
            Self::MultiHop => lb_common::bfd::MULTIHOP_PORT,
            Self::Echo => lb_common::bfd::ECHO_PORT,
        }
    }
}

fn describe(what: &str, error: &io::Error) -> String {
    format!("{what}: {error}")
}
