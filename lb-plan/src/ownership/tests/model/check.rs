//! What must always be so: one holder but for the bounds, and a holder whenever somebody can hold.
//!
//! Every moment between two events counts. A bound begins anew with each fault: nobody can be quicker than that.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    super::*,
    fault::Fault,
    segment::{BURST, LEASE, Model, name, timing},
};
use crate::ownership::world::Standing;

/// How long a clean take-over may last: a node or a link died, and the standby is healthy.
const CLEAN: Duration = Duration::from_millis(300);
/// How often an address is taken after a fault: there, back, and once more each if two had it.
const TAKES: usize = 6;
/// What is beyond the intervals: wires, turns, the length of a pass.
const SLACK: Duration = Duration::from_millis(500);

/// What has been so since when.
#[derive(Debug, Clone)]
pub(super) struct Check {
    addresses: Vec<Account>,
    pub(super) violation: Option<String>,
    /// Nothing is demanded before: the segment starts.
    from: Duration,
}

/// The account of one address.
#[derive(Debug, Clone, Default)]
struct Account {
    answers_since: Vec<Option<Duration>>,
    twice: BTreeMap<(usize, usize), Twice>,
    nobody_since: Vec<Option<Duration>>,
    not_moved_since: Vec<Option<Duration>>,
    cache: Option<Mac>,
    takes: Vec<Duration>,
    cache_bad_since: Option<Duration>,
    wrong_since: Vec<Option<Duration>>,
}

/// Two nodes that both answer.
#[derive(Debug, Clone, Copy)]
struct Twice {
    since: Duration,
    /// When one of them heard the other's claim.
    heard: Option<Duration>,
}

/// How long something has lasted, and how long it may, if it lasts longer.
type Late = Option<(Duration, Duration)>;

/// Counts on while `so`, and says since when.
fn count(since: &mut Option<Duration>, so: bool, now: Duration) -> Option<Duration> {
    *since = so.then(|| since.unwrap_or(now));
    *since
}

impl Check {
    pub(super) fn new(now: Duration, addresses: usize, nodes: usize) -> Self {
        let account = Account {
            answers_since: vec![None; nodes],
            nobody_since: vec![None; nodes],
            not_moved_since: vec![None; nodes],
            wrong_since: vec![None; nodes],
            ..Account::default()
        };
        Self { addresses: vec![account; addresses], violation: None, from: now }
    }

    pub(super) fn client_learns(&mut self, address: u8, mac: Mac) {
        if let Some(account) = self.addresses.get_mut(usize::from(address) - 1) {
            account.cache = Some(mac);
        }
    }

    /// Nothing changes until `until`: is that still within the bounds then?
    pub(super) fn account(model: &mut Model, until: Duration) {
        let mut check = std::mem::replace(&mut model.check, Self::new(Duration::ZERO, 0, 0));
        let from = model.changed_at.max(check.from);
        for (address, account) in (1..).zip(&mut check.addresses) {
            let late = |since: Option<Duration>, limit: Duration| {
                since.filter(|since| until > (*since).max(from) + limit).map(|since| (until - since.max(from), limit))
            };
            let found = account
                .two(model, address, late)
                .or_else(|| account.nobody(model, address, late))
                .or_else(|| account.not_moved(model, address, late))
                .or_else(|| account.stale_cache(model, address, late))
                .or_else(|| account.must_not(model, address, late));
            if let Some((what, (lasted, limit))) = found {
                check.violation.get_or_insert(format!("address {address}: {what} for {lasted:?}, at most {limit:?}"));
            }
            account.takes.retain(|at| *at > from);
            if account.takes.len() > TAKES {
                let takes = &account.takes;
                check.violation.get_or_insert(format!("address {address} is taken more than {TAKES} times: {takes:?}"));
            }
        }
        model.check = check;
    }

