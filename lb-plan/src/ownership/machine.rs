//! The machine: its parts, and the order in which what is due is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Why,
    act::Context,
    judge,
    output::{Counters, Output, Reflect, Status, WhyNot},
    own::Stage,
    place::{Place, State},
    rules::Rules,
    table::Happened,
    timers::{Timer, Timers},
    timing::Timing,
    world::{ME, NodeIx, PlaceIx, World},
};
use crate::agent::{EntryKey, SegmentId};

/// Who holds which address, as one node decides it. [`crate::ownership`] says how it is driven.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) world: World,
    pub(super) places: Places,
    pub(super) timers: Timers,
    /// What has to be judged anew.
    pub(super) dirty: BTreeSet<PlaceIx>,
    pub(super) out: Vec<Output>,
    pub(super) counters: Counters,
    /// The highest generation so far.
    pub(super) generation: u32,
    /// Silent nodes to ask.
    pub(super) ask: BTreeSet<(SegmentId, NodeIx)>,
    /// Peers whose rate may have changed.
    pub(super) rates: BTreeSet<(SegmentId, NodeIx)>,
    /// Answer entries of an earlier agent, not yet claimed by an address.
    pub(super) standing: BTreeMap<EntryKey, u32>,
    told: Option<Reflect>,
}

/// The places by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    by_key: BTreeMap<EntryKey, PlaceIx>,
    all: Vec<Option<Place>>,
    free: Vec<PlaceIx>,
}

impl Machine {
    /// The machine of the node `name`. It holds nothing before it was told of its lease, health, links and addresses.
    pub fn new(name: &str, timing: Timing) -> Self {
        Self::with_rules(name, timing, Rules::default())
    }

    pub(super) fn with_rules(name: &str, timing: Timing, rules: Rules) -> Self {
        Self {
            world: World::new(name, timing, rules),
            places: Places::default(),
            timers: Timers::default(),
            dirty: BTreeSet::new(),
            out: Vec::new(),
            counters: Counters::default(),
            generation: 0,
            ask: BTreeSet::new(),
            rates: BTreeSet::new(),
            standing: BTreeMap::new(),
            told: None,
        }
    }

    /// Does all that is due at `now`, and hands out what has to be done, in this order. `now` never goes backwards.
    pub fn poll(&mut self, now: Duration) -> Vec<Output> {
        if self.timers.next().is_some_and(|due| now > due + self.world.timing.late) {
            self.verify_all(now);
        }
        self.update_own(now);
        loop {
            if let Some(timer) = self.timers.pop(now) {
                self.due(now, timer);
            } else if let Some(ix) = self.dirty.pop_first() {
                self.visit(now, ix);
            } else if let Some((segment, node)) = self.ask.pop_first() {
                self.begin_to_ask(now, segment, node);
            } else {
                break;
            }
        }
        self.tell_rates();
        std::mem::take(&mut self.out)
    }

    /// When [`Self::poll`] has something to do, if no input comes before.
    pub fn next(&self) -> Option<Duration> {
        let waits = !self.dirty.is_empty() || !self.out.is_empty() || !self.rates.is_empty();
        if waits { Some(Duration::ZERO) } else { self.timers.next() }
    }

    /// What the table has to say of an entry: the generation with which it answers, or `None` for suppress.
    pub fn answer(&self, key: EntryKey) -> Option<u32> {
        Some(self.places.get(key)?.hold()?.generation)
    }

    /// All entries that the machine knows, in order: those with a generation answer, the rest are suppressed.
    pub fn entries(&self) -> impl Iterator<Item = (EntryKey, Option<u32>)> {
        self.places.iter().map(|(_, place)| (place.key, place.hold().map(|hold| hold.generation)))
    }

