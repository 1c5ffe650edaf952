//! What was heard: claims, answers and strangers on the segment, and the sessions of the other nodes.

use std::time::Duration;

use super::{
    act::Context,
    input::{Conflict, Input, Reading, Says, Sighting},
    machine::Machine,
    output::Output,
    own::Stage,
    place::{Place, State, Stranger},
    rules::Rule,
    table::Happened,
    timers::Timer,
    world::{LinkState, ME, NodeIx, PlaceIx, Standing, Verdict},
};
use crate::agent::{EntryKey, Mac, SegmentId};

/// A stranger that was retreated from is taken for gone when it was not heard for so many intervals.
const RETREAT: u32 = 6;

impl Machine {
    /// Takes one input. What follows from it is done by the next [`Self::poll`], but for giving way, which is decided here.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) {
        match input {
            Input::Sighting(sighting) => self.sighting(now, sighting),
            Input::Yielded { key, generation } => self.yielded(now, key, generation),
            Input::Session { segment, node, reading } => self.session(now, segment, node, reading),
            Input::Heard { segment } => self.heard(now, segment),
            Input::Health(health) => self.world.own.health = health,
            Input::Lease(held) => self.world.own.lease = held,
            Input::Drain(drain) => self.world.own.drain = drain,
            Input::Missed => self.missed(now),
            Input::Late => self.verify_all(now),
        }
        self.update_own(now);
    }

    /// A copy of the announcement of `key` has been sent. The first of a series is rule 5's "I claimed": with thousands
    /// of addresses it goes out later than it was asked for.
    pub fn announced(&mut self, now: Duration, key: EntryKey) {
        let Some(ix) = self.places.find(key) else { return };
        self.with_place(now, ix, |_, place| {
            if let Some(hold) = place.hold_mut().filter(|hold| !hold.claimed) {
                (hold.claimed_at, hold.claimed) = (now, true);
            }
        });
    }

    /// Whether the next announcement of `key` is a claim: of who takes, or says once more that it is its own. The others
    /// only keep caches fresh, and stand against nobody's claim.
    pub fn claims(&self, key: EntryKey) -> bool {
        self.places.get(key).and_then(Place::hold).is_some_and(|hold| !hold.claimed)
    }

    /// Whether the claim of `key` stands against every other for its moment, and not only against a higher MAC.
    pub fn is_firm(&self, key: EntryKey) -> bool {
        self.places.get(key).and_then(Place::hold).is_some_and(|hold| hold.firm)
    }

    /// What was asked for may have been answered: it is asked again, slowly.
    fn missed(&mut self, now: Duration) {
        let timing = self.world.timing;
        self.world.questions.be_careful(now, &timing);
        let asking: Vec<PlaceIx> = self.places.iter().filter(|(_, place)| place.asks()).map(|(ix, _)| ix).collect();
        for ix in asking {
            self.with_place(now, ix, |context, place| context.ask_anew(place));
        }
        for (_, segment) in self.world.segments_mut() {
            for peer in segment.peers.values_mut() {
                if let Verdict::Asking { asked, .. } = &mut peer.verdict {
                    *asked = 0;
                }
            }
        }
    }

    fn heard(&mut self, now: Duration, id: SegmentId) {
        let timing = self.world.timing;
        let Some(segment) = self.world.segment_mut(id) else { return };
        let was_deaf = segment.is_deaf(now, &timing);
        segment.heard_at = now;
        let quiet = matches!(segment.link, LinkState::Quiet { .. });
        if quiet {
            segment.link = LinkState::Usable;
        }
        if quiet || std::mem::take(&mut segment.cut_off) {
            self.segment_dirty(id);
        }
        if was_deaf {
            // Another may have taken meanwhile, and was not heard: ask before anything is announced.
            for ix in self.held_on(id) {
                self.with_place(now, ix, |context, place| context.verify_first(place));
            }
        }
    }

    pub(super) fn segment_dirty(&mut self, id: SegmentId) {
        self.dirty.extend(self.places.iter().filter(|(_, place)| place.key.segment == id).map(|(ix, _)| ix));
    }

    fn sighting(&mut self, now: Duration, sighting: Sighting) {
        let Some(segment) = self.world.segment(sighting.key.segment) else { return };
        if sighting.mac == segment.mac {
            return;
        }
        let node = segment.by_mac.get(&sighting.mac).copied();
        self.heard(now, sighting.key.segment);
        if let Some(node) = node {
            self.peer_heard(now, sighting.key.segment, node, matches!(sighting.says, Says::Claim { .. }));
        }
        let Some(ix) = self.places.find(sighting.key) else { return };
        self.with_place(now, ix, |context, place| match (node, sighting.says) {
            (Some(node), Says::Claim { yielded }) => {
                // What the program kept it judged when it came; what it gave away is judged now.
                let at = yielded.map_or(sighting.at, |_| now);
                context.claim(place, node, sighting.mac, yielded, at);
            }
            (Some(node), Says::Answer) => context.answer(place, node),
            (None, _) => context.stranger(place, sighting.mac),
        });
        self.dirty.insert(ix);
    }

    fn yielded(&mut self, now: Duration, key: EntryKey, generation: u32) {
        let Some(ix) = self.places.find(key) else { return };
        self.with_place(now, ix, |context, place| {
            if place.hold().is_some_and(|hold| hold.generation <= generation) {
                context.step(place, Happened::Yielded);
            }
        });
    }

    fn peer_heard(&mut self, now: Duration, id: SegmentId, node: NodeIx, by_itself: bool) {
        let timing = self.world.timing;
        let Some(peer) = self.world.peer_mut(id, node) else { return };
        let asked = matches!(peer.verdict, Verdict::Asking { .. });
        if peer.is_heard(now, by_itself, &timing) {
            self.dirty.extend(&peer.places);
            self.counters.silent_answered += u64::from(asked);
        }
        self.timers.set(Timer::Peer(id, node), peer.verdict.ends());
    }

    fn session(&mut self, now: Duration, id: SegmentId, name: &str, reading: Reading) {
        let Some(node) = self.world.find(name) else { return };
        let before = self.world.standing(id, node);
        let Some(segment) = self.world.segment_mut(id) else { return };
        let was = std::mem::replace(&mut segment.peer(node).reading, reading);
        if was == reading {
            return;
        }
        segment.peer(node).verdict = Verdict::Open;
        segment.up -= u32::from(was == Reading::Up);
        segment.up += u32::from(reading == Reading::Up);
        let first = segment.up == 1;
        self.timers.set(Timer::Peer(id, node), None);
        if matches!(reading, Reading::Up | Reading::AdminDown) {
            self.heard(now, id);
        }
        if before != self.world.standing(id, node) {
            self.peer_dirty(id, node);
        }
        match reading {
            Reading::Up => self.turned_up(now, id, node, first),
            Reading::Down => self.turned_silent(now, id, node),
            Reading::Unknown { .. } | Reading::AdminDown => {}
        }
    }

    /// Who is next may be silent because it is not heard here. Then it gets no answer either, and is about to take what this
    /// node holds: an announcement a moment after that tells it that this node lives.
    fn turned_silent(&mut self, now: Duration, id: SegmentId, node: NodeIx) {
        let soon = now + self.world.timing.verify;
        let Some(peer) = self.world.peer_mut(id, node) else { return };
        let places: Vec<PlaceIx> = peer.places.iter().copied().collect();
        for ix in places {
            self.with_place(now, ix, |context, place| {
                let next = place.next_below() == Some(node) && context.world.rules.has(Rule::Refresh);
                if let Some(hold) = place.hold_mut().filter(|_| next) {
                    hold.refresh_at = hold.refresh_at.min(soon);
                }
            });
        }
    }

    pub(super) fn peer_dirty(&mut self, id: SegmentId, node: NodeIx) {
        if let Some(peer) = self.world.peer_mut(id, node) {
            self.dirty.extend(&peer.places);
        }
    }

    /// Rule 6. A node above may hold the address as well: it is asked before anything is announced, because an
    /// announcement would take it away.
    fn turned_up(&mut self, now: Duration, id: SegmentId, node: NodeIx, first: bool) {
        let is_above = |place: &Place| place.above().contains(&node);
        let concerned = |place: &Place| place.key.segment == id && place.hold().is_some() && (first || is_above(place));
        let held: Vec<PlaceIx> = self.places.iter().filter(|(_, place)| concerned(place)).map(|(ix, _)| ix).collect();
        for ix in held {
            self.with_place(now, ix, |context, place| {
                if is_above(place) {
                    context.verify_soon(place);
                    context.make_way(place);
                }
                if first {
                    context.refresh_soon(place);
                }
            });
        }
    }

    /// Begins to ask a silent node (rule 2), unless it is being asked.
    pub(super) fn begin_to_ask(&mut self, now: Duration, id: SegmentId, node: NodeIx) {
        let Some(peer) = self.world.peer_mut(id, node) else { return };
        if peer.verdict == Verdict::Open {
            peer.verdict = Verdict::Asking { asked: 0, due: now };
            self.peer_due(now, id, node);
        }
    }

    pub(super) fn peer_due(&mut self, now: Duration, id: SegmentId, node: NodeIx) {
        let timing = self.world.timing;
        let Some(peer) = self.world.peer_mut(id, node) else { return };
        let mac = peer.mac;
        peer.verdict = match peer.verdict {
            Verdict::Asking { asked, due } if due <= now && asked < timing.ask_count => {
                Verdict::Asking { asked: asked + 1, due: now + timing.ask_every }
            }
            Verdict::Asking { due, .. } if due <= now => Verdict::Dead,
            Verdict::Answered { until } | Verdict::Speaks { until, .. } if until <= now => Verdict::Open,
            Verdict::Open
            | Verdict::Asking { .. }
            | Verdict::Answered { .. }
            | Verdict::Speaks { .. }
            | Verdict::Dead => return,
        };
        let verdict = peer.verdict;
        self.timers.set(Timer::Peer(id, node), verdict.ends());
        match verdict {
            Verdict::Asking { .. } => {
                let keys = self.addresses_of(id, node);
                self.counters.probes += keys.len() as u64;
                self.out.extend(keys.into_iter().map(|key| Output::Probe { key, to: mac }));
            }
            Verdict::Dead | Verdict::Open | Verdict::Answered { .. } | Verdict::Speaks { .. } => {
                self.counters.silent_dead += u64::from(verdict == Verdict::Dead);
                self.peer_dirty(id, node);
            }
        }
    }
}

