//! Does what the ownership machine asks for: entries, announcements, questions, the reflector, who is watched.

use std::{collections::BTreeMap, io, num::NonZeroU8, time::Duration};

use lb_bfd::initiator::{self, Reading};
use lb_common::abi;
use lb_plan::{
    agent::{Action, EntryKey, Mac, Operation, Table as _, announce::Target, peers, plan::answering},
    ownership::{Copies, Output, Rate, Reflect},
};

use super::{NEIGHBOURS, SLOW};
use crate::{
    announce::Batch,
    clock,
    liveness::{self, Whom},
    owner::Owner,
};

/// How long a node that lets go waits for its addresses to be taken.
const DRAIN: Duration = Duration::from_secs(3);
/// How many copies go out by one call: between the look at what gave way and the call nobody is to have claimed.
const TOGETHER: usize = 64;
/// Between two passes while it waits.
const DRAIN_PASS: Duration = Duration::from_millis(10);

/// Copies that go out together.
#[derive(Default)]
struct Round {
    batch: Batch,
    /// Of what each is, and how many frames there are up to its last.
    copies: Vec<(Target, EntryKey, usize)>,
    /// What must not be sent, because another node has claimed it.
    yielded: Vec<EntryKey>,
}

impl Owner {
    /// Does what the machine asks for. Entries only if the segments they are for stand already: otherwise the plan writes
    /// both in their order.
    pub(in crate::owner) fn act(&mut self, now: Duration) {
        let stands = self.tables.segments() == &self.seen.topology.segments;
        let outputs = self.deciding.machine.poll(now);
        for output in outputs {
            match output {
                Output::Answer { key, .. } => self.answer(now, stands, key),
                Output::Suppress { key } => {
                    self.deciding.stopwatch.lost(key);
                    self.stop_announcing(key);
                    self.set_entry(stands, key, Action::Suppress);
                }
                Output::Forget { key } => {
                    self.stop_announcing(key);
                    self.seen.retry = true;
                }
                Output::Announce { key, copies: Copies::Series } => {
                    if let Some(target) = self.target(key) {
                        self.schedule.start(target);
                    }
                }
                Output::Announce { key, copies: Copies::One } => self.announce_once(key),
                Output::Announce { key, copies: Copies::Refresh } => {
                    if let Some(target) = self.target(key) {
                        self.schedule.once(target);
                    }
                }
                Output::Hush { key } => {
                    if let Some(target) = self.target(key) {
                        self.schedule.hush(target);
                    }
                }
                Output::Probe { key, to } => self.probe(key, to),
                Output::Reflect(_) => {}
                Output::Watch { segment, node, rate } => {
                    match rate {
                        Some(rate) => _ = self.deciding.rates.insert((segment, node), rate),
                        None => _ = self.deciding.rates.remove(&(segment, node)),
                    }
                    self.deciding.watch_again = true;
                }
                Output::Changed { key } => {
                    self.deciding.changed = true;
                    if let Some(status) = self.deciding.machine.status(key) {
                        tracing::debug!(address = %key.address, segment = key.segment, ?status, "ownership");
                    }
                }
                Output::Stranger { key, mac } => {
                    self.deciding.strangers.note(now, key, mac);
                    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
                    tracing::warn!(address = %key.address, mac, "a station that is no node uses an address of ours");
                }
            }
        }
        if stands {
            // Their entries are written; a plan of thousands must not come between.
            self.announce();
        }
        self.reflect();
        self.watch_nodes();
    }

    fn answer(&mut self, now: Duration, stands: bool, key: EntryKey) {
        if let Some(Ok(why)) = self.deciding.machine.status(key).map(|status| status.holding) {
            self.deciding.stopwatch.took(now, key, why);
        }
        self.set_entry(stands, key, Action::Answer);
        if self.deciding.machine.is_firm(key)
            && let Err(error) = self.tables.stand(key)
        {
            self.report(vec![error]);
        }
    }

    fn set_entry(&mut self, stands: bool, key: EntryKey, action: Action) {
        self.deciding.changed = true;
        if !stands || !self.keeper.is_held() {
            self.seen.retry = true;
            return;
        }
        if let Err(error) = self.tables.apply(Operation::SetEntry(key, action)) {
            self.report(vec![error]);
        }
    }

    /// What the reflector says, if it is not what stands in the map.
    fn reflect(&mut self) {
        let discriminator = self.deciding.discriminator.get();
        let wanted = match self.deciding.machine.reflects() {
            Reflect::Up => abi::Reflector::up(discriminator, self.keeper.epoch()),
            Reflect::AdminDown => abi::Reflector::admin_down(discriminator),
        };
        if self.deciding.reflected == Some(wanted) {
            return;
        }
        match self.tables.set_reflector(wanted) {
            Ok(()) => self.deciding.reflected = Some(wanted),
            Err(error) => self.report(vec![error]),
        }
    }

