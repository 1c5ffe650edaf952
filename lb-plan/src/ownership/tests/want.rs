//! Rules 1, 3, 4 and 8: who wants an address, how it is taken, and when it is let go.

use super::*;

#[test]
fn first_ranked_node_asks_the_segment_then_answers_then_announces() {
    let mut node = Node1::ready("a");
    node.rank(1, &["a", "b"]);

    let outputs = node.pass(ms(100));

    assert_eq!(probes(&outputs), [None; 3]);
    let doing: Vec<&Output> =
        outputs.iter().filter(|output| matches!(output, Output::Answer { .. } | Output::Announce { .. })).collect();
    assert!(matches!(doing[..], [Output::Answer { .. }, Output::Announce { copies: Copies::Series, .. }]), "{doing:?}");
    assert_eq!(node.holding(1), Ok(Why::FirstRanked));
}

#[test]
fn standby_waits_while_a_node_above_lives() {
    let mut node = Node1::ready("c");
    node.rank(1, &["a", "b", "c"]);
    node.session("a", Reading::Up);
    node.session("b", Reading::AdminDown);

    node.pass(Duration::from_secs(1));

    assert_eq!(node.holding(1), Err(WhyNot::NodeAbove));
}

#[test]
fn session_that_never_answered_counts_as_up_in_grace_and_then_as_the_controller_sees_it() {
    let mut node = Node1::ready("b");
    node.rank(1, &["a", "b"]);
    node.session("a", Reading::Unknown { in_grace: true });
    node.pass(ms(100));
    assert!(!node.holds(1));

    node.session("a", Reading::Unknown { in_grace: false });
    node.pass(ms(100));
    assert!(!node.holds(1), "the controller sees it ready");

    node.machine.set_nodes(node.now, [Node { name: "a", ready: false, macs: &[(SEGMENT, mac("a"))] }]);
    node.pass(ms(100));
    assert_eq!(node.holding(1), Ok(Why::Silent));
}

#[test]
fn node_that_does_not_stand_on_the_segment_is_nobody_above() {
    let mut node = Node1::ready("b");
    node.rank(1, &["elsewhere", "b"]);

    node.pass(ms(100));

    assert_eq!(node.holding(1), Ok(Why::NobodyAbove));
}

#[test]
fn admin_down_is_taken_from_at_once_without_a_question() {
    let mut node = Node1::ready("b");
    node.rank(1, &["a", "b"]);
    node.session("a", Reading::Up);
    node.poll();

    node.session("a", Reading::AdminDown);
    let outputs = node.poll();

    assert_eq!(node.holding(1), Ok(Why::AdminDown));
    assert!(probes(&outputs).is_empty());
}

#[test]
fn node_above_takes_from_a_living_node_below_at_once() {
    let mut node = Node1::ready("a");
    node.rank(1, &["a", "b"]);
    node.claim("b", 1);

    node.poll();

    assert_eq!(node.holding(1), Ok(Why::Failback));
}

#[test]
fn planned_move_waits_until_the_holder_cannot_keep_the_address_by_its_claim() {
    let mut node = Node1::ready("b");
    node.rank(1, &["b", "a"]);
    node.claim("a", 1);

    node.pass(ms(249));
    assert_eq!(node.holding(1), Err(WhyNot::Failback), "the lower MAC would keep it");
    node.pass(ms(1));
    assert_eq!(node.holding(1), Ok(Why::Failback));
}

#[test]
fn failback_waits_or_never_comes_as_the_class_says_until_the_holder_is_gone() {
    for (failback, after_10_s) in [(Failback::After(Duration::from_secs(8)), true), (Failback::Never, false)] {
        let mut node = Node1::ready("a");
        node.terms.0 = failback;
        node.rank(1, &["a", "b"]);
        for _ in 0..3 {
            node.claim("b", 1);
            assert!(!node.holds(1));
            node.pass_answered(Duration::from_millis(2_500), |_| Some("b"));
        }
        node.claim("b", 1);
        node.pass_answered(Duration::from_secs(1), |_| Some("b"));
        assert_eq!(node.holds(1), after_10_s, "{failback:?}");
        if !after_10_s {
            node.session("b", Reading::Up);
            node.session("b", Reading::Down);
            node.pass(ms(100));
            assert_eq!(node.holding(1), Ok(Why::Silent));
        }
    }
}

