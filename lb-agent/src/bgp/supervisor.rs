//! Starts, changes and ends the tasks of peers: the difference between the wanted peers and the running ones.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use super::{
    Leave,
    endpoint::Remote,
    listen::{Call, Listeners},
    neighbour::Neighbour,
    peer::{self, End, Orders, Start},
    status::Board,
    wanted::{Session, Wanted, WantedPeer},
};
use crate::bfd::Bfd;

/// Between two attempts to listen where it failed.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);
/// Accepted connections that wait for their peer's task.
const CALLS: usize = 16;

struct Running {
    session: Arc<Session>,
    orders: watch::Sender<Orders>,
    calls: mpsc::Sender<TcpStream>,
    task: JoinHandle<()>,
}

pub(super) struct Supervisor {
    running: BTreeMap<String, Running>,
    /// Peers that are not wanted any more, until they have been told.
    leaving: JoinSet<()>,
    board: Board,
    bfd: Bfd,
    listeners: Listeners,
    calls: mpsc::Receiver<Call>,
    /// Why connections cannot be accepted.
    deaf: Option<String>,
    /// Nothing has been wanted yet: the peers may know a process before this one.
    first: bool,
}

impl Supervisor {
    pub(super) fn new(board: Board, bfd: Bfd) -> Self {
        let (sender, calls) = mpsc::channel(CALLS);
        Self {
            running: BTreeMap::new(),
            leaving: JoinSet::new(),
            board,
            bfd,
            listeners: Listeners::new(sender),
            calls,
            deaf: None,
            first: true,
        }
    }

    /// Runs until it is told to leave, or nobody is there to tell it.
    pub(super) async fn run(
        mut self,
        mut wanted: watch::Receiver<Arc<Wanted>>,
        mut leaving: mpsc::Receiver<(Leave, oneshot::Sender<()>)>,
    ) {
        let (how, done) = loop {
            let again = async {
                match self.deaf {
                    Some(_) => tokio::time::sleep(LISTEN_AGAIN).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                told = leaving.recv() => match told {
                    Some((how, done)) => break (how, Some(done)),
                    None => break (Leave::Restart, None),
                },
                changed = wanted.changed() => {
                    if changed.is_err() {
                        break (Leave::Restart, None);
                    }
                    let now = Arc::clone(&wanted.borrow_and_update());
                    self.apply(&now);
                }
                Some(call) = self.calls.recv() => self.call(call),
                () = again => {
                    let now = Arc::clone(&wanted.borrow());
                    self.listen(&now);
                }
                Some(_) = self.leaving.join_next() => {}
            }
        };
        self.leave(how).await;
        // Its end is the answer.
        drop(done);
    }

    fn apply(&mut self, wanted: &Wanted) {
        self.listen(wanted);
        let gone: Vec<String> = self.running.keys().filter(|name| !wanted.peers.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(running) = self.running.remove(&name) {
                self.remove(name, running);
            }
        }
        for (name, peer) in &wanted.peers {
            let running = self.running.get(name);
            if let Some(running) = running.filter(|running| running.session == peer.session) {
                order(running, wanted, peer, self.deaf.as_deref());
                continue;
            }
            let before = self.running.remove(name).map(|running| {
                tracing::info!(peer = name, "the BGP peer's configuration has changed: its session is made anew");
                end(&running, End::Changed);
                running.task
            });
            let running = self.start(name, wanted, peer, before);
            self.running.insert(name.clone(), running);
        }
        self.first = false;
    }

    fn listen(&mut self, wanted: &Wanted) {
        let endpoints = wanted.peers.values().map(|peer| &peer.session.endpoint);
        let problem = self.listeners.apply(wanted.listen, endpoints);
        if problem != self.deaf {
            if let Some(problem) = &problem {
                tracing::warn!("BGP connections are not accepted, peers are only dialled: {problem}");
            }
            self.board.listener(problem.clone());
            self.deaf = problem;
            for running in self.running.values() {
                running.orders.send_if_modified(|orders| {
                    orders.deaf.clone_from(&self.deaf);
                    true
                });
            }
        }
    }

    fn start(&self, name: &str, wanted: &Wanted, peer: &WantedPeer, before: Option<JoinHandle<()>>) -> Running {
        let (orders, receiver) = watch::channel(Orders {
            routes: peer.routes.clone(),
            changed_at: None,
            draining: wanted.draining,
            bfd: peer.bfd.clone(),
            deaf: self.deaf.clone(),
            end: None,
        });
        let (calls, called) = mpsc::channel(2);
        let neighbour = match &peer.session.endpoint.remote {
            Remote::Interface(interface) => Some(Arc::new(Neighbour::listen(interface))),
            Remote::Address(_) => None,
        };
        let task = tokio::spawn(peer::run(Start {
            name: name.to_owned(),
            session: Arc::clone(&peer.session),
            orders: receiver,
            calls: called,
            board: self.board.clone(),
            bfd: self.bfd.clone(),
            neighbour,
            restarted: self.first,
            seed: RandomState::new().hash_one(name),
            before,
        }));
        Running { session: Arc::clone(&peer.session), orders, calls, task }
    }

    /// Withdraws everything from a peer that is not wanted any more, without waiting for it here.
    fn remove(&mut self, name: String, running: Running) {
        tracing::info!(peer = name, "the BGP peer is not wanted any more");
        end(&running, End::Removed);
        let board = self.board.clone();
        self.board.remove(&name);
        self.leaving.spawn(async move {
            drop(running.task.await);
            board.remove(&name);
        });
    }

    /// Hands an accepted connection to its peer.
    fn call(&self, call: Call) {
        let from = call.from.ip().to_canonical();
        let is_it = |running: &&Running| {
            let endpoint = &running.session.endpoint;
            endpoint.bound_to() == call.device.as_deref()
                && match endpoint.remote {
                    Remote::Address(address) => address == from,
                    Remote::Interface(_) => true,
                }
        };
        match self.running.values().find(is_it) {
            // A full queue: the peer comes again.
            Some(running) => drop(running.calls.try_send(call.stream)),
            None => tracing::debug!(%from, "a BGP connection from somebody who is no peer"),
        }
    }

    async fn leave(mut self, how: Leave) {
        let how = match how {
            Leave::Restart => End::Restart,
            Leave::Shutdown(text) => End::Shutdown(text.into()),
        };
        for running in self.running.values() {
            end(running, how.clone());
        }
        for running in std::mem::take(&mut self.running).into_values() {
            drop(running.task.await);
        }
        while self.leaving.join_next().await.is_some() {}
        self.bfd.leave().await;
    }
}

fn order(running: &Running, wanted: &Wanted, peer: &WantedPeer, deaf: Option<&str>) {
    running.orders.send_if_modified(|orders| {
        let same = match (&orders.routes, &peer.routes) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new) || old == new,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same && orders.draining == wanted.draining && orders.bfd == peer.bfd && orders.deaf.as_deref() == deaf {
            return false;
        }
        if !same {
            orders.routes.clone_from(&peer.routes);
            orders.changed_at = Some(Instant::now());
        }
        orders.draining = wanted.draining;
        orders.bfd.clone_from(&peer.bfd);
        orders.deaf = deaf.map(str::to_owned);
        true
    });
}

fn end(running: &Running, end: End) {
    running.orders.send_modify(|orders| orders.end = Some(end));
}
