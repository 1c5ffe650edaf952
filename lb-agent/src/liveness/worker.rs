//! The thread's loop: obey, drain, let time pass, send what is due, show what has changed, wait.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    num::NonZeroU32,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::mpsc::{self, TryRecvError},
    time::{Duration, Instant},
};

use lb_bfd::initiator::{Config, Initiator, Round};
use lb_plan::agent::peers::Path;
use tokio::sync::watch;

use super::{Readings, Target, Wanted, Whom, socket::Prober};
use crate::net::poll;

/// Between two attempts to open a socket that could not be opened.
const AGAIN: Duration = Duration::from_secs(1);
/// Longer than any BFD packet (RFC 5880 §4.1: the length is one octet).
const BUFFER: usize = 256;
/// How often it is looked whether there is more to take before time is looked at again.
const ROUNDS: usize = 64;
/// How long the first answer waits for others: the probes went out together, and one wake-up takes all their answers.
const GATHER: Duration = Duration::from_millis(2);

struct Session {
    target: Target,
    initiator: Initiator,
}

struct Worker {
    sessions: BTreeMap<Whom, Session>,
    /// By our discriminator.
    asked_by: HashMap<NonZeroU32, Whom>,
    sockets: BTreeMap<Path, Prober>,
    /// What could not be opened, and was said.
    failed: BTreeMap<Path, String>,
    again: Instant,
    random: RandomState,
    rounds: u64,
    discriminators: u32,
}

