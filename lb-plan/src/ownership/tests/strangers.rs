//! Rule 9: a station that is no node uses the address.

use super::*;

fn holder(conflict: Conflict) -> Node1 {
    let mut node = Node1::ready("a");
    node.terms.1 = conflict;
    node.rank(1, &["a", "b"]);
    node.pass(ms(400));
    assert!(node.holds(1));
    node
}

fn strangers(outputs: &[Output]) -> usize {
    let of_it = |output: &&Output| matches!(output, Output::Stranger { mac: found, .. } if *found == mac("x"));
    outputs.iter().filter(of_it).count()
}

#[test]
fn defender_announces_against_a_stranger_once_in_10_s_and_holds_on() {
    let mut node = holder(Conflict::Defend);
    let mut outputs = Vec::new();
    for _ in 0..19 {
        node.sight("x", 1, Says::Claim { yielded: None });
        outputs.extend(node.poll());
        node.now += Duration::from_secs(1);
    }

    assert_eq!((announcements(&outputs), strangers(&outputs)), (3, 2), "two objections and a refresh: {outputs:?}");
    assert!(node.holds(1));
}

#[test]
fn retreater_announces_once_and_lets_go_of_what_the_stranger_keeps_until_it_is_gone() {
    let mut node = holder(Conflict::Retreat);
    node.sight("x", 1, Says::Answer);
    node.pass(ms(500));
    assert!(node.holds(1));

    node.sight("x", 1, Says::Answer);
    node.poll();
    assert_eq!(node.holding(1), Err(WhyNot::Stranger));

    node.pass(Duration::from_secs(59));
    assert!(!node.holds(1));
    node.pass(Duration::from_secs(2));
    assert!(node.holds(1));
}

#[test]
fn retreater_does_not_take_what_a_stranger_answers() {
    let mut node = Node1::ready("a");
    node.terms.1 = Conflict::Retreat;
    node.rank(1, &["a"]);

    let outputs = node.pass_answered(ms(100), |_| Some("x"));

    assert_eq!(node.holding(1), Err(WhyNot::Stranger));
    assert_eq!(strangers(&outputs), 1);
}