impl Context<'_> {
    /// Rule 5: who hears, gives way.
    fn claim(&mut self, place: &mut Place, node: NodeIx, mac: Mac, yielded: Option<u32>, at: Duration) {
        let timing = self.world.timing;
        if !self.world.rules.has(Rule::Yield) {
            return;
        }
        let Some(hold) = place.hold() else {
            place.note_holder(self.now, node, &timing);
            if let Some(audit) = place.audit.as_mut().filter(|audit| audit.unanswered > 0) {
                audit.unanswered = 0;
                audit.due = self.now + timing.verify;
            }
            self.watch(place);
            return self.step(place, Happened::Claim { tie: false });
        };
        if yielded.is_some_and(|generation| generation < hold.generation) {
            return; // It came before this node took, and the other has heard that.
        }
        self.counters.claims_heard += 1;
        let mine = self.world.segment(place.key.segment).map(|segment| segment.mac);
        // Who drains or is not ranked has nothing to keep.
        let wants = matches!(self.world.own.stage(), Stage::Ready { .. }) && place.rank(ME).is_some();
        let recent = at < hold.claimed_at + timing.tie;
        // Of a claim that waits for its turn the other has not heard yet.
        let waits = !hold.claimed && at < hold.claimed_at + timing.turn;
        let firm = hold.firm && (recent || waits) && place.is_below_me(node);
        let tie = wants && (firm || recent && mine.is_some_and(|mine| mine < mac));
        if !tie {
            self.lose_to(place, node);
        }
        self.step(place, Happened::Claim { tie });
    }

    /// Notes to whom the address goes.
    fn lose_to(&mut self, place: &mut Place, node: NodeIx) {
        let timing = self.world.timing;
        place.note_holder(self.now, node, &timing);
        place.promoted = false;
        if self.is_mine(place, node) {
            place.hold_down.lose(self.now, &timing);
        }
    }

    /// Whether this node may take the address from that one (rule 3).
    fn is_mine(&self, place: &Place, node: NodeIx) -> bool {
        place.is_below_me(node) || self.world.standing(place.key.segment, node) == Standing::Leaving
    }

    fn answer(&mut self, place: &mut Place, node: NodeIx) {
        let timing = self.world.timing;
        let mine = self.is_mine(place, node) && self.world.rules.has(Rule::Contest);
        match place.hold() {
            Some(hold) => {
                self.counters.duplicates += 1;
                if !mine || hold.contested {
                    self.lose_to(place, node);
                }
            }
            None => {
                place.note_holder(self.now, node, &timing);
                self.answered(place);
                self.watch(place);
            }
        }
        self.step(place, Happened::Answer { mine });
    }

    /// Rule 9.
    fn stranger(&mut self, place: &mut Place, mac: Mac) {
        if !self.world.rules.has(Rule::Strangers) {
            return;
        }
        self.counters.strangers += 1;
        let interval = self.world.timing.stranger;
        let settled = self.world.timing.verify;
        // Two that take turns are announced against no more often than one.
        let before = place.stranger.map(|stranger| Stranger { mac, ..stranger });
        let mut stranger = before.unwrap_or(Stranger { mac, announced_at: None, retreat_until: Duration::ZERO });
        let persists = stranger.announced_at.is_some_and(|at| self.now >= at + settled && self.now < at + interval);
        let retreats = place.terms.conflict == Conflict::Retreat;
        let looking = matches!(place.state, State::Look { .. });
        let retreating = self.now < stranger.retreat_until;
        if retreats && (persists || looking || retreating) {
            stranger.retreat_until = self.now + interval * RETREAT;
        }
        if looking && stranger.announced_at.is_none_or(|at| self.now >= at + interval) {
            stranger.announced_at = Some(self.now);
            self.out.push(Output::Stranger { key: place.key, mac });
        }
        place.stranger = Some(stranger);
        if retreats {
            self.answered(place);
        }
        self.step(place, Happened::Stranger);
    }
}
