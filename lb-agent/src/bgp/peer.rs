//! The task of one peer: its machine, its sockets, its clock.
//!
//! It waits for whatever comes first, hands in what was read before it says that time has passed, carries out what the
//! machine asks for, writes as far as sockets take it, and shows itself. Nothing here is shared with another peer but the
//! thread, and a read or a write ends after a bounded number of octets.
//!
//! Must not: decide anything of the protocol: that is `lb_bgp::Peer`'s.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use lb_bgp::{Action, ConfigError, Event, Peer, Routes, Stop};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};

use super::{
    connection::{Connections, farewell},
    dial::{self, Dial},
    neighbour::Neighbour,
    path::Monitor,
    socket,
    status::{Board, PeerStatus, ToWire},
    wanted::Session,
};
use crate::bfd::{self, Bfd};

/// How long last words of several connections may take when the task ends.
const FAREWELLS: Duration = Duration::from_secs(1);

/// How a peer is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The process is replaced.
    Restart,
    /// This node no longer serves, with the words for the peer's operator.
    Shutdown(Arc<str>),
    /// The peer is not wanted any more.
    Removed,
    /// Another session with it follows.
    Changed,
}

/// What a peer's task is to do. The whole of it, each time.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    pub(super) routes: Option<Arc<Routes>>,
    /// When the routes were last changed.
    pub(super) changed_at: Option<Instant>,
    pub(super) draining: bool,
    pub(super) bfd: Option<bfd::Wanted>,
    /// Why passive peers wait in vain.
    pub(super) deaf: Option<String>,
    pub(super) end: Option<End>,
}

/// What the task is started with.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) session: Arc<Session>,
    pub(super) orders: watch::Receiver<Orders>,
    /// Connections that a listener has accepted from the peer.
    pub(super) calls: mpsc::Receiver<TcpStream>,
    pub(super) board: Board,
    pub(super) bfd: Bfd,
    /// Who is on the interface of an unnumbered peer.
    pub(super) neighbour: Option<Arc<Neighbour>>,
    /// Another process has just told this peer routes.
    pub(super) restarted: bool,
    pub(super) seed: u64,
    /// The task of this peer's last session.
    pub(super) before: Option<JoinHandle<()>>,
}

struct Task {
    name: String,
    session: Arc<Session>,
    peer: Peer,
    connections: Connections,
    dial: Option<Dial>,
    monitor: Monitor,
    orders: watch::Receiver<Orders>,
    calls: mpsc::Receiver<TcpStream>,
    neighbour: Option<Arc<Neighbour>>,
    closing: JoinSet<()>,
    board: Board,
    /// A change that is not on the wire yet: since when.
    pending: Option<Instant>,
    to_wire: ToWire,
    /// When the session that is up came up.
    up_at: Option<SystemTime>,
}

/// What woke the task.
enum Woken {
    Ready,
    Dialled(Result<TcpStream, String>),
    Called(TcpStream),
    Orders,
    Monitored,
}

/// Runs until the peer has been left.
pub(super) async fn run(start: Start) {
    if let Some(before) = start.before {
        // A task that panicked has ended, too.
        drop(before.await);
    }
    let made = Peer::new(Instant::now(), start.session.config.clone(), start.restarted, start.seed);
    let Start { name, session, orders, calls, board, bfd, neighbour, .. } = start;
    match made {
        Ok(peer) => {
            tracing::info!(peer = name, remote = %session.endpoint, "BGP peer is tried");
            let monitor = Monitor::new(bfd);
            let task = Task {
                peer,
                monitor,
                orders,
                calls,
                neighbour,
                board,
                connections: Connections::default(),
                dial: None,
                closing: JoinSet::new(),
                pending: None,
                to_wire: ToWire::default(),
                up_at: None,
                name: name.clone(),
                session,
            };
            task.run().await;
        }
        Err(error) => refused(&name, session, &board, orders, &error).await,
    }
}

/// A configuration that contradicts itself is shown until it goes.
async fn refused(
    name: &str,
    session: Arc<Session>,
    board: &Board,
    mut orders: watch::Receiver<Orders>,
    error: &ConfigError,
) {
    tracing::warn!(peer = name, "BGP peer cannot be tried: {error}");
    board.show(name, PeerStatus::refused(session, error.to_string()));
    // An error means that nobody is left to give orders.
    drop(orders.wait_for(|orders| orders.end.is_some()).await);
}

impl Task {
    async fn run(mut self) {
        self.obey();
        loop {
            self.act();
            self.show();
            if self.peer.is_stopped() {
                break;
            }
            match self.wait().await {
                Woken::Ready => {}
                Woken::Dialled(result) => self.dialled(result),
                Woken::Called(stream) => self.called(stream),
                Woken::Orders => self.obey(),
                Woken::Monitored => {
                    if self.monitor.has_failed() {
                        self.peer.handle(Instant::now(), Event::BfdDown);
                    }
                }
            }
            let flooded = self.connections.read(&mut self.peer);
            let now = Instant::now();
            if self.peer.poll_timeout().is_some_and(|due| due <= now) {
                self.peer.handle(now, Event::Timer);
            }
            if flooded {
                self.act();
                tokio::task::yield_now().await;
            }
        }
        let farewells = async { while self.closing.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELLS, farewells).await.is_err() {
            tracing::debug!(peer = self.name, "the peer did not take the last words in time");
        }
    }

