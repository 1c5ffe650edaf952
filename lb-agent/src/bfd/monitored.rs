//! One session with what belongs to it here: its socket, its followers, and who stands in for it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use lb_bfd::session::{self, Config, Session, Verdict};
use lb_common::bfd::{Packet, State, TTL};
use tokio::sync::watch;

use super::{
    Path, Port, SessionStatus, Wanted,
    memory::Kept,
    sender::Sender,
    stand_in::{self, StandIn},
};
use crate::net::datagram::Datagram;

/// The longest that a session waits for the peer to go on with it.
const LONGEST: Duration = Duration::from_secs(3);

/// After an echo packet the peer is taken to send more of them for so long. Only this thread loops them back.
const ECHO: Duration = Duration::from_secs(10);

pub(super) struct Monitored {
    pub(super) session: Session,
    pub(super) wanted: Wanted,
    pub(super) local: NonZeroU32,
    pub(super) sender: Result<Sender, String>,
    pub(super) followers: BTreeMap<u64, watch::Sender<SessionStatus>>,
    pub(super) status: SessionStatus,
    pub(super) shown: watch::Sender<SessionStatus>,
    /// Set while a session of the process before may go on: nothing is said before the peer is heard.
    before: Option<Before>,
    /// The address that the peer sends to.
    address: Option<IpAddr>,
    echoed_at: Option<Instant>,
    /// What the kernel program stands in with.
    outlasting: Option<stand_in::Wanted>,
    /// When the packet after the one that was sent last is to be expected.
    next_by: Instant,
}

/// A session of the process before.
struct Before {
    /// What is known of it.
    kept: Kept,
    config: Config,
    /// When the peer must have been heard.
    until: Instant,
}

impl Monitored {
    /// `kept`: the session of the process before, whose discriminator is `local`.
    pub(super) fn new(
        path: &Path,
        wanted: Wanted,
        local: NonZeroU32,
        seed: u64,
        kept: Option<Kept>,
        followers: BTreeMap<u64, watch::Sender<SessionStatus>>,
    ) -> Self {
        let mut config = Config::new(local, seed);
        config.role = wanted.role;
        config.timers = wanted.timers;
        config.authentication = wanted.authentication.clone();
        if path.multihop {
            config.path = session::Path::MultiHop { min_ttl: wanted.min_ttl };
        }
        let status = SessionStatus::new(path.clone());
        let now = Instant::now();
        let before = kept.map(|kept| {
            let interval = kept.sent.desired_min_tx.max(kept.sent.required_min_rx);
            let span = Duration::from_micros(interval.into()) * u32::from(kept.sent.detect_mult);
            Before { kept, config: config.clone(), until: now + span.min(LONGEST) }
        });
        Self {
            before,
            session: Session::new(config, now),
            wanted,
            local,
            sender: Sender::open(path, kept.and_then(|kept| kept.source_port), seed),
            followers,
            shown: watch::channel(status.clone()).0,
            status,
            address: path.local,
            echoed_at: None,
            outlasting: None,
            next_by: now,
        }
    }

    /// Until when the peer is listened to, whether it goes on with a session of the process before.
    pub(super) fn listens_until(&self) -> Option<Instant> {
        self.before.as_ref().map(|before| before.until)
    }

    /// Nobody follows it any more, and the peer is told so. Whatever the process before had is over as well.
    pub(super) fn end(&mut self, now: Instant) {
        self.before = None;
        self.session.disable(now);
    }

    /// An echo packet of the peer was looped back.
    pub(super) fn echoed(&mut self, now: Instant) {
        self.status.counters.echoes += 1;
        self.echoed_at = Some(now);
    }

