//! Drives the ownership machine: everything this node knows goes in, and what it asks for is done.
//!
//! [`lb_plan::ownership`] says in which order. Nothing here decides who holds an address.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use lb_api::{LoadBalancerNode, VirtualIP};
use lb_bfd::initiator::Reading;
use lb_common::abi;
use lb_plan::{
    agent::{
        self, Action, EntryKey, Link, Mac, Peer, SegmentId, Segments, Strangers, Table as _, peers,
        peers::Acquaintances, plan::answering, stopwatch::Stopwatch,
    },
    ownership::{self, Health, Input, Machine, Rate, Says, SelfTest, Sighting, Timing},
};
use lb_store::{Key, Listing, Reflector};

mod act;
mod timed;

use super::{Links, Owner, listening::Listening, rounds::Rounds};
use crate::{
    clock,
    liveness::{Liveness, Readings, Whom},
    net::received,
    proxy,
    xdp::{
        events::{Event, Kind, Reaction},
        tables::Look,
    },
};

/// A peer that hears us says so with every probe; this long ago still counts.
const HEARD: Duration = Duration::from_secs(2);
/// How often a node is probed that no address depends on.
const SLOW: Duration = Duration::from_millis(300);
/// How many of the nodes that follow by name are watched on each segment whatever the addresses say: so each node has
/// somebody who tells it that its programs answer (rule 10).
const NEIGHBOURS: usize = 2;
/// How long a node waits, before it holds anything, for others to see what it has published.
const KNOWN: Duration = Duration::from_millis(300);
/// How long after the start a node that never answered counts as alive all the same.
const COLD: Duration = Duration::from_secs(10);
/// How long it waits at most to be able to publish anything, and for a peer to say that it hears this node.
const UNKNOWN: Duration = Duration::from_secs(10);

/// The machine, and what is needed to feed and to obey it.
pub(super) struct Deciding {
    pub(super) machine: Machine,
    pub(super) nodes: Reflector<LoadBalancerNode>,
    pub(super) liveness: Liveness,
    listed: Option<Arc<Listing<LoadBalancerNode>>>,
    acquaintances: Acquaintances,
    pub(super) peers: Vec<Peer>,
    readings: Readings,
    /// What the machine wants watched.
    rates: BTreeMap<Whom, Rate>,
    watch_again: bool,
    /// What stands in the map.
    reflected: Option<abi::Reflector>,
    discriminator: NonZeroU32,
    pub(super) listening: Listening,
    /// When the map is read for what gave way.
    pub(super) rounds: Rounds,
    health: Health,
    known_at: Known,
    /// Since when peers live and none says that it hears this node.
    pending_since: Option<Duration>,
    /// What is held has changed since it was shown.
    pub(super) changed: bool,
    pub(super) strangers: Strangers,
    pub(super) stopwatch: Stopwatch,
    pub(super) proxy: proxy::Watch,
    draining: bool,
    /// The segments on which this node has no on-link address.
    pub(super) blind: BTreeSet<SegmentId>,
    began: Duration,
    /// Others may have started with this node, and be slower.
    cold: bool,
}

/// Since when this node's LoadBalancerNode is listed.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// It is not; the node goes on without from then on.
    NotBefore(Duration),
    /// It is, and others have had time to see it by then.
    At(Duration),
}

impl Deciding {
    pub(super) fn new(node: &str, nodes: Reflector<LoadBalancerNode>, port: &proxy::Port) -> std::io::Result<Self> {
        Ok(Self {
            machine: Machine::new(node, Timing::default()),
            nodes,
            liveness: Liveness::start()?,
            listed: None,
            acquaintances: Acquaintances::default(),
            peers: Vec::new(),
            readings: Readings::new(),
            rates: BTreeMap::new(),
            watch_again: false,
            reflected: None,
            discriminator: peers::discriminator(node),
            listening: Listening::default(),
            rounds: Rounds::default(),
            health: Health::default(),
            known_at: Known::NotBefore(clock::monotonic() + UNKNOWN),
            pending_since: None,
            changed: false,
            strangers: Strangers::default(),
            stopwatch: Stopwatch::default(),
            proxy: proxy::Watch::start(port),
            draining: false,
            blind: BTreeSet::new(),
            began: clock::monotonic(),
            cold: true,
        })
    }