    /// Who holds an address, and why this node does or does not.
    pub fn status(&self, key: EntryKey) -> Option<Status<'_>> {
        let place = self.places.get(key)?;
        let (holder, holding) = match &place.state {
            State::Hold(hold) => (Some(ME), Ok(hold.why)),
            State::Rest { why } => (place.holder.map(|seen| seen.node), Err(*why)),
            State::Look { .. } => (place.holder.map(|seen| seen.node), Err(WhyNot::Looking)),
        };
        Some(Status { holder: holder.map(|node| self.world.name(node)), holding, since: place.since })
    }

    /// How many entries this node answers.
    pub fn held(&self) -> usize {
        self.places.iter().filter(|(_, place)| place.hold().is_some()).count()
    }

    /// How many entries this node does not hold, by the reason.
    pub fn waits(&self) -> BTreeMap<WhyNot, usize> {
        let mut waits = BTreeMap::new();
        for (_, place) in self.places.iter() {
            let why = match &place.state {
                State::Hold(_) => continue,
                State::Rest { why } => *why,
                State::Look { .. } => WhyNot::Looking,
            };
            *waits.entry(why).or_default() += 1;
        }
        waits
    }

    /// What the reflector has to say.
    pub fn reflects(&self) -> Reflect {
        self.world.own.reflects()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Judges everything anew.
    pub(super) fn all_dirty(&mut self) {
        self.dirty.extend(self.places.iter().map(|(ix, _)| ix));
    }

    /// Lends a place and everything else to `work`, and sets its timer by what it left.
    pub(super) fn with_place<T>(
        &mut self,
        now: Duration,
        ix: PlaceIx,
        work: impl FnOnce(&mut Context<'_>, &mut Place) -> T,
    ) -> Option<T> {
        let mut place = self.places.take(ix)?;
        let mut context = Context {
            now,
            ix,
            world: &mut self.world,
            out: &mut self.out,
            counters: &mut self.counters,
            generation: &mut self.generation,
            ask: &mut self.ask,
            rates: &mut self.rates,
        };
        let result = work(&mut context, &mut place);
        self.timers.set(Timer::Place(ix), place.next());
        self.places.put(ix, place);
        Some(result)
    }

    /// Judges a place, and does what is due there.
    pub(super) fn visit(&mut self, now: Duration, ix: PlaceIx) {
        self.dirty.remove(&ix);
        self.with_place(now, ix, |context, place| {
            context.step(place, Happened::Facts);
            context.look(place);
            context.keep(place);
            context.audit(place);
        });
    }

    fn due(&mut self, now: Duration, timer: Timer) {
        match timer {
            Timer::Own => self.update_own(now),
            Timer::Peer(segment, node) => self.peer_due(now, segment, node),
            Timer::Place(ix) => self.visit(now, ix),
        }
    }

    pub(super) fn update_own(&mut self, now: Duration) {
        if self.world.own.update(now, &self.world.timing, self.world.rules) {
            self.all_dirty();
        }
        if self.world.own.stage() == Stage::LeaseLost {
            // At once: by the next poll there may be a lease again, in which nothing of this stands.
            while let Some(ix) = self.dirty.pop_first() {
                self.visit(now, ix);
            }
        }
        let reflects = self.world.own.reflects();
        if self.told.replace(reflects) != Some(reflects) {
            self.out.push(Output::Reflect(reflects));
        }
        self.timers.set(Timer::Own, self.world.own.next(now, &self.world.timing));
    }

    /// Asks for every address that is held whether somebody else answers for it (rule 6).
    pub(super) fn verify_all(&mut self, now: Duration) {
        let held: Vec<PlaceIx> =
            self.places.iter().filter(|(_, place)| place.hold().is_some()).map(|(ix, _)| ix).collect();
        for ix in held {
            self.with_place(now, ix, |context, place| context.verify_soon(place));
        }
    }

    fn tell_rates(&mut self) {
        while let Some((segment, node)) = self.rates.pop_first() {
            let name = self.world.name(node).to_owned();
            let Some(peer) = self.world.peer_mut(segment, node) else { continue };
            let rate = peer.rate();
            if std::mem::replace(&mut peer.told, rate) != rate {
                self.out.push(Output::Watch { segment, node: name, rate });
            }
        }
    }

    /// The addresses that `node` is asked for: those it is believed to hold, before any other.
    pub(super) fn addresses_of(&self, segment: SegmentId, node: NodeIx) -> Vec<EntryKey> {
        let most = self.world.timing.ask_addresses;
        let places = || {
            let peer = self.world.segment(segment).and_then(|segment| segment.peers.get(&node));
            peer.into_iter().flat_map(|peer| &peer.places).filter_map(|ix| self.places.at(*ix))
        };
        let held = |place: &&Place| judge::believed_holder(&self.world, place) == Some(node);
        let mut keys: Vec<EntryKey> = places().filter(held).map(|place| place.key).take(most).collect();
        if keys.is_empty() {
            keys.extend(places().map(|place| place.key).take(most));
        }
        keys
    }
}

impl Places {
    pub(super) fn find(&self, key: EntryKey) -> Option<PlaceIx> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn get(&self, key: EntryKey) -> Option<&Place> {
        self.at(self.find(key)?)
    }

    pub(super) fn at(&self, ix: PlaceIx) -> Option<&Place> {
        self.all.get(ix as usize)?.as_ref()
    }

    /// In the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PlaceIx, &Place)> {
        self.by_key.values().filter_map(|ix| Some((*ix, self.at(*ix)?)))
    }

    pub(super) fn add(&mut self, place: Place) -> PlaceIx {
        let key = place.key;
        let ix = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            PlaceIx::try_from(self.all.len() - 1).unwrap_or(PlaceIx::MAX)
        });
        self.by_key.insert(key, ix);
        self.put(ix, place);
        ix
    }

    pub(super) fn remove(&mut self, ix: PlaceIx) -> Option<Place> {
        let place = self.take(ix)?;
        self.by_key.remove(&place.key);
        self.free.push(ix);
        Some(place)
    }

    fn take(&mut self, ix: PlaceIx) -> Option<Place> {
        self.all.get_mut(ix as usize)?.take()
    }

    fn put(&mut self, ix: PlaceIx, place: Place) {
        if let Some(slot) = self.all.get_mut(ix as usize) {
            *slot = Some(place);
        }
    }
}

/// What an entry of an earlier agent is held for.
pub(super) const TAKEN_UP: Why = Why::TakenUp;
