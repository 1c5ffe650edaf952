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

use lb_bfd::session::addressee;
use lb_common::bfd::TTL;
use tokio::sync::{oneshot, watch};

use super::{
    Path, Port, SessionStatus, Wanted,
    follower::Shown,
    memory::Memory,
    monitored::Monitored,
    receiver::{Place, Receiver},
    sender::{self, Sender},
    stand_in::StandIn,
};
use crate::net::{datagram::Datagram, poll};

/// Between two attempts to open a socket that could not be opened.
const AGAIN: Duration = Duration::from_secs(1);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    Follow { id: u64, path: Path, wanted: Wanted, sender: watch::Sender<SessionStatus> },
    Change { path: Path, wanted: Wanted },
    Unfollow { id: u64, path: Path, silently: bool },
    Leave(oneshot::Sender<()>),
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
    stand_in: StandIn,
    random: RandomState,
}

impl Thread {
    pub(super) fn new(
        commands: mpsc::Receiver<Command>,
        woken: UnixStream,
        shown: Shown,
        memory: Memory,
        stand_in: StandIn,
    ) -> Self {
        Self {
            commands,
            woken,
            sessions: BTreeMap::new(),
            discriminators: HashMap::new(),
            receivers: BTreeMap::new(),
            again: None,
            shown,
            memory,
            stand_in,
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
            self.stand_in.begin_turn(now);
            for monitored in self.sessions.values_mut() {
                monitored.pass(now, &mut self.stand_in);
            }
            self.forget(now);
            self.memory.note(self.sessions.iter().map(|(path, monitored)| (path, monitored.kept())));
            if let Some(done) = done {
                // Its end is the answer.
                drop(done);
                return;
            }
            let due = self.sessions.values().filter_map(Monitored::poll_timeout);
            let until = due.chain(self.again).chain(self.stand_in.next()).min();
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
        self.stand_in.withdraw(old.local);
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
            let left = self.remove(path);
            left.iter().for_each(|left| self.stand_in.leave(left.local));
            self.open();
        } else {
            monitored.end(Instant::now());
        }
    }

    fn make(
        &mut self,
        path: &Path,
        wanted: Wanted,
        followers: BTreeMap<u64, watch::Sender<SessionStatus>>,
    ) -> Monitored {
        let kept = self.memory.take(path).filter(|_| wanted.authentication.is_none());
        let old = kept.and_then(|kept| NonZeroU32::new(kept.sent.my_discriminator));
        let old = old.filter(|number| !self.discriminators.contains_key(number));
        let goes_on = |number| Some(number) == old || self.memory.expects(number);
        self.stand_in.begin(path.peer, Port::of(path).number(), goes_on);
        let local = old.unwrap_or_else(|| self.discriminator(path));
        let seed = self.random.hash_one((path, local, "seed"));
        Monitored::new(path, wanted, local, seed, kept.filter(|_| old.is_some()), followers)
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
        let (number, listens_until) = (monitored.local, monitored.listens_until());
        self.sessions.insert(path, monitored);
        self.open();
        // From here on packets arrive: they are to come here, and not to the program.
        if let Some(until) = listens_until {
            self.stand_in.listen(number, until);
        }
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
            needed.insert(Place::of(path, Port::of(path)));
            if monitored.wanted.timers.required_min_echo_rx != 0 && !path.multihop {
                needed.insert(Place::of(path, Port::Echo));
            }
        }
        self.receivers.retain(|place, receiver| needed.contains(place) && receiver.is_ok());
        for place in needed {
            self.receivers.entry(place).or_insert_with_key(Receiver::open);
        }
        for (path, monitored) in &mut self.sessions {
            let deaf =
                self.receivers.get(&Place::of(path, Port::of(path))).and_then(|receiver| receiver.as_ref().err());
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
            monitored.sender = Sender::open(path, None, u64::from(monitored.local.get()));
        }
        self.open();
    }

    fn receive(&mut self, now: Instant) {
        let Self { receivers, sessions, discriminators, .. } = self;
        for (place, receiver) in receivers.iter() {
            let Ok(receiver) = receiver else { continue };
            receiver.take(|datagram, payload| {
                if place.port == Port::Echo {
                    return echo(sessions, now, place, datagram, payload);
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
fn echo(sessions: &mut BTreeMap<Path, Monitored>, now: Instant, place: &Place, datagram: &Datagram, payload: &[u8]) {
    let is_its = |path: &Path| path.peer == datagram.from.ip() && !path.multihop && path.device == place.device;
    let monitored = sessions.iter_mut().find(|(path, _)| is_its(path)).map(|(_, monitored)| monitored);
    let lets = |monitored: &&mut Monitored| monitored.wanted.timers.required_min_echo_rx != 0;
    let Some(monitored) = monitored.filter(lets).filter(|_| datagram.ttl == Some(TTL)) else { return };
    if sender::loop_back(datagram.from, payload).is_ok() {
        monitored.echoed(now);
    }
}
