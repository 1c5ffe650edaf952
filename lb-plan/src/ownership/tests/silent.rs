//! Rule 2: a silent node is asked before anything is taken from it, once for all that it holds.

use super::*;

fn standby(addresses: u8) -> Node1 {
    let mut node = Node1::ready("b");
    for last in 1..=addresses {
        node.rank(last, &["a", "b"]);
    }
    node.session("a", Reading::Up);
    node.pass(ms(10));
    node
}

#[test]
fn silent_node_is_asked_five_times_and_then_all_is_taken_in_one_call() {
    let mut node = standby(40);
    node.session("a", Reading::Down);

    let mut sent = Vec::new();
    for round in 0..5 {
        let asked = probes(&node.poll());
        assert_eq!(asked, [Some(mac("a")); 16], "round {round}");
        sent.extend(asked);
        assert!(!node.holds(1));
        node.now += ms(10);
    }
    let outputs = node.poll();

    assert_eq!(sent.len(), 5 * 16);
    assert_eq!(outputs.iter().filter(|output| matches!(output, Output::Answer { .. })).count(), 40);
    assert_eq!(node.holding(40), Ok(Why::Silent));
    assert_eq!(node.machine.counters().silent_dead, 1);
}

#[test]
fn silent_node_that_answers_is_waited_for_and_asked_again_while_it_is_silent() {
    let mut node = standby(2);
    node.session("a", Reading::Down);

    node.pass_answered(ms(900), |_| Some("a"));
    assert_eq!(node.holding(1), Err(WhyNot::NodeAbove));
    assert_eq!(node.machine.counters().silent_answered, 1);

    node.pass(ms(300));
    assert_eq!(node.holding(1), Ok(Why::Silent), "it died later");
}

#[test]
fn silent_node_is_asked_for_what_it_holds() {
    let mut node = standby(30);
    for last in 20..=30 {
        node.claim("a", last);
    }
    for last in 1..20 {
        node.claim("c", last);
    }
    node.session("a", Reading::Down);

    let asked: Vec<Output> = node.poll().into_iter().filter(|output| matches!(output, Output::Probe { .. })).collect();

    let held: Vec<Output> = (20..=30).map(|last| Output::Probe { key: key(last), to: Some(mac("a")) }).collect();
    assert_eq!(asked, held);
}

#[test]
fn any_frame_of_a_silent_node_shows_that_it_lives() {
    let mut node = standby(1);
    node.rank(2, &["c"]);
    node.session("a", Reading::Down);
    node.poll();

    node.claim("a", 2);
    node.pass(ms(500));

    assert!(!node.holds(1));
}

#[test]
fn late_machine_asks_as_often_and_waits_as_long() {
    let mut node = standby(1);
    node.session("a", Reading::Down);
    let mut asked = 0;
    for _ in 0..5 {
        asked += probes(&node.poll()).len();
        node.now += ms(500);
        assert!(!node.holds(1));
    }
    node.poll();

    assert_eq!(asked, 5);
    assert!(node.holds(1));
}

#[test]
fn event_about_one_node_touches_no_address_of_another() {
    let mut node = Node1::ready("c");
    node.rank(1, &["a", "c"]);
    node.rank(2, &["b", "c"]);
    node.session("a", Reading::Up);
    node.session("b", Reading::Up);
    node.poll();

    node.session("a", Reading::Down);

    assert_eq!(node.machine.dirty.len(), 1);
}
