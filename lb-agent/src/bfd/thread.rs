//! The thread: takes what has arrived, lets time pass, sends what is due, shows what has changed, waits.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    io::Read as _,
    num::NonZeroU32,
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{PoisonError, mpsc},
    time::{Duration, Instant},
};

use lb_bfd::session::{self, Config, Session, Verdict, addressee};
use lb_common::bfd::{Packet, State, TTL};
use tokio::sync::{oneshot, watch};

use super::{
    Path, Port, SessionStatus, Wanted,
    follower::Shown,
    memory::Memory,
    receiver::{Place, Receiver},
    sender::{self, Sender},
};
use crate::net::{datagram::Datagram, poll};

/// Between two attempts to open a socket that could not be opened.
const AGAIN: Duration = Duration::from_secs(1);

/// The longest that a session waits for the peer to go on with it.
const LONGEST: Duration = Duration::from_secs(3);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    Follow { id: u64, path: Path, wanted: Wanted, sender: watch::Sender<SessionStatus> },
    Change { path: Path, wanted: Wanted },
    Unfollow { id: u64, path: Path, silently: bool },
    Leave(oneshot::Sender<()>),
}

struct Monitored {
    session: Session,
    wanted: Wanted,
    local: NonZeroU32,
    sender: Result<Sender, String>,
    followers: BTreeMap<u64, watch::Sender<SessionStatus>>,
    status: SessionStatus,
    shown: watch::Sender<SessionStatus>,
    /// Set while a session of the process before may go on: nothing is said before the peer is heard.
    before: Option<Before>,
}

/// A session of the process before.
struct Before {
    /// What it sent last.
    sent: Packet,
    config: Config,
    /// When the peer must have been heard.
    until: Instant,
}

pub(super) struct Thread {
    commands: mpsc::Receiver<Command>,
    woken: UnixStream,
    sessions: BTreeMap<Path, Monitored>,
    discriminators: HashMap<NonZeroU32, Path>,
    receivers: BTreeMap<Place, Result<Receiver, String>>,
    /// When sockets that could not be opened are tried again.
    again: Option<Instant>,
    shown: Shown,
    memory: Memory,
    random: RandomState,
}