    /// What is known of other nodes; the value that is shown, if it is the same.
    pub(super) fn shown_readings(&self, shown: &Arc<Readings>) -> Arc<Readings> {
        if **shown == self.readings { Arc::clone(shown) } else { Arc::new(self.readings.clone()) }
    }

    /// Whether the other nodes have been listed.
    pub(super) fn has_met(&self) -> bool {
        self.listed.is_some()
    }

    /// The hardware address by which the machine knows the station that has this one.
    fn canonical(&self, segment: SegmentId, mac: Mac) -> Mac {
        let of = |peer: &&Peer| peer.macs.contains(&(segment, mac));
        let first = |peer: &Peer| peer.macs.iter().find(|(on, _)| *on == segment).map(|(_, mac)| *mac);
        self.peers.iter().find(of).and_then(first).unwrap_or(mac)
    }
}

impl Owner {
    /// What an earlier agent answers in a lease that never ended is held on. Once, before the first addresses.
    pub(super) fn take_up(&mut self, now: Duration) {
        self.deciding.machine.handle(now, Input::Lease(self.keeper.is_held()));
        if !self.keeper.is_held() {
            return;
        }
        let given_away = self.tables.yields(Look::ALL);
        // Of what cannot be read nobody knows who answers it: it is not held on, and the others are.
        let unread = given_away.failed.iter().map(|(key, _)| *key);
        let given_away: BTreeSet<EntryKey> = given_away.yielded.iter().copied().chain(unread).collect();
        let standing =
            self.tables.entries().filter(|(key, action)| *action == Action::Answer && !given_away.contains(key));
        for (key, _) in standing {
            // Generations are counted by the tables; the machine's own begin anew with each process.
            self.deciding.machine.take_up(now, key, 1);
        }
    }

    /// The facts that have changed since the last pass, apart from addresses and links.
    pub(super) fn learn(&mut self, now: Duration, links: Links) {
        while let Some(event) = self.told.take() {
            self.sighted(now, &event);
        }
        self.audit_events(now);
        self.meet(now, links);
        self.node_stations();
        let readings = self.deciding.liveness.readings();
        for ((segment, node), reading) in &readings {
            let input = Input::Session { segment: *segment, node, reading: reading_of(*reading) };
            self.deciding.machine.handle(now, input);
        }
        // A session that ended says nothing any more.
        for (segment, node) in self.deciding.readings.keys().filter(|whom| !readings.contains_key(*whom)) {
            let reading = ownership::Reading::Unknown { in_grace: true };
            self.deciding.machine.handle(now, Input::Session { segment: *segment, node, reading });
        }
        self.time(now, &readings);
        self.deciding.watch_again |= readings != self.deciding.readings;
        self.deciding.readings = readings;
        self.listen(now);
        let health = self.health(now);
        if health.self_test != self.deciding.health.self_test {
            tracing::info!(self_test = ?health.self_test, "the programs of this node, as its peers hear them");
        }
        self.deciding.health = health;
        self.deciding.machine.handle(now, Input::Health(health));
        self.deciding.machine.handle(now, Input::Drain(self.deciding.draining));
        self.deciding.machine.handle(now, Input::Lease(self.keeper.is_held()));
    }

