//! What the rules say of an address right now: rules 1, 3, 8 and 10, and whether 2 has to be asked first.
//!
//! Pure: it looks at the world and at one place, and changes neither.

use std::time::Duration;

use super::{
    Why,
    input::{Conflict, Failback},
    output::WhyNot,
    own::Stage,
    place::Place,
    rules::Rule,
    world::{LinkState, ME, NodeIx, Standing, World},
};

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Not to be held, not for a moment (rule 8).
    LetGo { why: WhyNot, until: Option<Duration> },
    /// Not to be taken, before `until` at least. Who holds it goes on until somebody else claims it.
    Wait { why: WhyNot, until: Option<Duration> },
    /// Silent nodes have to be asked (rule 2).
    Ask,
    /// To be taken.
    Take { why: Why, look: bool },
}

/// What the nodes above are, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Above {
    /// One lives.
    Alive,
    /// None is known to live, but one has to be asked.
    Silent,
    /// They are gone, and this is the reason to take.
    Gone(Why),
}

impl Judgement {
    /// Whether this node stands by: it is ready to take, were the holder not there.
    pub(super) const fn stands_by(self) -> bool {
        match self {
            Self::LetGo { .. } => false,
            Self::Ask | Self::Take { .. } => true,
            Self::Wait { why, .. } => {
                matches!(
                    why,
                    WhyNot::NodeAbove | WhyNot::HoldDown | WhyNot::Failback | WhyNot::ColdStart | WhyNot::Capped
                )
            }
        }
    }
}

/// Judges one place.
pub(super) fn judge(world: &World, place: &Place, now: Duration) -> Judgement {
    if let Some((why, until)) = forbidden(world, place, now) {
        return Judgement::LetGo { why, until };
    }
    if let Some((why, until)) = not_ready(world, place, now) {
        return Judgement::Wait { why, until };
    }
    if let Some(until) = doubtful_until(world, place, now) {
        return Judgement::Wait { why: WhyNot::Doubtful, until: Some(until) };
    }
    match above(world, place) {
        Above::Alive => Judgement::Wait { why: WhyNot::NodeAbove, until: None },
        Above::Silent => Judgement::Ask,
        Above::Gone(why) => below(world, place, now, why),
    }
}

/// Rule 8: what must not be held at all.
fn forbidden(world: &World, place: &Place, now: Duration) -> Option<(WhyNot, Option<Duration>)> {
    let link = world.segment(place.key.segment).map_or(LinkState::Down, |segment| segment.link);
    let retreat = place.stranger.map(|stranger| stranger.retreat_until).filter(|until| now < *until);
    let why = match () {
        () if world.own.stage() == Stage::LeaseLost => return Some((WhyNot::LeaseLost, None)),
        () if !world.rules.has(Rule::LetGo) => return None,
        () if place.terms.released => WhyNot::Released,
        () if place.terms.ranking.is_empty() => WhyNot::NoNodes,
        () if link == LinkState::Down => WhyNot::LinkDown,
        () if place.terms.conflict == Conflict::Retreat && retreat.is_some() => {
            return Some((WhyNot::Stranger, retreat));
        }
        () => return None,
    };
    Some((why, None))
}

/// Rules 1 and 10: what has to be so before anything is taken.
fn not_ready(world: &World, place: &Place, now: Duration) -> Option<(WhyNot, Option<Duration>)> {
    let Some(rank) = place.rank(ME) else { return Some((WhyNot::NotRanked, None)) };
    if place.terms.released {
        return Some((WhyNot::Released, None));
    }
    let since = match world.own.stage() {
        Stage::LeaseLost => return Some((WhyNot::LeaseLost, None)),
        Stage::WarmingUp => return Some((WhyNot::WarmingUp, None)),
        Stage::Draining => return Some((WhyNot::Draining, None)),
        Stage::Ready { since } => since,
    };
    match world.segment(place.key.segment).map_or(LinkState::Down, |segment| segment.link) {
        LinkState::Down => return Some((WhyNot::LinkDown, None)),
        LinkState::Quiet { until } if now < until => return Some((WhyNot::LinkQuiet, Some(until))),
        LinkState::Quiet { .. } | LinkState::Usable => {}
    }
    if world.segment(place.key.segment).is_some_and(|segment| segment.blind) {
        return Some((WhyNot::Blind, None));
    }
    let begins = since + world.timing.cold_start * u32::try_from(rank).unwrap_or(u32::MAX);
    (now < begins).then_some((WhyNot::ColdStart, Some(begins)))
}