    pub(super) fn take(&mut self, now: Instant, datagram: &Datagram, payload: &[u8]) {
        self.resume(now, datagram, payload);
        match self.session.handle_packet(now, datagram.ttl.unwrap_or(0), payload) {
            Ok(()) => {
                self.status.counters.received += 1;
                self.address = datagram.to.or(self.address);
            }
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
        if is_near && Session::answers(&before.kept.sent, &heard.packet) {
            self.session = Session::resume(before.config, now, before.kept.sent, heard.packet);
            self.status.counters.ups += 1;
            tracing::info!(path = %self.status.path, "BFD session goes on as the process before had it");
        }
    }

    /// What the next process could go on with.
    pub(super) fn kept(&self) -> Option<Kept> {
        match &self.before {
            Some(before) => Some(before.kept),
            None => {
                let source_port = self.sender.as_ref().ok().map(Sender::source_port);
                self.session.resumable().map(|sent| Kept { sent, source_port })
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.before {
            Some(before) => Some(before.until),
            None => self.session.poll_timeout(),
        }
    }

    /// Lets time pass, sends what is due, shows what is new.
    pub(super) fn pass(&mut self, now: Instant, stand_in: &mut StandIn) {
        if self.before.take_if(|before| before.until <= now).is_some() {
            tracing::info!(path = %self.status.path, "the peer is not heard to go on with the BFD session of the process before");
        }
        if self.before.is_some() {
            return self.show();
        }
        if self.session.expiry().is_some_and(|at| at <= now)
            && let Some(heard) = stand_in.heard(self.local, now)
        {
            self.session.heard_elsewhere(heard);
        }
        self.session.handle_timeout(now);
        self.log_changes();
        if self.session.state() != State::Up {
            // Before it is said: the program must not say otherwise afterwards.
            stand_in.withdraw(self.local);
            self.outlasting = None;
        } else if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.set_control_plane_independent(self.is_stood_in_for(now, stand_in));
        }
        let is_sent = self.transmit(now);
        self.outlast(now, is_sent, stand_in);
        self.show();
    }

    fn log_changes(&mut self) {
        while let Some(change) = self.session.poll_change() {
            let status = &mut self.status;
            status.counters.ups += u64::from(change.to == State::Up);
            status.counters.downs += u64::from(change.from == State::Up);
            if change.from == State::Up && self.session.verdict() == Verdict::Failed {
                status.failures += 1;
            }
            tracing::info!(path = %status.path, from = ?change.from, to = ?change.to, diagnostic = ?change.diagnostic, "BFD session");
        }
    }

    /// Whether anything was sent.
    fn transmit(&mut self, now: Instant) -> bool {
        let before = self.status.counters.sent;
        while let Some(packet) = self.session.poll_transmit(now) {
            let sent = self.sender.as_ref().is_ok_and(|sender| sender.send(&packet).is_ok());
            self.status.counters.sent += u64::from(sent);
        }
        self.status.counters.sent != before
    }

    /// Bit C is a promise, and this is its ground: the program has met a packet of the peer within the time in which the
    /// peer must be heard, and could have answered it.
    fn is_stood_in_for(&self, now: Instant, stand_in: &StandIn) -> bool {
        let heard = stand_in.heard(self.local, now);
        heard.zip(self.session.detection_time()).is_some_and(|(heard, detection)| now < heard + detection)
    }

    /// Tells the program what it stands in with, and when the next packet is to be expected.
    fn outlast(&mut self, now: Instant, is_sent: bool, stand_in: &mut StandIn) {
        let wanted = self.outlasting(now);
        if is_sent {
            self.next_by = now + self.session.transmit_interval().unwrap_or_default();
        }
        if is_sent || wanted != self.outlasting {
            stand_in.tell(self.local, wanted.as_ref(), self.next_by);
            self.outlasting = wanted;
        }
    }

    /// `None`: the program cannot stand in. It has no keys (`resumable` says so), and loops no echo packets back.
    fn outlasting(&self, now: Instant) -> Option<stand_in::Wanted> {
        let sends_echo = self.echoed_at.is_some_and(|at| now < at + ECHO);
        let path = &self.status.path;
        Some(stand_in::Wanted {
            sent: self.session.resumable().filter(|_| !sends_echo)?,
            peer: path.peer,
            local: self.address?,
            source_port: self.sender.as_ref().ok()?.source_port(),
            port: Port::of(path).number(),
            least_ttl: if path.multihop { self.wanted.min_ttl } else { TTL },
        })
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
