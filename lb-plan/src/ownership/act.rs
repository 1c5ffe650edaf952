//! What a row of the transition table does: to the place, and to the list of outputs.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Why,
    judge::{self, Judgement},
    output::{Copies, Counters, Loss, Output, Rate, WhyNot},
    place::{Audit, Hold, Place, State},
    rules::Rule,
    table::{self, Happened, Turn},
    timing::Timing,
    world::{ME, NodeIx, PlaceIx, Verdict, World},
};
use crate::agent::SegmentId;

/// How many nodes above are watched at full rate.
const FULL_RATE: usize = 3;

/// What a step may change besides its place.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) now: Duration,
    pub(super) ix: PlaceIx,
    pub(super) world: &'a mut World,
    pub(super) out: &'a mut Vec<Output>,
    pub(super) counters: &'a mut Counters,
    /// The highest generation so far.
    pub(super) generation: &'a mut u32,
    /// Silent nodes to ask.
    pub(super) ask: &'a mut BTreeSet<(SegmentId, NodeIx)>,
    /// Peers whose rate may have changed.
    pub(super) rates: &'a mut BTreeSet<(SegmentId, NodeIx)>,
}

impl Context<'_> {
    /// Judges, looks up the table, and does what it says.
    pub(super) fn step(&mut self, place: &mut Place, happened: Happened) {
        let judgement = judge::judge(self.world, place, self.now);
        self.remember(place, judgement);
        match table::turn(&place.state, happened, judgement) {
            Turn::Stay => {}
            Turn::Rest(why) => self.rest(place, why),
            Turn::Ask => {
                self.ask.extend(judge::silent(self.world, place).map(|node| (place.key.segment, node)));
                self.rest(place, WhyNot::Asking);
            }
            Turn::Look => {
                self.change(place, State::Look { asked: 0, due: self.now });
            }
            Turn::Take(why) => self.take(place, why),
            Turn::Defend => self.defend(place),
            Turn::Contest => self.contest(place),
            Turn::Object => self.object(place),
            Turn::GiveUp(loss) => self.give_up(place, loss),
        }
    }

    /// Keeps what the next judgement depends on.
    fn remember(&mut self, place: &mut Place, judgement: Judgement) {
        place.wait_until = match judgement {
            Judgement::LetGo { until, .. } | Judgement::Wait { until, .. } => until,
            Judgement::Ask | Judgement::Take { .. } => None,
        };
        place.wanting = match judgement {
            Judgement::Wait { why: WhyNot::Failback, .. } => place.wanting.or(Some(self.now)),
            Judgement::Wait { why: WhyNot::HoldDown | WhyNot::Capped, .. } => place.wanting,
            Judgement::LetGo { .. } | Judgement::Wait { .. } | Judgement::Ask | Judgement::Take { .. } => None,
        };
        let stands_by = judgement.stands_by() && place.hold().is_none() && self.world.rules.has(Rule::Audit);
        if !stands_by {
            place.audit = None;
        } else if place.audit.is_none() {
            let period = self.world.timing.audit_every * judge::standby(self.world, place);
            place.audit = Some(Audit { due: self.now + Timing::spread(period, self.ix), unanswered: 0 });
        }
    }

    fn change(&mut self, place: &mut Place, state: State) {
        if place.state == state {
            return;
        }
        let held = place.hold().is_some();
        let was = std::mem::replace(&mut place.state, state);
        if held != place.hold().is_some() || matches!(was, State::Rest { why: WhyNot::New }) {
            place.since = self.now;
        }
        self.out.push(Output::Changed { key: place.key });
    }

    fn rest(&mut self, place: &mut Place, why: WhyNot) {
        self.change(place, State::Rest { why });
    }

    /// Rule 4: table first, then announce.
    fn take(&mut self, place: &mut Place, why: Why) {
        let timing = self.world.timing;
        let generation = self.next_generation();
        let segment = self.world.segment(place.key.segment);
        let cut_off = segment.is_none_or(|segment| segment.is_cut_off(self.now, &timing));
        let unannounced = cut_off && self.world.rules.has(Rule::Hush);
        let hold = Hold {
            why,
            from: place.holder.map(|seen| seen.node),
            generation,
            claimed_at: self.now,
            claimed: false,
            firm: matches!(why, Why::Failback | Why::Promoted),
            refresh_at: self.now + timing.refresh_fast,
            verify_at: Some(self.now + timing.verify).filter(|_| self.world.rules.has(Rule::Refresh)),
            contested: false,
            unannounced,
            defended_at: None,
        };
        if let (Some(segment), true) = (self.world.segment_mut(place.key.segment), unannounced) {
            segment.cut_off = true;
        }
        self.change(place, State::Hold(hold));
        if why == Why::NobodyAnswered
            && let Some(holder) = place.holder
        {
            // It was asked, if for this address alone.
            let peer = self.world.peer_mut(place.key.segment, holder.node).filter(|peer| peer.is_silent());
            if let Some(peer) = peer {
                peer.verdict = Verdict::Dead;
            }
        }
        place.holder = None;
        place.promoted = false;
        place.audit = None;
        place.moves.note(self.now, ME, &timing);
        self.watch(place);
        *self.counters.takes.entry(why).or_default() += 1;
        self.out.push(Output::Answer { key: place.key, generation });
        if self.world.rules.has(Rule::Announce) && !unannounced {
            self.out.push(Output::Announce { key: place.key, copies: Copies::Series });
        }
    }

    fn next_generation(&mut self) -> u32 {
        *self.generation = self.generation.saturating_add(1);
        *self.generation
    }

    /// Rule 5's exception: the program has yielded, so the answer needs a higher generation. The other gives way to the
    /// first announcement. If it does not hear, one more follows its last copy, and not one for each: a fabric counts
    /// them as moves.
    fn defend(&mut self, place: &mut Place) {
        let generation = self.next_generation();
        let (now, tie) = (self.now, self.world.timing.tie);
        self.counters.claims_withstood += 1;
        self.out.push(Output::Answer { key: place.key, generation });
        let Some(hold) = place.hold_mut() else { return };
        hold.generation = generation;
        let again = hold.defended_at.is_some_and(|at| now < at + tie);
        hold.defended_at = Some(now);
        if again {
            hold.refresh_at = now + tie;
        } else {
            self.announce(place);
        }
    }

    /// Announces once.
    pub(super) fn announce(&mut self, place: &mut Place) {
        if place.hold().is_some() {
            self.out.push(Output::Announce { key: place.key, copies: Copies::One });
        }
    }

    fn contest(&mut self, place: &mut Place) {
        self.announce(place);
        let (now, verify) = (self.now, self.now + self.world.timing.verify);
        if let Some(hold) = place.hold_mut() {
            (hold.claimed_at, hold.claimed, hold.firm) = (now, false, false);
            hold.contested = true;
            hold.verify_at = Some(verify);
        }
    }

    /// RFC 5227 §2.4: one announcement, and no more within the interval.
    fn object(&mut self, place: &mut Place) {
        let interval = self.world.timing.stranger;
        let Some(stranger) = &mut place.stranger else { return };
        if stranger.announced_at.is_some_and(|at| self.now < at + interval) {
            return;
        }
        stranger.announced_at = Some(self.now);
        self.out.push(Output::Stranger { key: place.key, mac: stranger.mac });
        self.announce(place);
    }

    fn give_up(&mut self, place: &mut Place, loss: Loss) {
        let why = match loss {
            Loss::LetGo(why) => why,
            Loss::Claimed | Loss::Answered | Loss::Yielded | Loss::Gone => WhyNot::HoldDown,
        };
        *self.counters.losses.entry(loss).or_default() += 1;
        self.out.push(Output::Suppress { key: place.key });
        self.rest(place, why);
        self.watch(place);
        // Why it is not held is judged anew; that who took it also answers is asked soon, and not after a period.
        let judgement = judge::judge(self.world, place, self.now);
        if let Judgement::LetGo { why, .. } | Judgement::Wait { why, .. } = judgement {
            place.state = State::Rest { why };
        }
        self.remember(place, judgement);
        if let Some(audit) = &mut place.audit {
            audit.due = self.now + self.world.timing.verify;
        }
    }

    /// Brings whom this place has watched in line: the holder and three above fully, the rest above slowly. A holder watches
    /// fully who is next, which may have to be told that it lives, and slowly who held it before, which may go on.
    pub(super) fn watch(&mut self, place: &mut Place) {
        let above = place.above();
        let nearest = above.len().saturating_sub(FULL_RATE);
        let holder = place.holder.map(|seen| seen.node).filter(|_| place.hold().is_none());
        let rate = |at: usize, node: NodeIx| {
            if at >= nearest || Some(node) == holder { Rate::Full } else { Rate::Slow }
        };
        let mut wanted: Vec<(NodeIx, Rate)> =
            above.iter().enumerate().map(|(at, node)| (*node, rate(at, *node))).collect();
        wanted.extend(holder.filter(|holder| !above.contains(holder)).map(|holder| (holder, Rate::Full)));
        if let Some(hold) = place.hold() {
            let below = place.next_below().filter(|_| self.world.rules.has(Rule::Refresh));
            let more = below.map(|node| (node, Rate::Full)).into_iter().chain(hold.from.map(|node| (node, Rate::Slow)));
            for (node, rate) in more {
                if node != ME && !wanted.iter().any(|(known, _)| *known == node) {
                    wanted.push((node, rate));
                }
            }
        }
        if wanted != place.watching {
            self.unwatch(place);
            self.count(place, &wanted, true);
            place.watching = wanted;
        }
    }

    /// Ends all watching for this place.
    pub(super) fn unwatch(&mut self, place: &mut Place) {
        let watching = std::mem::take(&mut place.watching);
        self.count(place, &watching, false);
    }

    fn count(&mut self, place: &Place, watching: &[(NodeIx, Rate)], more: bool) {
        let id = place.key.segment;
        for (node, rate) in watching {
            let peer = self.world.segment_or_new(id).peer(*node);
            let [slow, full] = &mut peer.wanted;
            let counter = match rate {
                Rate::Slow => slow,
                Rate::Full => full,
            };
            if more {
                *counter += 1;
                peer.places.insert(self.ix);
            } else {
                *counter = counter.saturating_sub(1);
                peer.places.remove(&self.ix);
            }
            self.rates.insert((id, *node));
        }
    }
}