/// Who takes from the dead and hears from them is not heard itself, as it seems. What has moved often enough it leaves to
/// others for a while: it would take the address from them, and nobody would hear that it has it.
fn doubtful_until(world: &World, place: &Place, now: Duration) -> Option<Duration> {
    let timing = &world.timing;
    let until = place.moves.allowed_at(ME, timing.moves_most, timing);
    let peers = &world.segment(place.key.segment)?.peers;
    let doubted = |node: &NodeIx| {
        peers.get(node).is_some_and(|peer| peer.is_silent() && peer.doubt.is_recent(now, timing.remember() * 2))
    };
    (now < until && place.terms.ranking.iter().any(doubted)).then_some(until)
}

/// Rule 1: every node above has to be Down or AdminDown.
fn above(world: &World, place: &Place) -> Above {
    let mut found = Above::Gone(if place.above().is_empty() { Why::FirstRanked } else { Why::NobodyAbove });
    if !world.rules.has(Rule::Want) {
        return found;
    }
    for node in place.above() {
        found = match (world.standing(place.key.segment, *node), found) {
            (Standing::Alive | Standing::Deaf, _) => return Above::Alive,
            (Standing::Leaving, _) if !world.rules.has(Rule::TakeOver) => return Above::Alive,
            (Standing::Silent, _) | (_, Above::Silent) => Above::Silent,
            (Standing::Dead, _) => Above::Gone(Why::Silent),
            (Standing::Leaving, Above::Gone(Why::Silent)) | (Standing::Absent, _) => found,
            (Standing::Leaving, _) => Above::Gone(Why::AdminDown),
        };
    }
    found
}

/// Rule 3: nobody above; what a node below holds is taken at once, but for failback, hold-down and cap. These hold back
/// only what is taken from a node that lives and goes on: what nobody answers, or will not for long, never waits for them.
fn below(world: &World, place: &Place, now: Duration, why: Why) -> Judgement {
    let timing = &world.timing;
    let Some(holder) = place.holder_below(now, timing) else {
        // A node below that was heard long ago may hold it still: one that is told another ranking is not silent.
        let forgotten = place.holder.is_some_and(|seen| place.is_below_me(seen.node));
        let known = matches!(why, Why::Silent | Why::AdminDown) && !forgotten;
        if why == Why::AdminDown && now < place.hold_down.until {
            return Judgement::Wait { why: WhyNot::HoldDown, until: Some(place.hold_down.until) };
        }
        return Judgement::Take { why, look: !known };
    };
    if !world.rules.has(Rule::TakeOver) {
        return Judgement::Wait { why: WhyNot::Failback, until: Some(remembered_until(world, place)) };
    }
    let planned = place.promoted || place.rank(holder).is_none();
    match world.standing(place.key.segment, holder) {
        Standing::Silent => Judgement::Ask,
        // It would not hear the claim, and both would answer.
        Standing::Deaf => Judgement::Wait { why: WhyNot::Failback, until: Some(remembered_until(world, place)) },
        Standing::Dead => Judgement::Take { why: Why::Silent, look: false },
        Standing::Absent => Judgement::Take { why, look: false },
        Standing::Leaving => Judgement::Take { why: Why::AdminDown, look: false },
        Standing::Alive if planned => after_hold_down(world, place, now, Why::Promoted, timing.moves_most),
        Standing::Alive => match failback_at(place, now) {
            Some(at) if at <= now => after_hold_down(world, place, now, Why::Failback, timing.moves_failback),
            Some(at) => Judgement::Wait { why: WhyNot::Failback, until: Some(at.min(remembered_until(world, place))) },
            None => Judgement::Wait { why: WhyNot::Failback, until: Some(remembered_until(world, place)) },
        },
    }
}