    /// Probes whom the machine wants watched, and this node's neighbours by name.
    fn watch_nodes(&mut self) {
        if !std::mem::take(&mut self.deciding.watch_again) {
            return;
        }
        let mut rates: BTreeMap<Whom, Duration> = BTreeMap::new();
        for segment in self.seen.topology.segment_ids() {
            let is_down = |name: &str| {
                self.deciding.readings.get(&(segment, name.to_owned())).is_some_and(|is| *is == Reading::Down)
            };
            let neighbours = peers::neighbours(&self.args.node, &self.deciding.peers, segment, NEIGHBOURS, is_down);
            let neighbours = neighbours.into_iter();
            rates.extend(neighbours.map(|peer| ((segment, peer.name.clone()), SLOW)));
        }
        let wanted = self.deciding.rates.iter().map(|(whom, rate)| {
            (whom.clone(), if *rate == Rate::Full { self.args.probe_interval.get() } else { SLOW })
        });
        rates.extend(wanted);
        let target = |(whom, interval): (Whom, Duration)| {
            let peer = self.deciding.peers.iter().find(|peer| peer.name == whom.1)?;
            let path = *peer.paths.get(&whom.0)?;
            let device = self.seen.observed.get(&path.ifindex)?.link.name.clone();
            let multiplier = NonZeroU8::new(self.args.probe_multiplier).unwrap_or(initiator::Config::MULTIPLIER);
            let target = liveness::Target { path, device, remote: peer.discriminator?, interval, multiplier };
            Some((whom, target))
        };
        let wanted = rates.into_iter().filter_map(target).collect();
        self.deciding.liveness.watch(wanted);
    }

    fn target(&self, key: EntryKey) -> Option<Target> {
        let station = answering(&self.seen.topology, key.segment)?;
        Some(Target { ifindex: station.index, address: key.address })
    }

    fn stop_announcing(&mut self, key: EntryKey) {
        if let Some(target) = self.target(key) {
            self.schedule.stop(target);
        }
    }

    pub(super) fn announce_once(&mut self, key: EntryKey) {
        if let Some(target) = self.target(key) {
            self.send_copies(&[target]);
        }
    }

    fn probe(&mut self, key: EntryKey, to: Option<Mac>) {
        let Some(station) = answering(&self.seen.topology, key.segment).filter(|station| station.running) else {
            return;
        };
        // What cannot be sent is a question that nobody answers; the next one follows.
        if let Err(error) = self.announcer.probe(station, to, key.address) {
            tracing::debug!(address = %key.address, interface = station.name, %error, "ask who has an address");
        }
    }

    /// Sends copies together, and notes the claims where simultaneous ones are judged.
    pub(in crate::owner) fn send_copies(&mut self, targets: &[Target]) {
        for some in targets.chunks(TOGETHER) {
            let mut round = Round::default();
            some.iter().for_each(|target| self.prepare(*target, &mut round));
            let (sent, error) = self.announcer.send(&round.batch);
            let now = clock::monotonic();
            for (target, key, end) in round.copies {
                if end <= sent {
                    self.seen.counters.announcements += 1;
                    self.deciding.stopwatch.announced(now, key);
                    self.deciding.machine.announced(now, key);
                    continue;
                }
                self.seen.counters.announcement_errors += 1;
                if error.as_ref().is_some_and(is_full) && self.deciding.machine.claims(key) {
                    // Others do not know yet, and repeats have to wait for all first copies.
                    self.schedule.start(target);
                }
            }
            // Repeats make up for a full queue; a link that went down is in the next event.
            if let Some(error) = error {
                tracing::debug!(%error, "announce");
            }
            self.given_away(&round.yielded);
        }
    }

    /// Adds the frames of one copy, unless it must not be sent.
    fn prepare(&mut self, target: Target, round: &mut Round) {
        let stations = &self.seen.topology.stations;
        let Some(station) = stations.iter().find(|station| station.index == target.ifindex) else { return };
        if !station.running {
            return;
        }
        let key = EntryKey { segment: station.segment, address: target.address };
        if !self.keeper.is_held() || !self.tables.answers(key) {
            // What is not answered must not be announced: an event may ask for it that came before the address was lost.
            return self.schedule.stop(target);
        }
        match self.tables.has_yielded(key) {
            Ok(false) => {}
            // To announce what another node has taken would take it back.
            Ok(true) => {
                self.schedule.stop(target);
                return round.yielded.push(key);
            }
            Err(error) => return self.report(vec![error]),
        }
        // Before it is sent: what crosses it is judged by the entry.
        if self.deciding.machine.claims(key)
            && let Err(error) = self.tables.claimed(key, self.deciding.machine.is_firm(key))
        {
            return self.report(vec![error]);
        }
        round.batch.announce(station, target.address);
        round.copies.push((target, key, round.batch.len()));
    }

    /// The claims of others may be waiting to be read, and say who it was; if one was lost, the map alone says that there
    /// was one.
    fn given_away(&mut self, yielded: &[EntryKey]) {
        if yielded.is_empty() {
            return;
        }
        let now = clock::monotonic();
        while let Some(event) = self.told.take() {
            self.sighted(now, &event);
        }
        self.tell_yields(now, yielded);
    }

    /// Says "take it from me" and goes on answering until others have taken what this node holds, or until nobody will.
    pub(in crate::owner) async fn drain(&mut self) {
        let end = clock::monotonic() + DRAIN;
        self.deciding.draining = true;
        self.schedule.retain(|_| false);
        let errors = self.tables.waive_claims();
        self.report(errors);
        loop {
            self.pass().await;
            let someone = self.deciding.readings.values().any(|reading| *reading == Reading::Up);
            if self.deciding.machine.held() == 0 || !someone || clock::monotonic() > end {
                return;
            }
            tokio::time::sleep(DRAIN_PASS).await;
        }
    }
}

/// Whether what could not be sent may be sent a moment later (packet(7), `man 2 send`).
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}