    /// A claim reaches a node.
    pub(super) fn hear(model: &mut Model, node: usize, address: u8, claimant: Mac) {
        let Some(other) = (0..model.setup.nodes).find(|other| mac(name(*other)) == claimant) else { return };
        let (now, pair) = (model.now, (node.min(other), node.max(other)));
        let account = &mut model.check.addresses[usize::from(address) - 1];
        if let Some(twice) = account.twice.get_mut(&pair) {
            twice.heard.get_or_insert(now);
        } else if model.kernels[node].answers(now, address) && model.kernels[other].answers(now, address) {
            account.twice.insert(pair, Twice { since: now, heard: Some(now) });
        }
    }

    /// A node has just taken: not from one that lives and answers, unless it may.
    pub(super) fn take(model: &mut Model, node: usize, address: u8, why: Why) {
        model.check.addresses[usize::from(address) - 1].takes.push(model.now);
        let warm_at = model.agents[node].as_ref().map_or(Duration::ZERO, |agent| agent.warm_at);
        if model.now < warm_at {
            model.check.violation = Some(format!("{} takes before it is ready", name(node)));
        }
        let settled = model.now > model.broken_at + ms(1_000);
        // A burst of loss is no death, unless it lasts as long as one.
        let reaches = |to: usize, from: usize| {
            let (lost_from, until) = model.loses[from];
            !model.cut.contains(&(from, to)) && (model.now >= until || model.now < lost_from + ms(190))
        };
        let forced = matches!(why, Why::Silent | Why::NobodyAnswered | Why::NobodyAbove | Why::FirstRanked);
        // What is below it it may take at any time (rule 3), whatever made it do so now.
        let ranking = model.rankings[node].get(usize::from(address) - 1).cloned().unwrap_or_default();
        let above = |other: usize| ranking.iter().take_while(|ranked| **ranked != node).any(|ranked| *ranked == other);
        let since = |other: usize| model.check.addresses[usize::from(address) - 1].answers_since[other];
        let victim = (0..model.setup.nodes).find(|other| {
            let steady = since(*other).is_some_and(|since| model.now > since + ms(50));
            let willing = model.kernels[*other].reflects(model.now) == Reflect::AdminDown;
            above(*other)
                && steady
                && !willing
                && model.answers(*other, address)
                && reaches(node, *other)
                && reaches(*other, node)
        });
        // Of two holders one may well have died.
        let sole = (0..model.setup.nodes).filter(|other| *other != node && model.answers(*other, address)).count() == 1;
        if let (Some(victim), true, true, true) = (victim, settled, forced, sole) {
            let text = format!("{} takes from {}, which lives and answers: {}", name(node), name(victim), why.word());
            model.check.violation = Some(text);
        }
    }
}

/// What is wrong: its name, how long, and how long it may be.
type Found = Option<(String, (Duration, Duration))>;

impl Account {
    /// "On one segment an address has one holder", but for the bounds.
    fn two(&mut self, model: &Model, address: u8, late: impl Fn(Option<Duration>, Duration) -> Late) -> Found {
        let reached = |node: &usize| model.answers(*node, address) && model.both_ways(*node, model.client());
        let answering: Vec<usize> = (0..model.setup.nodes).filter(reached).collect();
        for (node, since) in self.answers_since.iter_mut().enumerate() {
            count(since, model.answers(node, address), model.now);
        }
        let pairs = answering.iter().flat_map(|one| answering.iter().map(move |other| (*one, *other)));
        let pairs: BTreeSet<(usize, usize)> = pairs.filter(|(one, other)| one < other).collect();
        self.twice.retain(|pair, _| pairs.contains(pair));
        let mut found = None;
        for (one, other) in pairs {
            let twice = self.twice.entry((one, other)).or_insert(Twice { since: model.now, heard: None });
            let (limit, heard_limit) = overlap(model, one, other);
            let text = |more: &str| format!("{} and {} both answer{more}", name(one), name(other));
            let heard = || Some((text(", although the claim was heard"), late(twice.heard, heard_limit?)?));
            let unheard = || Some((text(""), late(Some(twice.since), limit?)?));
            found = found.or_else(heard).or_else(unheard);
        }
        found
    }