/// Runs until the owner's end is gone.
pub(super) fn run(orders: &mpsc::Receiver<Wanted>, mut woken: UnixStream, shown: &watch::Sender<Readings>) {
    let random = RandomState::new();
    let mut worker = Worker {
        sessions: BTreeMap::new(),
        asked_by: HashMap::new(),
        sockets: BTreeMap::new(),
        failed: BTreeMap::new(),
        again: Instant::now(),
        discriminators: u32::try_from(random.hash_one(0) >> 32).unwrap_or_default(),
        random,
        rounds: 0,
    };
    loop {
        loop {
            match orders.try_recv() {
                Ok(wanted) => worker.want(wanted),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        worker.open();
        if let Err(error) = worker.drain() {
            tracing::warn!(%error, "look for answers of other nodes");
        }
        let now = Instant::now();
        for session in worker.sessions.values_mut() {
            session.initiator.handle_timeout(now);
        }
        worker.send(now);
        show(&worker, shown);
        if let Err(error) = worker.wait(&mut woken) {
            tracing::warn!(%error, "wait for answers of other nodes");
        }
    }
}

fn show(worker: &Worker, shown: &watch::Sender<Readings>) {
    shown.send_if_modified(|shown| {
        let now = worker.sessions.iter().map(|(whom, session)| (whom, session.initiator.reading()));
        let same = shown.len() == worker.sessions.len() && now.clone().eq(shown.iter().map(|(whom, is)| (whom, *is)));
        if !same {
            *shown = now.map(|(whom, reading)| (whom.clone(), reading)).collect();
        }
        !same
    });
}

impl Worker {
    fn want(&mut self, wanted: Wanted) {
        let now = Instant::now();
        self.sessions.retain(|whom, session| {
            wanted
                .get(whom)
                .is_some_and(|target| Target { interval: session.target.interval, ..target.clone() } == session.target)
        });
        for (whom, target) in wanted {
            match self.sessions.get_mut(&whom) {
                Some(session) if session.target.interval == target.interval => {}
                Some(session) => {
                    session.initiator.set_interval(now, target.interval);
                    session.target = target;
                }
                None => self.begin(now, whom, target),
            }
        }
        let Self { sessions, asked_by, .. } = self;
        asked_by.retain(|_, whom| sessions.contains_key(whom));
        let paths: BTreeSet<Path> = self.sessions.values().map(|session| session.target.path).collect();
        self.sockets.retain(|path, _| paths.contains(path));
        self.failed.retain(|path, _| paths.contains(path));
        self.again = now;
    }

    fn begin(&mut self, now: Instant, whom: Whom, target: Target) {
        let local = self.discriminator();
        let config = Config { local, remote: target.remote, interval: target.interval, multiplier: target.multiplier };
        self.asked_by.retain(|_, known| *known != whom);
        self.asked_by.insert(local, whom.clone());
        self.sessions.insert(whom, Session { target, initiator: Initiator::new(config, now) });
    }

    /// One that no session of ours has; an answer to an earlier one is then nobody's.
    fn discriminator(&mut self) -> NonZeroU32 {
        loop {
            self.discriminators = self.discriminators.wrapping_add(1);
            if let Some(free) = NonZeroU32::new(self.discriminators).filter(|it| !self.asked_by.contains_key(it)) {
                return free;
            }
        }
    }

    /// Opens what is wanted and is not open; what fails comes again.
    fn open(&mut self) {
        let now = Instant::now();
        if now < self.again {
            return;
        }
        self.again = now + AGAIN;
        for target in self.sessions.values().map(|session| &session.target) {
            let path = target.path;
            if self.sockets.contains_key(&path) {
                continue;
            }
            match Prober::open(path, &target.device) {
                Ok(socket) => {
                    self.failed.remove(&path);
                    self.sockets.insert(path, socket);
                }
                Err(error) => {
                    let text = error.to_string();
                    if self.failed.get(&path) != Some(&text) {
                        tracing::warn!(
                            from = %path.ours,
                            to = %path.theirs,
                            device = target.device,
                            %error,
                            "open a socket for S-BFD"
                        );
                        self.failed.insert(path, text);
                    }
                }
            }
        }
    }

    /// Takes all that has arrived, before any silence is counted. Only who has an answer is read from: a look at each of
    /// many sockets costs more than all else here.
    fn drain(&mut self) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let readable = poll::readable(self.sockets.values().map(|socket| socket.as_fd()), Some(Instant::now()))?;
            if !readable.contains(&true) {
                break;
            }
            let Self { sockets, sessions, asked_by, .. } = self;
            for (socket, _) in sockets.values().zip(readable).filter(|(_, is)| *is) {
                take(socket, asked_by, sessions);
            }
        }
        Ok(())
    }

    /// Sends what is due, and with it what may be sent already.
    fn send(&mut self, now: Instant) {
        if !self.sessions.values().any(|session| session.initiator.is_due(now)) {
            return;
        }
        self.rounds = self.rounds.wrapping_add(1);
        let round = Round(self.random.hash_one(self.rounds));
        for session in self.sessions.values_mut() {
            let Some(probe) = session.initiator.poll_transmit(now, round) else { continue };
            let Some(socket) = self.sockets.get(&session.target.path) else { continue };
            if let Err(error) = socket.ask(&probe) {
                // The node goes silent, which is what its owner has to know.
                tracing::debug!(to = %session.target.path.theirs, %error, "probe another node");
            }
        }
    }

    /// Waits for an order, a deadline, or the answers of a round.
    fn wait(&self, woken: &mut UnixStream) -> io::Result<()> {
        let sessions = self.sessions.values().map(|session| session.initiator.poll_timeout());
        let missing = self.sessions.values().any(|session| !self.sockets.contains_key(&session.target.path));
        let next = sessions.chain(missing.then_some(self.again)).min();
        let sockets = self.sockets.values().map(|socket| socket.as_fd());
        let ready = poll::readable([woken.as_fd()].into_iter().chain(sockets), next)?;
        let ordered = ready.first() == Some(&true);
        if !ordered && ready.contains(&true) {
            let gathered = Instant::now() + GATHER;
            let gathered = next.map_or(gathered, |next| next.min(gathered));
            poll::wait([woken.as_fd()].into_iter(), Some(gathered))?;
        }
        if !ordered {
            return Ok(());
        }
        match woken.read(&mut [0; 64]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            // End of file: the owner is gone, and the orders say so.
            _ => Ok(()),
        }
    }
}

/// Takes one answer.
fn take(socket: &Prober, asked_by: &HashMap<NonZeroU32, Whom>, sessions: &mut BTreeMap<Whom, Session>) {
    let mut buffer = [0; BUFFER];
    let datagram = match socket.take(&mut buffer) {
        Ok(datagram) => datagram,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
        // An ICMP error of an earlier probe: what it says is said by silence too.
        Err(error) => return tracing::debug!(%error, "receive an answer of another node"),
    };
    let payload = buffer.get(..datagram.length).unwrap_or_default();
    let session = addressee(payload).and_then(|local| asked_by.get(&local));
    let session = session.and_then(|whom| sessions.get_mut(whom));
    let Some(session) = session.filter(|session| session.target.path.theirs == datagram.from.ip()) else { return };
    let ttl = datagram.ttl.unwrap_or_default();
    if let Err(discard) = session.initiator.handle_packet(Instant::now(), ttl, payload) {
        tracing::debug!(from = %datagram.from, %discard, "not an answer");
    }
}

/// Whom a packet is for: Your Discriminator (RFC 5880 §4.1).
fn addressee(payload: &[u8]) -> Option<NonZeroU32> {
    let octets = payload.get(8..12)?.try_into().ok()?;
    NonZeroU32::new(u32::from_be_bytes(octets))
}