    /// The other nodes, where they or our links have changed.
    fn meet(&mut self, now: Duration, links: Links) {
        let listing = self.deciding.nodes.current();
        let same = self.deciding.listed.as_ref().is_some_and(|listed| Arc::ptr_eq(listed, &listing));
        let warmed = self.deciding.cold && now >= self.deciding.began + COLD;
        // Before all is listed nobody is known to be missing.
        let missing = self.deciding.acquaintances.has_missing();
        if !listing.synced || same && links != Links::Changed && !warmed && !missing {
            return;
        }
        let up = |name: &str| self.deciding.readings.iter().any(|((_, node), is)| node == name && *is == Reading::Up);
        let news = self.deciding.acquaintances.meet(now, listing.objects.values(), up);
        self.deciding.listed = Some(listing);
        if !news && links != Links::Changed && !warmed {
            return;
        }
        self.deciding.cold &= !warmed;
        let by_index: BTreeMap<u32, &Link> =
            self.seen.observed.iter().map(|(index, observed)| (*index, &observed.link)).collect();
        let nodes = self.deciding.acquaintances.nodes();
        let mut met = peers::peers(&self.args.node, &self.seen.topology, &by_index, nodes);
        let mut blind = peers::blind(&self.seen.topology, &by_index);
        peers::remember(&mut met, &self.deciding.peers, &blind);
        if met.is_empty() {
            // There is nobody to take from.
            blind.clear();
        }
        self.deciding.machine.set_blind(&blind);
        if blind != self.deciding.blind {
            tracing::warn!(segments = ?blind, "no on-link address on these: what is held there is kept, nothing is taken");
            self.deciding.blind = blind;
        }
        if met == self.deciding.peers && !warmed {
            return;
        }
        // The machine knows a station by one address; those of the others are turned into it.
        let macs: Vec<Vec<(SegmentId, Mac)>> = met.iter().map(first_macs).collect();
        let cold = self.deciding.cold;
        let nodes = met.iter().zip(&macs).map(|(peer, macs)| ownership::Node {
            name: &peer.name,
            ready: peer.counts_unseen(cold),
            macs,
        });
        self.deciding.machine.set_nodes(now, nodes);
        self.deciding.peers = met;
        self.deciding.watch_again = true;
    }

    /// Our stations, after a look at the links.
    pub(super) fn set_links(&mut self, now: Duration) {
        let topology = &self.seen.topology;
        let links = topology.segment_ids().into_iter().filter_map(|segment| {
            let station = answering(topology, segment)?;
            Some(ownership::Link { segment, mac: station.mac, running: station.running })
        });
        self.deciding.machine.set_links(now, links);
    }

    /// All addresses.
    pub(super) fn set_addresses(&mut self, now: Duration) {
        let listed = || self.seen.listing.iter().flat_map(|listing| listing.objects.values()).map(|object| &**object);
        let objects = || listed().chain(self.seen.leaving.objects());
        let segments = Segments::of(&self.seen.topology, objects());
        self.deciding.machine.set_addresses(now, agent::addresses(&segments, objects()));
    }

    /// Single addresses that have changed, ahead of all.
    pub(super) fn set_changed(&mut self, now: Duration, changed: &[Arc<VirtualIP>]) {
        let objects = || changed.iter().map(|object| &**object);
        let segments = Segments::of(&self.seen.topology, objects());
        for address in agent::addresses(&segments, objects()) {
            self.deciding.machine.set_address(now, address);
        }
    }

    /// Lets the machine hear whether anybody is there on each segment.
    fn listen(&mut self, now: Duration) {
        self.deciding.listening.answered(now, &self.deciding.readings);
        if now < self.deciding.listening.next() {
            return;
        }
        match received::frames() {
            Ok(frames) => {
                for segment in self.deciding.listening.read(now, frames, &self.seen.topology.stations) {
                    self.deciding.machine.handle(now, Input::Heard { segment });
                }
            }
            Err(error) => {
                self.deciding.listening.failed(now);
                self.report(vec![anyhow::Error::new(error).context("read how many frames interfaces received")]);
            }
        }
    }

