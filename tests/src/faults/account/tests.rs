//! The accounts of records written by hand, those that must fail among them.

use super::{super::log::Fault, *};

const NODES: usize = 5;
/// Every 100 ms, from 1,000 s on: nothing happens before the recorder starts.
const EVERY: u64 = 100;

fn at(ms: u64) -> Stamp {
    Stamp(Duration::from_millis(1_000_000 + ms))
}

fn bounds() -> Bounds {
    Bounds::of(Duration::from_secs(3))
}

/// A client's questions for `spans`: who answered until when, in ms.
fn line(client: usize, spans: &[(u64, &[Node])]) -> Line {
    let mut questions = Vec::new();
    let mut now = 0;
    for (until, nodes) in spans {
        while now < *until {
            questions.push(Question { at: at(now), by: nodes.iter().copied().map(Who::Node).collect() });
            now += EVERY;
        }
    }
    Line { client, address: "192.0.2.20".parse().unwrap(), questions }
}

fn entry(fault: Fault, from: u64, until: Option<u64>) -> Entry {
    let moment = |ms| at(ms)..at(ms + 10);
    Entry { fault, begun: moment(from), undone: until.map(moment) }
}

fn judged(line: Line, log: &[Entry]) -> Account {
    let end = line.questions.last().map_or(at(0), |question| question.at.after(Duration::from_millis(EVERY)));
    account(&[line], log, &bounds(), NODES, &(at(0)..end))
}

fn reasons(account: &Account) -> Vec<Why> {
    account.explained.iter().map(|(_, why)| *why).collect()
}

#[test]
fn every_second_is_accounted_for() {
    let log = [entry(Fault::LinkCut(0), 5_000, None)];
    let account = judged(line(0, &[(5_000, &[0]), (5_300, &[]), (9_500, &[1]), (20_000, &[2])]), &log);
    assert!(account.findings.is_empty(), "{:?}", account.findings);
    let expected = [
        (Second::Held(0), 5),
        (Second::Held(1), 3),
        (Second::Held(2), 10),
        (Second::Moved, 1),
        (Second::Silent(Why::LinkCut), 1),
    ];
    assert_eq!(account.seconds, BTreeMap::from(expected));
    assert_eq!(account.moves, 2);
}

#[test]
fn a_silence_with_no_fault_is_found() {
    let account = judged(line(0, &[(5_000, &[0]), (5_300, &[]), (9_000, &[0])]), &[]);
    assert!(matches!(account.findings[..], [Finding::Stretch(_, None)]), "{:?}", account.findings);
    assert_eq!(account.seconds[&Second::Unexplained], 1);
    assert!(account.verdict(&[], at(0)).is_err());
}

#[test]
fn a_single_question_that_nobody_answers_is_found() {
    let account = judged(line(0, &[(5_000, &[0]), (5_100, &[]), (9_000, &[0])]), &[]);
    assert_eq!(account.findings.len(), 1);
}

#[test]
fn a_silence_longer_than_its_bound_is_found_with_what_would_explain_it() {
    let log = [entry(Fault::NodeDies(0), 5_000, None)];
    let account = judged(line(0, &[(5_000, &[0]), (5_800, &[]), (9_000, &[1])]), &log);
    assert!(matches!(account.findings[..], [Finding::Stretch(_, Some(Why::NodeDied))]), "{:?}", account.findings);
}

#[test]
fn the_death_of_another_node_than_the_holder_explains_nothing() {
    let log = [entry(Fault::NodeDies(3), 5_000, None)];
    let account = judged(line(0, &[(5_000, &[0]), (5_300, &[]), (9_000, &[1])]), &log);
    assert!(matches!(account.findings[..], [Finding::Stretch(_, None)]), "{:?}", account.findings);
}

#[test]
fn where_another_fault_is_at_work_a_death_may_take_the_audits_time() {
    let log = [entry(Fault::LinkCut(1), 1_000, None), entry(Fault::NodeDies(0), 5_000, None)];
    let account = judged(line(0, &[(5_000, &[0]), (9_000, &[]), (12_000, &[2])]), &log);
    assert_eq!((reasons(&account), account.findings.len()), (vec![Why::NodeDied], 0));
    let account = judged(line(0, &[(5_000, &[0]), (12_000, &[]), (13_000, &[2])]), &log);
    assert_eq!(account.findings.len(), 1, "no bound is that long");
}

