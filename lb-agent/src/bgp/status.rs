//! What the speaker shows of itself: a value for each peer, replaced whenever something of it changes.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::SystemTime};

use lb_bgp::{Down, PeerState, Status};
use tokio::sync::watch;

use super::wanted::Session;
use crate::bfd;

/// The speaker, seen from outside.
#[derive(Debug, Clone, Default)]
pub struct SpeakerStatus {
    /// By name.
    pub peers: BTreeMap<String, PeerStatus>,
    /// Why connections cannot be accepted, where they should be.
    pub listener: Option<String>,
}

/// One peer, seen from outside.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// What it was made with.
    pub session: Arc<Session>,
    /// The machine's own words.
    pub bgp: Status,
    /// When the session that is up came up, on the wall's clock.
    pub up_at: Option<SystemTime>,
    /// Both ends of the connection that is furthest.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Why it cannot even be tried.
    pub problem: Option<String>,
    /// BFD beside it, where it is wanted and begun, as it was when it last changed: its counts are `Bfd::sessions`'.
    pub bfd: Option<bfd::SessionStatus>,
    /// From a change of the routes to its last octet written, in seconds: how many, and their sum.
    pub to_wire: ToWire,
}

/// How long changes took to reach the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ToWire {
    /// How many changes at most so long: one count for each of [`ToWire::BOUNDS`], each with the ones before.
    pub buckets: [u64; Self::BOUNDS.len()],
    /// How many changes.
    pub count: u64,
    /// Seconds of all of them.
    pub sum: f64,
}

impl ToWire {
    /// Upper bounds in seconds.
    pub const BOUNDS: [f64; 8] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0];

    pub(super) fn record(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        let within = self.buckets.iter_mut().zip(Self::BOUNDS).filter(|(_, bound)| seconds <= *bound);
        within.for_each(|(bucket, _)| *bucket += 1);
    }
}

impl PeerStatus {
    /// Whether routes are being told.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.bgp.state == PeerState::Established
    }

    /// Why it is not up, or what is wrong although it is; empty: nothing.
    #[must_use]
    pub fn reason(&self) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        if self.is_established() {
            let untellable = self.bgp.untellable.iter();
            return untellable
                .map(|(why, count)| format!("{count} routes are not told: {why}"))
                .collect::<Vec<_>>()
                .join("; ");
        }
        match (&self.bgp.last_down, self.bgp.state) {
            (Some(down), _) => down.to_string(),
            (None, PeerState::Connect) => "connecting".to_owned(),
            // Segments that GTSM holds back look like this: TCP is up, and nothing comes.
            (None, PeerState::OpenSent) => {
                "connected, and the peer has not sent its OPEN: if this lasts, look at both sides' \
                 TTL security and at firewalls"
                    .to_owned()
            }
            (None, PeerState::OpenConfirm) => {
                "the peer has not agreed yet: if this lasts, look at both sides' TTL security and at firewalls"
                    .to_owned()
            }
            (None, PeerState::Active) if self.session.config.passive => "waits for the peer to connect".to_owned(),
            (None, PeerState::Active | PeerState::Stopped | PeerState::Established) => "not tried yet".to_owned(),
        }
    }

    /// A peer whose configuration contradicts itself.
    pub(super) fn refused(session: Arc<Session>, problem: String) -> Self {
        Self {
            session,
            bgp: Status {
                state: PeerState::Stopped,
                established_since: None,
                negotiated: None,
                last_down: None,
                last_malformed: None,
                wanted: 0,
                told: 0,
                settled: false,
                untellable: BTreeMap::new(),
                counters: lb_bgp::Counters::default(),
            },
            up_at: None,
            ends: None,
            problem: Some(problem),
            bfd: None,
            to_wire: ToWire::default(),
        }
    }

    /// Why the last connection ended; kept while the next one is up.
    #[must_use]
    pub fn last_error(&self) -> Option<&Down> {
        self.bgp.last_down.as_ref()
    }
}

/// Where the tasks put what they show.
#[derive(Clone)]
pub(super) struct Board(Arc<watch::Sender<SpeakerStatus>>);

impl Board {
    pub(super) fn new() -> (Self, watch::Receiver<SpeakerStatus>) {
        let (sender, receiver) = watch::channel(SpeakerStatus::default());
        (Self(Arc::new(sender)), receiver)
    }

    pub(super) fn show(&self, name: &str, status: PeerStatus) {
        self.0.send_modify(|all| drop(all.peers.insert(name.to_owned(), status)));
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.send_modify(|all| drop(all.peers.remove(name)));
    }

    pub(super) fn listener(&self, problem: Option<String>) {
        self.0.send_if_modified(|all| std::mem::replace(&mut all.listener, problem.clone()) != problem);
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Board")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_in_every_bucket_that_is_not_too_small() {
        let mut to_wire = ToWire::default();
        to_wire.record(0.002);
        to_wire.record(2.0);
        assert_eq!(to_wire.buckets, [0, 0, 1, 1, 1, 1, 1, 1]);
        assert_eq!((to_wire.count, to_wire.sum), (2, 2.002));
    }
}