    /// "Somebody holds whenever somebody can."
    fn nobody(&mut self, model: &Model, address: u8, late: impl Fn(Option<Duration>, Duration) -> Late) -> Found {
        let timing = timing();
        let nodes = u32::try_from(model.setup.nodes).unwrap_or(u32::MAX);
        let deaths = |fault: &Fault| matches!(fault, Fault::Power(_) | Fault::Link(_));
        let only = |also: fn(&Fault) -> bool| model.faults.iter().all(|fault| deaths(fault) || also(fault));
        let whole = only(|fault| matches!(fault, Fault::Isolate(_))) || only(|fault| matches!(fault, Fault::Apart(..)));
        let clean =
            whole && model.changed_at > self.answers_since.iter().flatten().min().copied().unwrap_or_default() + SLACK;
        let general = (timing.audit_every + timing.verify) * nodes + SLACK + BURST;
        let limit = if clean { CLEAN } else { general };
        let mut found = None;
        for (node, since) in self.nobody_since.iter_mut().enumerate() {
            let alone = !(0..model.setup.nodes).any(|other| {
                // Who hears others and is heard to hold cannot be told from one that clients reach.
                let speaks =
                    model.hears(node, other) && (0..=model.client()).any(|who| who != other && model.hears(other, who));
                let is_there = other == node || speaks || model.both_ways(other, model.client());
                model.answers(other, address) && is_there
            });
            let since = count(since, alone && can_hold(model, node, address), model.now);
            let text = || format!("nobody answers, although {} can", name(node));
            found = found.or_else(|| Some((text(), late(since, limit)?)));
        }
        found
    }

    /// Planned moves are made: who stands above a living holder, or sees it leave, takes.
    fn not_moved(&mut self, model: &Model, address: u8, late: impl Fn(Option<Duration>, Duration) -> Late) -> Found {
        let mut found = None;
        for (node, since) in self.not_moved_since.iter_mut().enumerate() {
            let holder = (0..model.setup.nodes)
                .find(|other| *other != node && model.answers(*other, address) && model.both_ways(node, *other));
            let so = holder.is_some_and(|holder| {
                can_hold(model, node, address)
                    && !model.answers(node, address)
                    && ought_to_take(model, node, holder, address)
            });
            let since = count(since, so, model.now);
            let text = || format!("{} does not take over", name(node));
            found = found.or_else(|| Some((text(), late(since, SLACK * 2)?)));
        }
        found
    }

    /// A client that is told nothing goes on sending to who is gone (rule 4).
    fn stale_cache(&mut self, model: &Model, address: u8, late: impl Fn(Option<Duration>, Duration) -> Late) -> Found {
        let client = model.client();
        let reachable = |node: usize| model.both_ways(client, node);
        let holder = (0..model.setup.nodes).find(|node| model.answers(*node, address) && reachable(*node));
        let cached = (0..model.setup.nodes).find(|node| Some(mac(name(*node))) == self.cache);
        let heard_all = model.faults.iter().all(|fault| {
            matches!(fault, Fault::Power(_) | Fault::Process(_) | Fault::Stop(_) | Fault::Drain(_) | Fault::Stale(_))
        });
        let bad = heard_all && holder.is_some() && cached.is_some_and(|node| !reachable(node));
        let since = count(&mut self.cache_bad_since, bad, model.now);
        let text = format!("the client sends to {:?}, although {:?} holds", cached.map(name), holder.map(name));
        Some((text, late(since, CLEAN)?))
    }