#[test]
fn planned_moves_and_stops_within_the_lease_explain_no_silence() {
    let spans: [(u64, &[Node]); 3] = [(5_000, &[0]), (5_200, &[]), (9_000, &[1])];
    for fault in [Fault::Drained(0), Fault::Upgraded(0), Fault::Stale(0), Fault::Reranked(0)] {
        let account = judged(line(0, &spans), &[entry(fault.clone(), 5_000, Some(6_000))]);
        assert_eq!(account.findings.len(), 1, "{fault}");
    }
    let account = judged(
        line(0, &[(5_000, &[0]), (5_200, &[]), (9_000, &[0])]),
        &[entry(Fault::AgentStopped(0), 4_500, Some(5_500))],
    );
    assert_eq!(account.findings.len(), 1, "stopped for a second of a lease of three");
}

#[test]
fn a_lease_explains_a_silence_where_it_ends_and_not_before() {
    let log = [entry(Fault::AgentKilled(0), 2_000, Some(9_000))];
    let ends = judged(line(0, &[(4_800, &[0]), (5_100, &[]), (12_000, &[1])]), &log);
    assert_eq!((reasons(&ends), ends.findings.len()), (vec![Why::LeaseRanOut], 0));
    let early = judged(line(0, &[(3_000, &[0]), (3_300, &[]), (12_000, &[1])]), &log);
    assert_eq!(early.findings.len(), 1);
}

#[test]
fn a_division_explains_the_silence_of_the_half_without_the_holder() {
    let log = [entry(Fault::Divided(vec![0, 1]), 5_000, Some(15_000))];
    let spans: [(u64, &[Node]); 3] = [(5_000, &[0]), (5_300, &[]), (9_000, &[2])];
    assert!(judged(line(1, &spans), &log).findings.is_empty(), "the client of the other half");
    assert_eq!(judged(line(0, &spans), &log).findings.len(), 1, "the client of the holder's half");
}

#[test]
fn two_answerers_for_too_long_are_found() {
    let spans: [(u64, &[Node]); 3] = [(5_000, &[0]), (9_000, &[0, 1]), (20_000, &[1])];
    let death = judged(line(0, &spans), &[entry(Fault::Drained(0), 5_000, None)]);
    assert!(matches!(death.findings[..], [Finding::Stretch(_, None)]), "{:?}", death.findings);

    let healed = [entry(Fault::Divided(vec![0, 1]), 1_000, Some(5_000))];
    assert_eq!(reasons(&judged(line(0, &spans), &healed)), [Why::Healed]);
    let long: [(u64, &[Node]); 3] = [(5_000, &[0]), (11_000, &[0, 1]), (20_000, &[1])];
    let account = judged(line(0, &long), &healed);
    assert!(matches!(account.findings[..], [Finding::Stretch(_, Some(Why::Healed))]), "{:?}", account.findings);
}

#[test]
fn one_frame_answered_by_two_needs_a_move_that_was_caused() {
    let spans: [(u64, &[Node]); 3] = [(5_000, &[0]), (5_100, &[0, 1]), (9_000, &[1])];
    assert_eq!(reasons(&judged(line(0, &spans), &[entry(Fault::Drained(0), 5_000, None)])), [Why::OneFrame]);
    assert_eq!(judged(line(0, &spans), &[]).findings.len(), 1);
}

#[test]
fn moves_that_went_before_explain_no_silence() {
    let moved: [(u64, &[Node]); 7] =
        [(1_000, &[0]), (2_000, &[1]), (3_000, &[0]), (4_000, &[1]), (5_000, &[0]), (30_000, &[]), (31_000, &[1])];
    let log = [entry(Fault::NodeDies(0), 5_000, None)];
    assert_eq!(judged(line(0, &moved), &log).findings.len(), 1);
}

#[test]
fn an_answer_of_a_stranger_is_found() {
    let mut line = line(0, &[(5_000, &[0])]);
    line.questions[7].by.push(Who::Stranger(crate::mac::Mac([2, 0, 0, 0, 0, 9])));
    assert!(judged(line, &[]).findings.iter().any(|finding| matches!(finding, Finding::Stranger(_))));
}

#[test]
fn seconds_in_which_nothing_was_asked_void_the_run() {
    let mut line = line(0, &[(9_000, &[0])]);
    line.questions.retain(|question| !(at(3_000)..at(5_000)).contains(&question.at));
    let account = judged(line, &[]);
    assert_eq!(account.seconds[&Second::Void], 2);
    assert!(account.verdict(&[], at(0)).is_err());
}
