//! The machine on a whole segment: nodes with their kernels, a client, and everything that can go wrong.
//!
//! Time is virtual and goes from event to event. Two nodes are followed through every choice of faults at every one of
//! the moments, three through every choice of up to two, four at random with seeds. With a rule left out the same
//! search finds a history in which a bound is broken.
//!
//! `HERALD_MODEL_MOMENTS` and `HERALD_MODEL_HISTORIES` make it larger, `HERALD_MODEL_SEED` makes it another.

use std::time::Duration;

use self::{
    fault::Fault,
    search::{Plan, Seen, exhaust, follow, wander},
    segment::Setup,
};
use super::{Conflict, ms};
use crate::ownership::rules::{Rule, Rules};

mod agent;
mod check;
mod fault;
mod kernel;
mod search;
mod segment;

fn setup(nodes: usize, rankings: &[&[usize]]) -> Setup {
    Setup {
        rankings: rankings.iter().map(|ranking| ranking.to_vec()).collect(),
        nodes,
        conflict: Conflict::Defend,
        rules: Rules::default(),
    }
}

fn size(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// So many moments, from the cold start on.
fn moments(otherwise: u64) -> Vec<Duration> {
    let count = size("HERALD_MODEL_MOMENTS", otherwise);
    (0..count).map(|nth| ms(1_700 + nth * 2_310 / count.max(1) + nth % 3 * 7)).collect()
}

fn report(what: &str, seen: &Seen) {
    println!(
        "{what}: {} states visited in {} histories; faults tried from {} distinct ones",
        seen.checked, seen.histories, seen.distinct
    );
    if let Some(violation) = &seen.violation {
        panic!("{what}: {violation}");
    }
}

#[test]
fn two_nodes_keep_the_bounds_through_any_two_faults() {
    for rankings in [[0, 1], [1, 0]] {
        let plan = Plan { moments: moments(5), faults: Fault::all(2), most: 2, tail: ms(6_000) };
        report(&format!("2 nodes, ranked {rankings:?}"), &exhaust(&setup(2, &[&rankings]), &plan));
    }
}

#[test]
fn three_nodes_keep_the_bounds_through_up_to_two_faults() {
    let plan = Plan { moments: moments(2), faults: Fault::all(3), most: 2, tail: ms(6_000) };
    report("3 nodes", &exhaust(&setup(3, &[&[1, 0, 2]]), &plan));
}

#[test]
fn four_nodes_keep_the_bounds_through_random_faults() {
    let setup = setup(4, &[&[0, 1, 2, 3], &[3, 1, 0, 2], &[2, 3]]);
    let plan = Plan { moments: Vec::new(), faults: Fault::all(4), most: 6, tail: ms(8_000) };
    let seed = size("HERALD_MODEL_SEED", 1);
    report("4 nodes", &wander(&setup, &plan, seed, size("HERALD_MODEL_HISTORIES", 60)));
}

/// The search that has to fail without `rule`.
fn without(rule: Rule, faults: &[Fault], change: impl Fn(&mut Setup)) -> String {
    let moments = [1_700, 2_000, 4_000].map(ms).to_vec();
    let plan = Plan { moments, faults: faults.to_vec(), most: 3, tail: ms(8_000) };
    let mut setup = setup(2, &[&[0, 1]]);
    change(&mut setup);
    fails_without(rule, setup, &plan)
}

fn fails_without(rule: Rule, mut setup: Setup, plan: &Plan) -> String {
    assert_eq!(exhaust(&setup, plan).violation, None, "with all rules");
    setup.rules = Rules::without(rule);
    let seen = exhaust(&setup, plan);
    let violation =
        seen.violation.unwrap_or_else(|| panic!("nothing broke without {rule:?} in {} states", seen.checked));
    println!("without {rule:?}: {violation}\n");
    violation
}

#[test]
fn without_rule_1_an_address_is_taken_from_who_lives() {
    let violation = without(Rule::Want, &[Fault::Process(1)], |_| {});
    assert!(violation.contains("which lives and answers"), "{violation}");
}

#[test]
fn without_rule_2_a_lost_session_is_a_lost_address() {
    let violation = without(Rule::Ask, &[Fault::Lose(0)], |_| {});
    assert!(violation.contains("which lives and answers"), "{violation}");
}

#[test]
fn without_rule_3_a_draining_node_is_never_relieved() {
    let violation = without(Rule::TakeOver, &[Fault::Drain(0)], |_| {});
    assert!(violation.contains("does not take over"), "{violation}");
}

#[test]
fn without_rule_4_clients_go_on_sending_to_the_dead() {
    let violation = without(Rule::Announce, &[Fault::Power(0)], |_| {});
    assert!(violation.contains("the client sends to"), "{violation}");
}

#[test]
fn without_rule_5_two_answer_after_a_planned_move() {
    let violation = without(Rule::Yield, &[Fault::Drain(0)], |_| {});
    assert!(violation.contains("both answer"), "{violation}");
}

#[test]
fn without_rule_6_two_answer_after_a_partition_has_healed() {
    let violation = without(Rule::Refresh, &[Fault::Isolate(0)], |_| {});
    assert!(violation.contains("both answer"), "{violation}");
}

#[test]
fn without_rule_7_nobody_answers_for_a_node_that_the_standby_never_heard() {
    let violation = without(Rule::Audit, &[Fault::Power(0), Fault::Process(1)], |_| {});
    assert!(violation.contains("nobody answers"), "{violation}");
}

#[test]
fn without_rule_8_a_node_holds_behind_a_dead_link() {
    let violation = without(Rule::LetGo, &[Fault::Link(0)], |_| {});
    assert!(violation.contains("holds what it must not"), "{violation}");
}

#[test]
fn without_rule_9_a_node_answers_beside_a_stranger() {
    let violation = without(Rule::Strangers, &[Fault::Stranger], |setup| setup.conflict = Conflict::Retreat);
    assert!(violation.contains("holds what it must not"), "{violation}");
}

#[test]
fn without_rule_10_a_node_takes_before_it_is_ready() {
    let violation = without(Rule::WarmUp, &[Fault::Power(0)], |_| {});
    assert!(violation.contains("before it is ready"), "{violation}");
}

/// ADR 0041: two took at the same moment while they did not hear each other, and ask at the same moment.
#[test]
fn two_that_let_go_of_what_the_other_answers_leave_nobody() {
    let plan = Plan {
        moments: [1_700, 2_000, 2_450].map(ms).to_vec(),
        faults: vec![Fault::Apart(1, 2), Fault::Power(0)],
        most: 3,
        tail: ms(8_000),
    };
    let violation = fails_without(Rule::Contest, setup(3, &[&[0, 1, 2]]), &plan);
    assert!(violation.contains("nobody answers"), "{violation}");
}

/// ADR 0041: a node that hears nobody takes the address, and takes it again with each refresh.
#[test]
fn deaf_node_that_goes_on_announcing_takes_the_address_from_who_could_answer() {
    let plan = Plan { moments: vec![ms(2_000)], faults: vec![Fault::Deaf(1)], most: 1, tail: ms(10_000) };
    let violation = fails_without(Rule::Hush, setup(2, &[&[0, 1]]), &plan);
    assert!(violation.contains("nobody answers"), "{violation}");
}

/// Two held it, of which the first to be heard dies: the next in line has not heard of the other, which is below it, and
/// takes. That is no take from one that lives: it could have had it from there at any time.
#[test]
fn who_takes_from_the_dead_may_find_one_below_that_holds_it_too() {
    let rankings: [&[usize]; 3] = [&[0, 1, 2, 3], &[3, 1, 0, 2], &[2, 3]];
    let faults = [
        (2_426, Fault::Stale(0)),
        (3_127, Fault::Apart(1, 2)),
        (3_659, Fault::Stale(3)),
        (4_199, Fault::Mute(3)),
        (4_405, Fault::Process(1)),
        (4_421, Fault::Power(3)),
    ];
    report("4 nodes", &follow(&setup(4, &rankings), &faults.map(|(at, fault)| (ms(at), fault)), ms(8_000)));
}
