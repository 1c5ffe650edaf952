//! What is to be done to the lab and when, from a seed. Pure.
//!
//! At most two faults are at work at once, on different nodes, and at most one of them is in the network: of five nodes
//! three are always well.

use std::time::Duration;

use super::log::{Fault, Node};
use crate::random::Random;

/// One fault to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, from the start.
    pub at: Duration,
    /// How long.
    pub lasts: Duration,
    /// What.
    pub fault: Fault,
}

/// Before the first fault.
const LEAD: Duration = Duration::from_secs(3);
/// After the last one.
pub const TAIL: Duration = Duration::from_secs(12);

/// Random faults over `length`, for `nodes` nodes whose agents have this lease.
pub fn random(seed: u64, length: Duration, nodes: usize, lease: Duration) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut steps: Vec<Step> = Vec::new();
    let mut at = LEAD;
    loop {
        let others: Vec<&Step> =
            steps.iter().filter(|step| step.at + step.lasts + Duration::from_secs(2) > at).collect();
        let (fault, lasts) = one(&mut random, nodes, lease, &others);
        if at + lasts + TAIL > length {
            return steps;
        }
        let busiest = others.iter().map(|step| step.at + step.lasts).max().unwrap_or_default().max(at + lasts);
        let alone = others.is_empty();
        steps.push(Step { at, lasts, fault });
        // A third of them get company.
        at = if alone && random.once_in(3) {
            at + millis(&mut random, 100, 2_000)
        } else {
            busiest + millis(&mut random, 4_000, 10_000)
        };
    }
}

/// A fault for nodes that have none.
fn one(random: &mut Random, nodes: usize, lease: Duration, others: &[&Step]) -> (Fault, Duration) {
    loop {
        let node = random.below(nodes);
        let other = (node + 1 + random.below(nodes - 1)) % nodes;
        // Well within the lease, or well past it.
        let outage = if random.once_in(2) { lease / 3 } else { lease * 2 };
        let long = millis(random, 3_000, 8_000);
        let (fault, lasts) = match random.below(14) {
            0..=2 => (Fault::NodeDies(node), long),
            3 | 4 => (Fault::LinkCut(node), long),
            5 => (Fault::AgentKilled(node), outage),
            6 => (Fault::AgentStopped(node), outage),
            7 => (Fault::Drained(node), long),
            8 => (Fault::Upgraded(node), Duration::ZERO),
            9 => (Fault::Divided(half(random, nodes)), long),
            10 => (Fault::OneWay(node, other), long),
            11 => (Fault::Loss(if random.once_in(2) { 5 } else { 20 }), long),
            12 => (Fault::Stale(node), long),
            _ => (Fault::Reranked(random.below(2)), Duration::ZERO),
        };
        if others.iter().all(|step| step.fault.goes_with(&fault)) {
            return (fault, lasts);
        }
    }
}

/// Some of the nodes, and not all.
fn half(random: &mut Random, nodes: usize) -> Vec<Node> {
    let first = random.below(nodes);
    let many = 1 + random.below(nodes - 1);
    let mut half: Vec<Node> = (0..many).map(|place| (first + place) % nodes).collect();
    half.sort_unstable();
    half
}

fn millis(random: &mut Random, least: usize, most: usize) -> Duration {
    Duration::from_millis((least + random.below(most - least)) as u64)
}

impl Fault {
    /// The node whose processes or cable it is about.
    fn node(&self) -> Option<Node> {
        match self {
            Self::NodeDies(node)
            | Self::LinkCut(node)
            | Self::AgentKilled(node)
            | Self::AgentStopped(node)
            | Self::Drained(node)
            | Self::Upgraded(node)
            | Self::Stale(node) => Some(*node),
            Self::Divided(_) | Self::OneWay(..) | Self::Loss(_) | Self::Reranked(_) | Self::Stalled => None,
        }
    }

    /// Whether both can be at work at once.
    fn goes_with(&self, other: &Self) -> bool {
        match (self.node(), other.node()) {
            (Some(one), Some(another)) => one != another,
            (Some(_), None) | (None, Some(_)) => true,
            (None, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(1800);
    const LEASE: Duration = Duration::from_secs(3);

    #[test]
    fn a_seed_repeats_a_plan_and_another_one_does_not() {
        assert_eq!(random(7, LENGTH, 5, LEASE), random(7, LENGTH, 5, LEASE));
        assert_ne!(random(7, LENGTH, 5, LEASE), random(8, LENGTH, 5, LEASE));
    }

    #[test]
    fn half_an_hour_has_every_kind_of_fault_and_never_three_at_once() {
        for seed in 0..20 {
            let steps = random(seed, LENGTH, 5, LEASE);
            let kinds: std::collections::BTreeSet<_> =
                steps.iter().map(|step| format!("{:?}", std::mem::discriminant(&step.fault))).collect();
            assert_eq!(kinds.len(), 11, "seed {seed}: {steps:?}");
            for step in &steps {
                let with = steps.iter().filter(|other| other.at <= step.at && step.at < other.at + other.lasts);
                assert!(with.count() <= 2, "seed {seed} at {:?}", step.at);
            }
            assert!(steps.iter().all(|step| step.at + step.lasts + TAIL <= LENGTH));
        }
    }
}
