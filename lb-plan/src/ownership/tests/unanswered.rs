//! Rule 7: what nobody answers is taken, whatever the sessions say.

use super::*;

fn standby(name: &str) -> Node1 {
    let mut node = Node1::ready(name);
    node.rank(1, &["a", "b", "c"]);
    for other in ["a", "b"] {
        node.session(other, Reading::Up);
    }
    node.pass(ms(10));
    node
}

#[test]
fn first_standby_asks_the_holder_every_5_s() {
    let mut node = standby("b");

    let outputs = node.pass_answered(Duration::from_secs(30), |to| to.map(|_| "a"));

    let asked = probes(&outputs);
    assert!((5..=8).contains(&asked.len()), "{}", asked.len());
    assert!(asked.iter().all(|to| *to == Some(mac("a"))));
}

#[test]
fn standby_takes_what_nobody_answers_after_its_rank_times_300_ms_of_questions() {
    for (name, period, patience) in [("b", 5_000, 300), ("c", 10_000, 600)] {
        let mut node = standby(name);
        let began = node.now;
        let mut asked_at = None;
        while !node.holds(1) && node.now < began + ms(period + patience + 100) {
            let outputs = node.poll();
            if !probes(&outputs).is_empty() {
                asked_at.get_or_insert(node.now);
            }
            node.now += ms(10);
        }
        let waited = node.now - asked_at.expect("it asked");
        assert_eq!(node.holding(1), Ok(Why::NobodyAnswered), "{name}");
        assert!((ms(patience)..=ms(patience + 50)).contains(&waited), "{name}: {waited:?}");
    }
}

#[test]
fn any_node_that_answers_a_broadcast_question_is_the_holder() {
    let mut node = standby("b");

    node.pass_answered(Duration::from_secs(20), |to| to.is_none().then_some("c"));

    assert!(!node.holds(1));
    assert_eq!(node.machine.status(key(1)).and_then(|status| status.holder), Some("c"));
}

#[test]
fn node_that_is_not_ranked_or_not_ready_audits_nothing() {
    let mut unranked = Node1::ready("d");
    unranked.rank(1, &["a", "b"]);
    let mut draining = standby("b");
    draining.input(Input::Drain(true));

    for node in [&mut unranked, &mut draining] {
        assert!(probes(&node.pass(Duration::from_secs(30))).is_empty());
    }
}