/// When the holder below will have been forgotten, unless it is heard again.
fn remembered_until(world: &World, place: &Place) -> Duration {
    place.holder.map_or(Duration::ZERO, |seen| seen.at + world.timing.remember())
}

fn failback_at(place: &Place, now: Duration) -> Option<Duration> {
    match place.terms.failback {
        Failback::AtOnce => Some(now),
        Failback::After(wait) => Some(place.wanting.unwrap_or(now) + wait),
        Failback::Never => None,
    }
}

fn after_hold_down(world: &World, place: &Place, now: Duration, why: Why, most: usize) -> Judgement {
    if let Some(settled) = tie_until(world, place).filter(|settled| now < *settled) {
        return Judgement::Wait { why: WhyNot::Failback, until: Some(settled) };
    }
    if now < place.hold_down.until {
        let until = place.hold_down.until.min(remembered_until(world, place));
        return Judgement::Wait { why: WhyNot::HoldDown, until: Some(until) };
    }
    let free_at = place.moves.allowed_at(ME, most, &world.timing);
    if now < free_at {
        return Judgement::Wait { why: WhyNot::Capped, until: Some(free_at.min(remembered_until(world, place))) };
    }
    Judgement::Take { why, look: false }
}

/// A holder that has just claimed keeps what is claimed against it if its MAC is the lower one (rule 5): until then.
fn tie_until(world: &World, place: &Place) -> Option<Duration> {
    let (seen, segment) = (place.holder?, world.segment(place.key.segment)?);
    let theirs = segment.peers.get(&seen.node)?.mac?;
    (theirs < segment.mac).then_some(seen.at + world.timing.tie)
}

/// Which standby this node is, from 1: the living nodes above it that do not hold it come first (rule 7).
pub(super) fn standby(world: &World, place: &Place) -> u32 {
    let holder = believed_holder(world, place);
    let before = place.above().iter().filter(|node| Some(**node) != holder && lives(world, place, **node));
    1 + u32::try_from(before.count()).unwrap_or(u32::MAX)
}

fn lives(world: &World, place: &Place, node: NodeIx) -> bool {
    matches!(world.standing(place.key.segment, node), Standing::Alive | Standing::Deaf)
}

/// Whether a node that does not hear this one was heard to hold the address: it answers no question, and it lives.
pub(super) fn is_held_by_deaf(world: &World, place: &Place, now: Duration) -> bool {
    let seen = place.holder.filter(|seen| now < seen.at + world.timing.remember());
    seen.is_some_and(|seen| world.standing(place.key.segment, seen.node) == Standing::Deaf)
}

/// Who holds the address as far as this node knows: who was heard, or else the first that could.
pub(super) fn believed_holder(world: &World, place: &Place) -> Option<NodeIx> {
    let heard = place.holder.map(|seen| seen.node);
    let could = |node: &&NodeIx| {
        let standing = world.standing(place.key.segment, **node);
        **node != ME && matches!(standing, Standing::Alive | Standing::Deaf | Standing::Leaving | Standing::Silent)
    };
    heard.or_else(|| place.terms.ranking.iter().find(could).copied())
}

/// The silent nodes that this place has to ask.
pub(super) fn silent<'a>(world: &'a World, place: &'a Place) -> impl Iterator<Item = NodeIx> + 'a {
    let holder = place.holder.map(|seen| seen.node);
    let nodes = place.above().iter().copied().chain(holder.filter(|holder| !place.above().contains(holder)));
    nodes.filter(|node| world.standing(place.key.segment, *node) == Standing::Silent)
}