    async fn wait(&mut self) -> Woken {
        let due = self.peer.poll_timeout();
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = self.orders.changed() => {
                if changed.is_err() {
                    // Nobody gives orders any more: as if the process ended.
                    self.peer.handle(Instant::now(), Event::Stop(Stop::Restart));
                    return Woken::Ready;
                }
                Woken::Orders
            }
            () = self.monitor.changed() => Woken::Monitored,
            () = self.connections.ready() => Woken::Ready,
            result = dial::done(&mut self.dial) => Woken::Dialled(result),
            Some(stream) = self.calls.recv() => Woken::Called(stream),
            () = timer => Woken::Ready,
        }
    }

    /// Makes the orders the machine's.
    fn obey(&mut self) {
        let now = Instant::now();
        let orders = self.orders.borrow_and_update().clone();
        self.peer.set_draining(orders.draining);
        if let Some(routes) = orders.routes {
            self.peer.set_routes(routes);
            self.pending = self.pending.or(orders.changed_at);
        }
        self.monitor.want(&self.session, orders.bfd);
        match &orders.end {
            None => {}
            Some(End::Restart) => self.peer.handle(now, Event::Stop(Stop::Restart)),
            Some(End::Shutdown(text)) => self.peer.handle(now, Event::Stop(Stop::Shutdown(text))),
            Some(End::Removed) => self.peer.handle(now, Event::Stop(Stop::Deconfigured)),
            Some(End::Changed) => self.peer.handle(now, Event::Stop(Stop::Reconfigured)),
        }
        if orders.end == Some(End::Restart) {
            self.monitor.abandon();
        }
    }

    /// Carries out what the machine asks for and writes what it has to say, until it has nothing more.
    fn act(&mut self) {
        loop {
            while let Some(action) = self.peer.poll_action() {
                self.carry_out(action);
            }
            if !self.connections.write(&mut self.peer) {
                return;
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Connect(conn) => {
                self.dial = Some(Dial::begin(conn, Arc::clone(&self.session), self.neighbour.clone()));
            }
            Action::Close { conn, last_words } => {
                self.dial.take_if(|dial| dial.conn() == conn);
                if let Some(stream) = self.connections.take(conn) {
                    self.say_farewell(stream, last_words);
                }
            }
            Action::Up(agreed) => {
                self.up_at = Some(SystemTime::now());
                tracing::info!(peer = self.name, peer_as = %agreed.peer_as, hold_time = ?agreed.hold_time, "BGP session is up");
            }
            Action::Down(down) => tracing::warn!(peer = self.name, "BGP session is down: {down}"),
            Action::Failed(down) => tracing::debug!(peer = self.name, "BGP session did not come up: {down}"),
        }
    }

    fn say_farewell(&mut self, stream: TcpStream, last_words: Vec<u8>) {
        // What has ended is forgotten; at most a handful are under way.
        while self.closing.try_join_next().is_some() {}
        if !last_words.is_empty() {
            self.closing.spawn(farewell(stream, last_words));
        }
    }

    fn dialled(&mut self, result: Result<TcpStream, String>) {
        let Some(dial) = self.dial.take() else { return };
        let now = Instant::now();
        match result.and_then(|stream| Ok((ends(&stream)?, stream))) {
            Ok(((local, remote), stream)) => {
                self.monitor.found(&self.session, remote);
                self.peer.set_next_hops(dial::next_hops(&self.session, local, remote));
                self.peer.handle(now, Event::Connected { conn: dial.conn(), local: local.ip() });
                self.connections.add(dial.conn(), stream);
            }
            Err(error) => self.peer.handle(now, Event::ConnectFailed { conn: dial.conn(), error }),
        }
    }

    fn called(&mut self, stream: TcpStream) {
        let ends = ends(&stream).and_then(|ends| {
            let ready = socket::accepted(&stream, ends.1, self.session.endpoint.hops);
            ready.map(|()| ends).map_err(|error| chain(&error))
        });
        let (local, remote) = match ends {
            Ok(ends) => ends,
            Err(error) => return tracing::warn!(peer = self.name, "the peer's connection is of no use: {error}"),
        };
        self.peer.set_next_hops(dial::next_hops(&self.session, local, remote));
        match self.peer.accept(Instant::now(), local.ip()) {
            Ok(conn) => {
                self.monitor.found(&self.session, remote);
                self.connections.add(conn, stream);
            }
            Err(last_words) => self.say_farewell(stream, last_words),
        }
    }

    fn show(&mut self) {
        let bgp = self.peer.status();
        if bgp.settled && self.connections.all_written() {
            let took = self.pending.take().map(|since| since.elapsed().as_secs_f64());
            took.into_iter().for_each(|seconds| self.to_wire.record(seconds));
        } else if bgp.established_since.is_none() {
            self.pending = None; // Nobody is there to be told.
        }
        let orders = self.orders.borrow();
        let waits = self.session.config.passive && bgp.negotiated.is_none();
        self.board.show(
            &self.name,
            PeerStatus {
                session: Arc::clone(&self.session),
                ends: self.connections.ends(),
                problem: orders.deaf.clone().filter(|_| waits),
                bfd: self.monitor.status(),
                up_at: self.up_at.filter(|_| bgp.established_since.is_some()),
                to_wire: self.to_wire,
                bgp,
            },
        );
    }
}

fn ends(stream: &TcpStream) -> Result<(SocketAddr, SocketAddr), String> {
    let ends = stream.local_addr().and_then(|local| Ok((local, stream.peer_addr()?)));
    ends.map_err(|error| error.to_string())
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
