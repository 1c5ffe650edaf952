//! One peer: dials it, retries, keeps one of two connections, and tells it the wanted routes.
//!
//! The driver owns sockets and the clock. For each thing that happens it calls [`Peer::handle`] or [`Peer::accept`],
//! then carries out [`Peer::poll_action`] until `None`, writes [`Peer::output`] of each connection as far as the socket
//! takes it and says so with [`Event::Written`], then waits for a socket or for [`Peer::poll_timeout`]. What was read is
//! handed in before [`Event::Timer`], so that a driver that is late does not take its peer for silent.
//!
//! Invariants: at most one connection of each direction; at most one Established; a [`ConnId`] is never used twice, and
//! after its [`Action::Close`] or [`Event::Closed`] nothing is said about it.
//! Spec: RFC 4271 §6.8 (collision), §8 and §10 (retry, jitter), RFC 4724 §5 (a peer that connects anew).

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::{ConfigError, PeerConfig},
    jitter::Jitter,
    notification::Notification,
    route::{NextHops, Routes},
    session::{Over, Session, Step, earliest},
    status::{Counters, Down},
    wire,
};

mod backoff;
mod collision;
mod event;
mod links;
mod look;

use self::backoff::Backoff;
pub use self::event::{Action, ConnId, Event, Stop};

/// An attempt to connect that takes longer is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Who made a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Outgoing,
    Incoming,
}

#[derive(Debug)]
struct Link {
    conn: ConnId,
    session: Session,
}

/// The dialling side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dial {
    /// For good.
    Stopped,
    /// There is a connection, or only the peer may connect.
    Rest,
    Wait {
        until: Instant,
    },
    Connecting {
        conn: ConnId,
        until: Instant,
    },
}

/// One peer.
#[derive(Debug)]
pub struct Peer {
    config: Arc<PeerConfig>,
    jitter: Jitter,
    backoff: Backoff,
    dial: Dial,
    outgoing: Option<Link>,
    incoming: Option<Link>,
    next_conn: u64,
    wanted: Option<Arc<Routes>>,
    draining: bool,
    /// Until the first session: routes of the process before us may still be with the peer.
    restarted: bool,
    actions: VecDeque<Action>,
    past: Counters,
    last_down: Option<Down>,
    last_malformed: Option<String>,
}