impl Thread {
    pub(super) fn new(commands: mpsc::Receiver<Command>, woken: UnixStream, shown: Shown, memory: Memory) -> Self {
        Self {
            commands,
            woken,
            sessions: BTreeMap::new(),
            discriminators: HashMap::new(),
            receivers: BTreeMap::new(),
            again: None,
            shown,
            memory,
            random: RandomState::new(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let done = match self.obey() {
                Ok(done) => done,
                Err(mpsc::TryRecvError::Disconnected) => return,
                Err(mpsc::TryRecvError::Empty) => None,
            };
            let now = Instant::now();
            self.receive(now);
            let now = Instant::now();
            self.retry(now);
            for monitored in self.sessions.values_mut() {
                monitored.pass(now);
            }
            self.forget(now);
            self.memory.note(self.sessions.iter().map(|(path, monitored)| (path, monitored.resumable())));
            if let Some(done) = done {
                // Its end is the answer.
                drop(done);
                return;
            }
            let due = self.sessions.values().filter_map(Monitored::poll_timeout);
            let until = due.chain(self.again).min();
            let receivers = self.receivers.values().filter_map(|receiver| receiver.as_ref().ok());
            let fds = receivers.map(Receiver::fd).chain([self.woken.as_fd()]);
            if let Err(error) = poll::wait(fds, until) {
                tracing::warn!("wait for BFD packets: {error}");
            }
        }
    }

    /// Carries out every command that waits. `Empty` when none was the last one.
    fn obey(&mut self) -> Result<Option<oneshot::Sender<()>>, mpsc::TryRecvError> {
        // Read before the commands: one that comes later wakes again.
        let mut wakes = [0; 64];
        while self.woken.read(&mut wakes).is_ok_and(|count| count == wakes.len()) {}
        loop {
            match self.commands.try_recv()? {
                Command::Follow { id, path, wanted, sender } => self.follow(id, path, wanted, sender),
                Command::Change { path, wanted } => self.change(&path, wanted),
                Command::Unfollow { id, path, silently } => self.unfollow(id, &path, silently),
                Command::Leave(done) => return Ok(Some(done)),
            }
        }
    }

    fn follow(&mut self, id: u64, path: Path, wanted: Wanted, sender: watch::Sender<SessionStatus>) {
        if let Some(monitored) = self.sessions.get_mut(&path) {
            monitored.session.enable();
            sender.send_replace(monitored.status.clone());
            monitored.followers.insert(id, sender);
            return self.change(&path, wanted);
        }
        let monitored = self.make(&path, wanted, BTreeMap::from([(id, sender)]));
        self.insert(path, monitored);
    }

    fn change(&mut self, path: &Path, wanted: Wanted) {
        let Some(monitored) = self.sessions.get_mut(path).filter(|monitored| monitored.wanted != wanted) else {
            return;
        };
        let timers_only = Wanted { timers: wanted.timers, ..monitored.wanted.clone() } == wanted;
        if timers_only {
            // RFC 5880 §6.8.3: by a poll sequence, and the session stays up.
            monitored.session.set_timers(wanted.timers);
            monitored.wanted = wanted;
            return self.open();
        }
        let Some(old) = self.remove(path) else { return };
        self.memory.forget(path);
        let monitored = self.make(path, wanted, old.followers);
        self.insert(path.clone(), monitored);
    }

    fn unfollow(&mut self, id: u64, path: &Path, silently: bool) {
        let Some(monitored) = self.sessions.get_mut(path) else { return };
        monitored.followers.remove(&id);
        if !monitored.followers.is_empty() {
            return;
        }
        if silently {
            self.remove(path);
            self.open();
        } else {
            // Whatever the process before had: it is over.
            monitored.before = None;
            monitored.session.disable(Instant::now());
        }
    }

    fn make(
        &mut self,
        path: &Path,
        wanted: Wanted,
        followers: BTreeMap<u64, watch::Sender<SessionStatus>>,
    ) -> Monitored {
        let sent = self.memory.take(path).filter(|_| wanted.authentication.is_none());
        let old = sent.and_then(|sent| NonZeroU32::new(sent.my_discriminator));
        let old = old.filter(|number| !self.discriminators.contains_key(number));
        let local = old.unwrap_or_else(|| self.discriminator(path));
        let seed = self.random.hash_one((path, local, "seed"));
        let mut config = Config::new(local, seed);
        config.role = wanted.role;
        config.timers = wanted.timers;
        config.authentication = wanted.authentication.clone();
        if path.multihop {
            config.path = session::Path::MultiHop { min_ttl: wanted.min_ttl };
        }
        let status = SessionStatus::new(path.clone());
        let now = Instant::now();
        let before = sent.filter(|_| old.is_some()).map(|sent| {
            let interval = sent.desired_min_tx.max(sent.required_min_rx);
            let span = Duration::from_micros(interval.into()) * u32::from(sent.detect_mult);
            Before { sent, config: config.clone(), until: now + span.min(LONGEST) }
        });
        Monitored {
            before,
            session: Session::new(config, now),
            wanted,
            local,
            sender: Sender::open(path, seed),
            followers,
            shown: watch::channel(status.clone()).0,
            status,
        }
    }

    /// Random, and nobody else's.
    fn discriminator(&self, path: &Path) -> NonZeroU32 {
        let candidates = (0_u32..).map(|step| self.random.hash_one((path, step)).to_le_bytes());
        let numbers = candidates.map(|[a, b, c, d, ..]| u32::from_le_bytes([a, b, c, d]));
        let mut free = numbers.filter_map(NonZeroU32::new).filter(|number| !self.discriminators.contains_key(number));
        free.next().unwrap_or(NonZeroU32::MIN)
    }

    fn insert(&mut self, path: Path, monitored: Monitored) {
        self.discriminators.insert(monitored.local, path.clone());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.insert(path.clone(), monitored.shown.subscribe());
        drop(shown);
        self.sessions.insert(path, monitored);
        self.open();
    }

    fn remove(&mut self, path: &Path) -> Option<Monitored> {
        let monitored = self.sessions.remove(path)?;
        self.discriminators.remove(&monitored.local);
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        Some(monitored)
    }

    /// Sessions that nobody follows go when the peer has been told.
    fn forget(&mut self, now: Instant) {
        let is_over =
            |(_, monitored): &(&Path, &Monitored)| monitored.followers.is_empty() && monitored.session.is_told(now);
        let over: Vec<Path> = self.sessions.iter().filter(is_over).map(|(path, _)| path.clone()).collect();
        if over.is_empty() {
            return;
        }
        for path in &over {
            drop(self.remove(path));
            self.memory.forget(path);
        }
        self.open();
    }

    /// Opens what sessions need to receive, and closes what none needs.
    fn open(&mut self) {
        let mut needed = BTreeSet::new();
        for (path, monitored) in &self.sessions {
            needed.insert(Place::of(path, if path.multihop { Port::MultiHop } else { Port::SingleHop }));
            if monitored.wanted.timers.required_min_echo_rx != 0 && !path.multihop {
                needed.insert(Place::of(path, Port::Echo));
            }
        }
        self.receivers.retain(|place, receiver| needed.contains(place) && receiver.is_ok());
        for place in needed {
            self.receivers.entry(place).or_insert_with_key(Receiver::open);
        }
        for (path, monitored) in &mut self.sessions {
            let port = if path.multihop { Port::MultiHop } else { Port::SingleHop };
            let deaf = self.receivers.get(&Place::of(path, port)).and_then(|receiver| receiver.as_ref().err());
            monitored.status.problem = monitored.sender.as_ref().err().or(deaf).cloned();
        }
        let failed = self.sessions.values().any(|monitored| monitored.status.problem.is_some());
        self.again = failed.then(|| Instant::now() + AGAIN);
    }

    fn retry(&mut self, now: Instant) {
        if self.again.is_none_or(|at| at > now) {
            return;
        }
        for (path, monitored) in self.sessions.iter_mut().filter(|(_, monitored)| monitored.sender.is_err()) {
            monitored.sender = Sender::open(path, u64::from(monitored.local.get()));
        }
        self.open();
    }

    fn receive(&mut self, now: Instant) {
        let Self { receivers, sessions, discriminators, .. } = self;
        for (place, receiver) in receivers.iter() {
            let Ok(receiver) = receiver else { continue };
            receiver.take(|datagram, payload| {
                if place.port == Port::Echo {
                    return echo(sessions, place, datagram, payload);
                }
                let path = match addressee(payload) {
                    Ok(Some(discriminator)) => discriminators.get(&discriminator).cloned(),
                    Ok(None) => path_of(sessions, place, datagram),
                    Err(_malformed) => return,
                };
                let Some(path) = path.filter(|path| is_from(path, place, datagram)) else { return };
                if let Some(monitored) = sessions.get_mut(&path) {
                    monitored.take(now, datagram, payload);
                }
            });
        }
    }
}

/// Whether a packet came by a session's way.
fn is_from(path: &Path, place: &Place, datagram: &Datagram) -> bool {
    path.peer == datagram.from.ip() && path.multihop == (place.port == Port::MultiHop) && path.device == place.device
}

/// RFC 5880 §6.8.6: a packet that names no session belongs to the one with its source.
fn path_of(sessions: &BTreeMap<Path, Monitored>, place: &Place, datagram: &Datagram) -> Option<Path> {
    sessions.keys().find(|path| is_from(path, place, datagram)).cloned()
}

/// RFC 5880 §6.4: what a peer that we let send echo packets has sent goes back. One that has come back is TTL 254.
fn echo(sessions: &mut BTreeMap<Path, Monitored>, place: &Place, datagram: &Datagram, payload: &[u8]) {
    let is_its = |path: &Path| path.peer == datagram.from.ip() && !path.multihop && path.device == place.device;
    let monitored = sessions.iter_mut().find(|(path, _)| is_its(path)).map(|(_, monitored)| monitored);
    let lets = |monitored: &&mut Monitored| monitored.wanted.timers.required_min_echo_rx != 0;
    let Some(monitored) = monitored.filter(lets).filter(|_| datagram.ttl == Some(TTL)) else { return };
    if sender::loop_back(datagram.from, payload).is_ok() {
        monitored.status.counters.echoes += 1;
    }
}

impl Monitored {
    fn take(&mut self, now: Instant, datagram: &Datagram, payload: &[u8]) {
        self.resume(now, datagram, payload);
        match self.session.handle_packet(now, datagram.ttl.unwrap_or(0), payload) {
            Ok(()) => self.status.counters.received += 1,
            Err(why) => {
                self.status.counters.discarded += 1;
                tracing::debug!(path = %self.status.path, "BFD packet discarded: {why}");
            }
        }
    }

