//! What is due at an address by time alone: the look before a take, refreshes and questions of a holder, audits.

use std::time::Duration;

use super::{
    act::Context,
    input::Failback,
    judge,
    output::{Copies, Output},
    place::{Place, State},
    questions::Purpose,
    rules::Rule,
    table::Happened,
    timing::Timing,
    world::{ME, Segment},
};
use crate::agent::Mac;

impl Context<'_> {
    /// Asks the segment for an address that is about to be taken.
    pub(super) fn look(&mut self, place: &mut Place) {
        let timing = self.world.timing;
        let State::Look { asked, due } = place.state else { return };
        if due > self.now {
            return;
        }
        if asked >= timing.look_count {
            return self.step(place, Happened::LookEnded);
        }
        if !self.has_turn(place, Purpose::Now) {
            return;
        }
        place.state = State::Look { asked: asked + 1, due: self.now + timing.look_every };
        self.probe(place, None);
    }

    /// Announces again, and asks whether somebody else answers (rule 6).
    pub(super) fn keep(&mut self, place: &mut Place) {
        let (now, patience) = (self.now, self.world.timing.audit_probe);
        let refresh_fast = self.world.timing.refresh_fast;
        let in_doubt = self.is_in_doubt(place);
        let heard = self.world.segment(place.key.segment).is_some_and(|segment| !segment.cut_off);
        let Some(hold) = place.hold_mut() else { return };
        if in_doubt {
            hold.refresh_at = hold.refresh_at.min(now + refresh_fast);
        }
        if heard && std::mem::take(&mut hold.unannounced) {
            // It may be held by now on the other side of what was cut.
            hold.verify_at = Some(now);
            hold.refresh_at = now + patience;
        }
        if hold.verify_at.is_some_and(|due| due <= now) {
            self.hush_if_deaf(place);
            self.verify(place, patience);
        }
        if place.hold().is_some_and(|hold| hold.refresh_at <= now) {
            self.refresh(place);
        }
    }

    /// Asks whether somebody else answers, or waits for its turn, and the announcement with it.
    fn verify(&mut self, place: &mut Place, patience: Duration) {
        let asks = self.has_turn(place, Purpose::Now);
        let turn = place.asks_at;
        let Some(hold) = place.hold_mut() else { return };
        if let Some(turn) = turn {
            hold.refresh_at = hold.refresh_at.max(turn + patience);
        }
        if asks {
            hold.verify_at = None;
            self.probe(place, None);
        }
    }

    /// Nobody at all was heard since the take: the silence may be this node's own. One announcement was due to the
    /// others; more would take the address from them again and again.
    fn hush_if_deaf(&mut self, place: &Place) {
        let recent = self.now < place.since + self.world.timing.verify * 2 && self.world.rules.has(Rule::Hush);
        let segment = self.world.segment(place.key.segment);
        if recent && segment.is_some_and(|segment| segment.up == 0 && segment.heard_at <= place.since) {
            self.out.push(Output::Hush { key: place.key });
        }
    }

    /// A node above takes the address back at once: copies that are still due would cross its claims, and be heard as one.
    pub(super) fn make_way(&mut self, place: &Place) {
        if place.terms.failback == Failback::AtOnce {
            self.out.push(Output::Hush { key: place.key });
        }
    }

    /// Whether another may come to hold it too: this node is not first, or who is next is silent and may live. That one
    /// would take the address, if it is only not heard, and learns of its error from this node's announcements alone.
    fn is_in_doubt(&self, place: &Place) -> bool {
        let unheard = |node| self.world.is_unheard(place.key.segment, node);
        place.rank(ME) != Some(0) || place.next_below().is_some_and(unheard)
    }

    fn refresh(&mut self, place: &mut Place) {
        let timing = self.world.timing;
        let period = if self.is_in_doubt(place) { timing.refresh_fast } else { timing.refresh_slow };
        let silent = |segment: &Segment| segment.cut_off || segment.is_deaf(self.now, &timing);
        let deaf = self.world.segment(place.key.segment).is_none_or(silent);
        let due = self.now + Timing::spread(period, self.ix);
        if let Some(hold) = place.hold_mut() {
            hold.refresh_at = due;
            hold.contested = false;
        }
        if (!deaf || !self.world.rules.has(Rule::Hush)) && self.world.rules.has(Rule::Refresh) {
            self.out.push(Output::Announce { key: place.key, copies: Copies::Refresh });
        }
    }

    /// Asks for its own address soon.
    pub(super) fn verify_soon(&mut self, place: &mut Place) {
        let due = self.now;
        let asks = self.world.rules.has(Rule::Refresh);
        if let (Some(hold), true) = (place.hold_mut(), asks) {
            hold.verify_at = Some(hold.verify_at.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// Asks for its own address soon, and announces nothing before.
    pub(super) fn verify_first(&mut self, place: &mut Place) {
        let patience = self.world.timing.audit_probe;
        self.verify_soon(place);
        if let Some(hold) = place.hold_mut()
            && let Some(verify_at) = hold.verify_at
        {
            hold.refresh_at = hold.refresh_at.max(verify_at + patience);
        }
    }

    /// Announces again soon; after an answer to the question that is due, if there is one.
    pub(super) fn refresh_soon(&mut self, place: &mut Place) {
        let patience = self.world.timing.audit_probe;
        let now = self.now;
        if let Some(hold) = place.hold_mut() {
            let due = hold.verify_at.map_or(now, |verify| verify + patience);
            hold.refresh_at = hold.refresh_at.min(due);
        }
    }

    /// Asks whether the address is answered, and takes it if it is not (rule 7).
    pub(super) fn audit(&mut self, place: &mut Place) {
        let timing = self.world.timing;
        let Some(audit) = place.audit.filter(|audit| audit.due <= self.now) else { return };
        if judge::is_held_by_deaf(self.world, place, self.now) {
            return self.answered(place);
        }
        if audit.unanswered >= timing.audit_count * judge::standby(self.world, place) {
            self.answered(place);
            return self.step(place, Happened::Silence);
        }
        // Who begins to doubt must not wait for those that do not.
        let purpose = if audit.unanswered == 0 { Purpose::Audit } else { Purpose::Now };
        if !self.has_turn(place, purpose) {
            return;
        }
        let to = judge::believed_holder(self.world, place).filter(|_| audit.unanswered == 0);
        let mac = to.and_then(|node| self.mac_of(place, node));
        self.counters.audits += u64::from(audit.unanswered == 0);
        self.probe(place, mac);
        if let Some(audit) = &mut place.audit {
            audit.unanswered += 1;
            audit.due = self.now + timing.audit_probe;
        }
    }

    /// Somebody answered: the audit ends, and the next one is a period away.
    pub(super) fn answered(&mut self, place: &mut Place) {
        let period = self.world.timing.audit_every * judge::standby(self.world, place);
        if let Some(audit) = &mut place.audit {
            audit.unanswered = 0;
            audit.due = self.now + Timing::spread(period, self.ix);
        }
    }

    /// Answers were missed: what has been asked for counts as not asked.
    pub(super) fn ask_anew(&mut self, place: &mut Place) {
        let (now, verify) = (self.now, self.now + self.world.timing.verify);
        if let State::Look { asked, due } = &mut place.state {
            (*asked, *due) = (0, now);
        }
        if let Some(audit) = place.audit.as_mut().filter(|audit| audit.unanswered > 0) {
            (audit.unanswered, audit.due) = (0, verify);
        }
        self.verify_soon(place);
    }

    /// Whether a question may be asked now; if not, it has been given its turn.
    fn has_turn(&mut self, place: &mut Place, purpose: Purpose) -> bool {
        let timing = self.world.timing;
        let turn = place.asks_at.take().unwrap_or_else(|| self.world.questions.turn(self.now, purpose, &timing));
        place.asks_at = (turn > self.now).then_some(turn);
        turn <= self.now
    }

    fn mac_of(&self, place: &Place, node: u16) -> Option<Mac> {
        self.world.segment(place.key.segment)?.peers.get(&node)?.mac
    }

    fn probe(&mut self, place: &Place, to: Option<Mac>) {
        self.counters.probes += 1;
        self.out.push(Output::Probe { key: place.key, to });
    }

    /// Announces the whole series again: this node's MAC is another.
    pub(super) fn announce_series(&mut self, place: &mut Place) {
        let now = self.now;
        if let Some(hold) = place.hold_mut() {
            (hold.claimed_at, hold.claimed) = (now, false);
            self.out.push(Output::Announce { key: place.key, copies: Copies::Series });
        }
    }
}
