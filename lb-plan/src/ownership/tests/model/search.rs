//! Through all faults at all moments, or through some at random.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::{
    super::ms,
    fault::Fault,
    segment::{Model, Setup},
};

/// What a search has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Distinct states from which faults were tried.
    pub(super) distinct: usize,
    /// Histories followed to their end.
    pub(super) histories: usize,
    /// States in which everything was checked: each history passes through one per event.
    pub(super) checked: u64,
    /// The first history in which a bound was broken.
    pub(super) violation: Option<String>,
}

impl Seen {
    fn note(&mut self, model: &Model) -> bool {
        let Some(violation) = &model.check.violation else { return false };
        let steps: Vec<String> =
            model.trace.iter().map(|(at, what)| format!("{:>7.3} s  {what}", at.as_secs_f64() - 10.0)).collect();
        self.violation = Some(format!("{violation}\n{}", steps.join("\n")));
        true
    }
}

/// When faults may strike, how many, and how long all is followed after the last.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) moments: Vec<Duration>,
    pub(super) faults: Vec<Fault>,
    pub(super) most: usize,
    pub(super) tail: Duration,
}

/// Every choice of at most `most` faults, at every moment. Equal states are followed once.
pub(super) fn exhaust(setup: &Setup, plan: &Plan) -> Seen {
    let mut seen = Seen::default();
    let mut known: HashSet<u64> = HashSet::new();
    let mut open = vec![(Model::new(setup.clone()), 0, plan.most)];
    while let Some((mut model, at, left)) = open.pop() {
        let moment = plan.moments.get(at).filter(|_| left > 0).copied();
        let end = moment.unwrap_or_else(|| {
            plan.moments.last().copied().unwrap_or_default().max(model.changed_at - begin()) + plan.tail
        });
        let before = model.steps;
        model.run(begin() + end);
        seen.checked += model.steps - before;
        if seen.note(&model) {
            return seen;
        }
        if moment.is_none() {
            seen.histories += 1;
            continue;
        }
        let mut hash = DefaultHasher::new();
        (model.fingerprint(), at, left).hash(&mut hash);
        if !known.insert(hash.finish()) {
            continue;
        }
        for fault in &plan.faults {
            let mut next = model.clone();
            next.strike(*fault);
            open.push((next, at + 1, left - 1));
        }
        open.push((model, at + 1, left));
    }
    seen.distinct = known.len();
    seen
}

/// `count` histories of `most` random faults.
pub(super) fn wander(setup: &Setup, plan: &Plan, seed: u64, count: u64) -> Seen {
    let mut seen = Seen::default();
    let mut known: HashSet<u64> = HashSet::new();
    for history in 0..count {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(history) | 1);
        let mut model = Model::new(setup.clone());
        model.trace.push((model.now, format!("seed {seed}, history {history}")));
        model.run(model.now + ms(1_500));
        for _ in 0..plan.most {
            let pause = ms(dice.below(1_200));
            model.run(model.now + pause);
            let fault = usize::try_from(dice.below(plan.faults.len() as u64)).unwrap_or(0);
            model.strike(plan.faults[fault]);
            let mut hash = DefaultHasher::new();
            model.fingerprint().hash(&mut hash);
            known.insert(hash.finish());
        }
        model.run(model.now + plan.tail);
        seen.histories += 1;
        seen.checked += model.steps;
        if seen.note(&model) {
            break;
        }
    }
    seen.distinct = known.len();
    seen
}

/// One history.
pub(super) fn follow(setup: &Setup, faults: &[(Duration, Fault)], tail: Duration) -> Seen {
    let mut seen = Seen::default();
    let mut model = Model::new(setup.clone());
    for (at, fault) in faults {
        model.run(begin() + *at);
        model.strike(*fault);
    }
    model.run(model.now + tail);
    seen.histories = 1;
    seen.checked = model.steps;
    seen.note(&model);
    seen
}

fn begin() -> Duration {
    Duration::from_secs(10)
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most.max(1)
    }
}