impl Peer {
    /// A peer that is dialled from `now` on, unless it is passive.
    ///
    /// `restarted`: another process has just told this peer routes, and left without a word ([`Stop::Restart`], a crash).
    /// `seed`: of the jitter; different for each peer.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(now: Instant, config: PeerConfig, restarted: bool, seed: u64) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            jitter: Jitter::new(seed),
            backoff: Backoff::new(config.connect_retry),
            dial: if config.passive { Dial::Rest } else { Dial::Wait { until: now } },
            outgoing: None,
            incoming: None,
            next_conn: 0,
            wanted: None,
            draining: false,
            restarted,
            actions: VecDeque::new(),
            past: Counters::default(),
            last_down: None,
            last_malformed: None,
            config: Arc::new(config),
        })
    }

    /// The routes that the peer should know, all of them. Until the first call nothing is told, not even End-of-RIB.
    ///
    /// Then look at [`Self::output`]. The same routes again cost nothing.
    pub fn set_routes(&mut self, routes: Arc<Routes>) {
        if self.wanted.as_ref().is_some_and(|wanted| Arc::ptr_eq(wanted, &routes)) {
            return;
        }
        self.wanted = Some(routes);
        self.links_mut().for_each(|link| link.session.unsettle());
    }

    /// Addresses that next hops are made of, for connections that are made from now on.
    pub fn set_next_hops(&mut self, next_hops: NextHops) {
        if self.config.next_hops != next_hops {
            Arc::make_mut(&mut self.config).next_hops = next_hops;
        }
    }

    /// While the node drains, its routes are told as everybody's last choice (RFC 8326).
    pub const fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// What to write next to a connection; empty: nothing. Routes are added as there is room, so ask again when all of it
    /// is written.
    pub fn output(&mut self, now: Instant, conn: ConnId) -> &[u8] {
        let Self { outgoing, incoming, wanted, draining, .. } = self;
        let link = outgoing.iter_mut().chain(incoming).find(|link| link.conn == conn);
        link.map_or(&[], |link| link.session.output(now, wanted.as_deref(), *draining))
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Timer`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dial = match self.dial {
            Dial::Stopped | Dial::Rest => None,
            Dial::Wait { until } | Dial::Connecting { until, .. } => Some(until),
        };
        self.links().fold(dial, |at, link| earliest(at, link.session.deadline()))
    }

    /// Takes in what happened. `now` never goes backwards.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        match event {
            Event::Timer => self.timer(now),
            Event::Connected { conn, local } => self.connected(now, conn, local),
            Event::ConnectFailed { conn, error } => {
                if self.is_connecting(conn) {
                    self.failed(now, Down::Connect(error));
                }
            }
            Event::Received { conn, octets } => self.received(now, conn, octets),
            Event::Written { conn, count } => {
                let Some(link) = self.link_mut(conn) else { return };
                if let Some(over) = link.session.written(now, count) {
                    self.over(now, conn, over);
                }
            }
            Event::Closed { conn } => {
                if let Some(direction) = self.direction(conn) {
                    self.forget(now, direction, Down::Closed);
                }
            }
            // The peer cannot reach us either: it must not keep what it was told.
            Event::BfdDown => self.end_all(now, |session| session.fail_hard(Notification::BFD_DOWN)),
            Event::Reset(text) => self.end_all(now, |session| session.fail(Notification::reset(text))),
            Event::Stop(stop) => self.stop(now, stop),
        }
    }

    /// The peer has connected to us; `local` is our address there.
    ///
    /// # Errors
    /// The connection is not wanted: these octets are to be written if it can be done soon, then it is closed.
    pub fn accept(&mut self, now: Instant, local: IpAddr) -> Result<ConnId, Vec<u8>> {
        if self.dial == Dial::Stopped {
            return Err(wire::encode_notification(&Notification::REJECTED));
        }
        if let Some(conn) = self.established_conn() {
            if !self.may_replace(now) {
                // RFC 4271 §6.8: the newly created connection is closed.
                return Err(wire::encode_notification(&Notification::COLLISION));
            }
            self.drop_link(now, conn, Down::Replaced);
        }
        // The peer makes one connection at a time, so an older one is dead.
        if let Some(older) = self.incoming.as_ref().map(|link| link.conn) {
            self.drop_link(now, older, Down::Replaced);
        }
        let conn = self.conn_id();
        self.incoming = Some(self.link(now, conn, local));
        Ok(conn)
    }

    fn timer(&mut self, now: Instant) {
        let links: Vec<ConnId> = self.links().map(|link| link.conn).collect();
        for conn in links {
            if let Some(over) = self.link_mut(conn).and_then(|link| link.session.timer(now)) {
                self.over(now, conn, over);
            }
        }
        match self.dial {
            Dial::Wait { until } if now >= until => self.connect(now),
            Dial::Connecting { conn, until } if now >= until => {
                self.actions.push_back(Action::Close { conn, last_words: Vec::new() });
                self.failed(now, Down::ConnectTimeout);
            }
            Dial::Stopped | Dial::Rest | Dial::Wait { .. } | Dial::Connecting { .. } => {}
        }
    }

    fn connect(&mut self, now: Instant) {
        if self.links().next().is_some() {
            self.dial = Dial::Rest; // The peer came first; its end starts the dialling again.
            return;
        }
        let conn = self.conn_id();
        self.dial = Dial::Connecting { conn, until: now + CONNECT_TIMEOUT };
        self.actions.push_back(Action::Connect(conn));
    }

    fn connected(&mut self, now: Instant, conn: ConnId, local: IpAddr) {
        if !self.is_connecting(conn) {
            return; // It was closed while it came up.
        }
        self.dial = Dial::Rest;
        self.outgoing = Some(self.link(now, conn, local));
    }

    fn received(&mut self, now: Instant, conn: ConnId, mut octets: &[u8]) {
        while let Some(link) = self.link_mut(conn) {
            match link.session.step(now, &mut octets) {
                Step::Waiting => return,
                Step::Took => {}
                Step::Opened => self.resolve(now, conn),
                Step::Established => self.established(now, conn),
                Step::Over(over) => self.over(now, conn, over),
            }
        }
    }

    fn established(&mut self, now: Instant, conn: ConnId) {
        self.restarted = false;
        self.settle_collision(now, conn);
        if let Some(agreed) = self.link_mut(conn).and_then(|link| link.session.agreed().cloned()) {
            self.actions.push_back(Action::Up(Box::new(agreed)));
        }
    }

    /// Ends every connection; dialling goes on.
    fn end_all(&mut self, now: Instant, end: impl Fn(&mut Session) -> Over) {
        let links: Vec<ConnId> = self.links().map(|link| link.conn).collect();
        for conn in links {
            if let Some(over) = self.link_mut(conn).map(|link| end(&mut link.session)) {
                self.over(now, conn, over);
            }
        }
    }

    fn stop(&mut self, now: Instant, stop: Stop<'_>) {
        if let Dial::Connecting { conn, .. } = self.dial {
            self.actions.push_back(Action::Close { conn, last_words: Vec::new() });
        }
        self.dial = Dial::Stopped;
        let (notification, withdraw) = match stop {
            Stop::Restart => {
                let links: Vec<ConnId> = self.links().map(|link| link.conn).collect();
                links.into_iter().for_each(|conn| self.drop_link(now, conn, Down::Restart));
                return;
            }
            Stop::Shutdown(text) => (Notification::shutdown(text), true),
            Stop::Deconfigured => (Notification::PEER_DECONFIGURED, true),
            Stop::Reconfigured => (Notification::CONFIGURATION_CHANGED, false),
        };
        let links: Vec<ConnId> = self.links().map(|link| link.conn).collect();
        for conn in links {
            let over = self.link_mut(conn).and_then(|link| match withdraw {
                true => link.session.leave(now, notification.clone()),
                false => Some(link.session.fail(notification.clone())),
            });
            if let Some(over) = over {
                self.over(now, conn, over);
            }
        }
    }
}