    /// Goes on with the session of the process before, if the peer is heard to.
    fn resume(&mut self, now: Instant, datagram: &Datagram, payload: &[u8]) {
        let Some(before) = self.before.take() else { return };
        let Ok(heard) = Packet::parse(payload) else { return };
        let is_near = self.status.path.multihop || datagram.ttl == Some(TTL);
        if is_near && Session::answers(&before.sent, &heard.packet) {
            self.session = Session::resume(before.config, now, before.sent, heard.packet);
            self.status.counters.ups += 1;
            tracing::info!(path = %self.status.path, "BFD session goes on as the process before had it");
        }
    }

    /// What the next process could go on with.
    fn resumable(&self) -> Option<Packet> {
        match &self.before {
            Some(before) => Some(before.sent),
            None => self.session.resumable(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.before {
            Some(before) => Some(before.until),
            None => self.session.poll_timeout(),
        }
    }

    /// Lets time pass, sends what is due, shows what is new.
    fn pass(&mut self, now: Instant) {
        if self.before.take_if(|before| before.until <= now).is_some() {
            tracing::info!(path = %self.status.path, "the peer is not heard to go on with the BFD session of the process before");
        }
        if self.before.is_some() {
            return self.show();
        }
        self.session.handle_timeout(now);
        while let Some(change) = self.session.poll_change() {
            let status = &mut self.status;
            status.counters.ups += u64::from(change.to == State::Up);
            status.counters.downs += u64::from(change.from == State::Up);
            if change.from == State::Up && self.session.verdict() == Verdict::Failed {
                status.failures += 1;
            }
            tracing::info!(path = %status.path, from = ?change.from, to = ?change.to, diagnostic = ?change.diagnostic, "BFD session");
        }
        while let Some(packet) = self.session.poll_transmit(now) {
            let sent = self.sender.as_ref().is_ok_and(|sender| sender.send(&packet).is_ok());
            self.status.counters.sent += u64::from(sent);
        }
        self.show();
    }

    /// Followers are woken by a change, not by a count.
    fn show(&mut self) {
        self.status.state = self.session.state();
        self.status.verdict = self.session.verdict();
        self.status.diagnostic = self.session.diagnostic();
        self.status.remote = self.session.neighbour().map(|neighbour| neighbour.packet.state);
        let now = &self.status;
        for sender in self.followers.values().chain([&self.shown]) {
            sender.send_if_modified(|shown| {
                let is_news =
                    (shown.state, shown.failures) != (now.state, now.failures) || shown.problem != now.problem;
                shown.clone_from(now);
                is_news
            });
        }
    }
}