    /// What must not be held: behind a dead link, when released, beside a stranger (rules 8 and 9).
    fn must_not(&mut self, model: &Model, address: u8, late: impl Fn(Option<Duration>, Duration) -> Late) -> Found {
        let retreat = model.stranger.is_some() && address == 1 && model.setup.conflict == Conflict::Retreat;
        let mut found = None;
        for (node, since) in self.wrong_since.iter_mut().enumerate() {
            let Some(agent) = &model.agents[node] else {
                *since = None;
                continue;
            };
            let holds = agent.machine.answer(key(address)).is_some() && !agent.stopped;
            let wrong = model.released || !model.links[node] || retreat;
            let since = count(since, holds && wrong, model.now);
            let limit = if retreat { SLACK * 4 } else { ms(50) };
            let text = || format!("{} holds what it must not", name(node));
            found = found.or_else(|| Some((text(), late(since, limit)?)));
        }
        found
    }
}

/// How long two may both answer: at all, and after one of them has heard the other.
fn overlap(model: &Model, one: usize, other: usize) -> (Option<Duration>, Option<Duration>) {
    let timing = timing();
    let runs = |node: usize| model.agents[node].as_ref().is_some_and(|agent| !agent.stopped);
    let fast = timing.refresh_fast + timing.verify * 2 + SLACK;
    let intact = |fault: &Fault| !matches!(fault, Fault::Lose(_) | Fault::Delay(_));
    match (model.hears(one, other), model.hears(other, one)) {
        (false, false) => (None, None),
        (true, true) if model.faults.iter().all(intact) && runs(one) && runs(other) => {
            (Some(fast), Some(timing.tie + ms(100)))
        }
        (true, true) if runs(one) && runs(other) => (Some(fast), None),
        _ => (Some(timing.refresh_slow + LEASE + fast), None),
    }
}

/// Whether a node could answer the client: it is ready, its link is up, and it is not told otherwise.
fn can_hold(model: &Model, node: usize, address: u8) -> bool {
    let Some(agent) = model.agents[node].as_ref().filter(|agent| !agent.stopped) else { return false };
    let ranked = model.rankings[node].get(usize::from(address) - 1).is_some_and(|ranking| ranking.contains(&node));
    let status = agent.machine.status(key(address)).map(|status| status.holding);
    let excused = match status {
        // One node that hears nobody must not use up the moves of the others.
        Some(Err(WhyNot::Doubtful)) => {
            model.faults.iter().any(|fault| !matches!(fault, Fault::Deaf(_))) || model.faults.len() > 1
        }
        Some(Err(WhyNot::ColdStart | WhyNot::LinkQuiet | WhyNot::Stranger)) | None => true,
        Some(_) => false,
    };
    let ready = agent.machine.reflects() == Reflect::Up;
    let retreat = model.stranger.is_some() && model.setup.conflict == Conflict::Retreat;
    ready && ranked && !excused && !model.released && !retreat && model.both_ways(node, model.client())
}

/// Whether the rules say that `node` takes from `holder`.
fn ought_to_take(model: &Model, node: usize, holder: usize, address: u8) -> bool {
    let Some(agent) = &model.agents[node] else { return false };
    let world = &agent.machine.world;
    let waits = matches!(
        agent.machine.status(key(address)).map(|status| status.holding),
        Some(Err(WhyNot::HoldDown
            | WhyNot::Failback
            | WhyNot::Looking
            | WhyNot::Asking
            | WhyNot::Capped
            | WhyNot::Doubtful))
    );
    let ranking = &model.rankings[node][usize::from(address) - 1];
    let alive = |other: usize| {
        let number = world.find(name(other)).expect("every node is known");
        matches!(world.standing(SEGMENT, number), Standing::Alive | Standing::Deaf)
    };
    let mut above = ranking.iter().take_while(|other| **other != node);
    let willing = model.kernels[holder].reflects(model.now) == Reflect::AdminDown;
    let below = !ranking.iter().take_while(|other| **other != node).any(|other| *other == holder);
    let undelayed = model.faults.iter().all(|fault| !matches!(fault, Fault::Lose(_) | Fault::Delay(_)));
    undelayed && !waits && (willing || below) && above.all(|other| !alive(*other) || (*other == holder && willing))
}