    /// Whether this node may hold anything (rule 10). A peer that lives tells with its probes that our programs answer;
    /// one whose own agent is dead tells nobody anything.
    fn health(&mut self, now: Duration) -> Health {
        let readings = self.deciding.readings.values();
        let lives = readings.clone().any(|reading| matches!(reading, Reading::Up));
        let unknown = readings.clone().any(|reading| matches!(reading, Reading::Unknown { in_grace: true }));
        let segments = self.seen.topology.segment_ids();
        let mut heard = self.deciding.health.self_test == SelfTest::Passed && self.keeper.is_held();
        for segment in segments {
            match self.tables.heard(segment) {
                Ok(at) => heard |= at.is_some_and(|at| at > Duration::ZERO && at + HEARD > now),
                Err(error) => self.report(vec![error]),
            }
        }
        let self_test = match (heard, lives || unknown) {
            (true, _) => SelfTest::Passed,
            // Peers live, but it may be that none of them has a reason to probe this node: nobody must go unanswered for it.
            (false, true) if self.deciding.pending_since.is_some_and(|since| now > since + UNKNOWN) => SelfTest::Alone,
            (false, true) => SelfTest::Pending,
            (false, false) => SelfTest::Alone,
        };
        self.deciding.pending_since = match (heard, lives || unknown) {
            (false, true) => self.deciding.pending_since.or(Some(now)),
            (true, _) | (false, false) => None,
        };
        let others =
            self.deciding.acquaintances.nodes().filter(|node| node.metadata.name.as_ref() != Some(&self.args.node));
        let others = others.filter_map(|node| node.status.as_ref()?.proxy);
        let proxy = self.deciding.proxy.judge(now, others);
        Health { proxy, self_test, hold_down_until: self.known_at(now) }
    }

    /// From when on the others know this node: without its LoadBalancerNode they take it for a stranger, and it them.
    fn known_at(&mut self, now: Duration) -> Duration {
        let own = Key::cluster_scoped(self.args.node.clone());
        let published =
            self.deciding.listed.as_ref().and_then(|listing| listing.objects.get(&own)).is_some_and(|node| {
                let told = node.status.as_ref();
                told.is_some_and(|told| {
                    told.discriminator == self.deciding.discriminator.get() && !told.interfaces.is_empty()
                })
            });
        match (self.deciding.known_at, published) {
            (Known::At(at), _) => at,
            (Known::NotBefore(_), true) => {
                self.deciding.known_at = Known::At(now + KNOWN);
                now + KNOWN
            }
            (Known::NotBefore(limit), false) => limit,
        }
    }

    /// One event of the kernel program.
    pub(super) fn tell(&mut self, now: Duration, event: &Event) {
        let mac = self.deciding.canonical(event.key.segment, event.mac);
        let says = match event.kind {
            Kind::Claim => Says::Claim { yielded: self.yielded(event) },
            Kind::Sighting => Says::Answer,
            Kind::Stranger if event.is_announcement || event.to_us => Says::Answer,
            Kind::Stranger | Kind::Probe => return,
            Kind::Unanswered => return self.announce_once(event.key),
        };
        self.deciding.machine.handle(now, Input::Sighting(Sighting { key: event.key, mac, says, at: event.at }));
    }

    /// What the machine has to know of a claim: whether it was made against the answer that stands now. The tables count
    /// their own generations; to the machine an earlier one is 0, and the present one the highest.
    fn yielded(&self, event: &Event) -> Option<u32> {
        let present = self.tables.is_present(event.key, event.generation, event.epoch);
        match (present, event.reaction) {
            (false, _) => Some(0),
            (true, Reaction::Yielded) => Some(u32::MAX),
            (true, Reaction::None | Reaction::Kept) => None,
        }
    }

    /// The entries that gave way, as the map says.
    pub(super) fn tell_yields(&mut self, now: Duration, yields: &[EntryKey]) {
        for key in yields {
            self.deciding.machine.handle(now, Input::Yielded { key: *key, generation: u32::MAX });
        }
    }
}

fn first_macs(peer: &Peer) -> Vec<(SegmentId, Mac)> {
    let mut macs: Vec<(SegmentId, Mac)> = Vec::new();
    for (segment, mac) in &peer.macs {
        if !macs.iter().any(|(known, _)| known == segment) {
            macs.push((*segment, *mac));
        }
    }
    macs
}

fn reading_of(reading: Reading) -> ownership::Reading {
    match reading {
        Reading::Unknown { in_grace } => ownership::Reading::Unknown { in_grace },
        Reading::Up => ownership::Reading::Up,
        Reading::AdminDown => ownership::Reading::AdminDown,
        Reading::Down => ownership::Reading::Down,
    }
}