#[test]
fn new_ranking_moves_the_address_at_once_whatever_failback_says() {
    let mut node = Node1::ready("b");
    node.terms.0 = Failback::Never;
    node.rank(1, &["a", "b"]);
    node.session("a", Reading::Up);
    node.claim("a", 1);
    node.pass(ms(250));

    node.rank(1, &["b", "a"]);
    node.poll();

    assert_eq!(node.holding(1), Ok(Why::Promoted));
}

#[test]
fn holder_that_is_not_ranked_any_more_holds_until_it_hears_a_claim() {
    let mut node = Node1::ready("a");
    node.rank(1, &["a", "b"]);
    node.pass(ms(100));

    node.rank(1, &["b", "c"]);
    node.pass(ms(200));
    assert!(node.holds(1), "make before break");

    node.pass(ms(300));
    node.claim("b", 1);
    node.poll();
    assert_eq!(node.holding(1), Err(WhyNot::NotRanked));
}

#[test]
fn holder_lets_go_at_once_of_what_must_not_be_held() {
    type Happen = fn(&mut Node1);
    let down = |node: &mut Node1| {
        node.machine.set_links(node.now, [Link { segment: SEGMENT, mac: mac("a"), running: false }]);
    };
    let cases: [(Happen, WhyNot); 4] = [
        (|node| node.address(1, &["a"], Phase::Released), WhyNot::Released),
        (|node| node.rank(1, &[]), WhyNot::NoNodes),
        (down, WhyNot::LinkDown),
        (|node| node.input(Input::Lease(false)), WhyNot::LeaseLost),
    ];
    for (happen, why) in cases {
        let mut node = Node1::ready("a");
        node.rank(1, &["a", "b"]);
        node.pass(ms(100));
        assert!(node.holds(1));

        happen(&mut node);
        let outputs = node.poll();

        assert_eq!(node.holding(1), Err(why));
        assert!(outputs.contains(&Output::Suppress { key: key(1) }), "{outputs:?}");
    }
}

#[test]
fn link_that_came_up_counts_when_a_station_is_heard_or_after_35_s() {
    for heard in [true, false] {
        let mut node = Node1::ready("a");
        node.rank(1, &["a"]);
        node.machine.set_links(node.now, []);
        node.pass(ms(100));
        node.machine.set_links(node.now, [Link { segment: SEGMENT, mac: mac("a"), running: true }]);
        node.pass(Duration::from_secs(10));
        assert_eq!(node.holding(1), Err(WhyNot::LinkQuiet));

        if heard {
            node.input(Input::Heard { segment: SEGMENT });
        } else {
            node.pass(Duration::from_secs(25));
        }
        node.pass(ms(100));
        assert!(node.holds(1), "heard: {heard}");
    }
}

#[test]
fn address_that_is_no_longer_listed_is_forgotten() {
    let mut node = Node1::ready("a");
    node.rank(1, &["a"]);
    node.pass(ms(100));

    node.machine.set_addresses(node.now, []);

    assert_eq!(node.poll(), [Output::Forget { key: key(1) }]);
    assert_eq!(node.machine.counters().losses.get(&Loss::Gone), Some(&1));
}

#[test]
fn sessions_go_to_three_above_and_the_holder_at_full_rate_and_to_the_rest_slowly() {
    let mut node = Node1::ready("e");
    node.rank(1, &["a", "b", "c", "d", "e"]);
    let watched = |outputs: Vec<Output>| -> Vec<(String, Option<Rate>)> {
        let watch = |output| if let Output::Watch { node, rate, .. } = output { Some((node, rate)) } else { None };
        outputs.into_iter().filter_map(watch).collect()
    };
    let full = |name: &str| (name.to_owned(), Some(Rate::Full));

    let first = watched(node.poll());
    assert_eq!(first, [("a".to_owned(), Some(Rate::Slow)), full("b"), full("c"), full("d")]);

    node.claim("a", 1);
    assert_eq!(watched(node.poll()), [full("a")]);

    node.pass(ms(250));
    node.rank(1, &["e"]);
    let mut left: Vec<(String, Option<Rate>)> = ["a", "b", "c", "d"].map(|name| (name.to_owned(), None)).into();
    left[0].1 = Some(Rate::Slow);
    assert_eq!(watched(node.poll()), left, "taken from the holder in the same call, which goes on being watched");

    node.rank(1, &["e", "b", "c"]);
    assert_eq!(watched(node.poll()), [full("b")], "who is next");
}
