//! Rules 5 and 6: who hears gives way; and the ways in which two holders find each other.

use super::*;

fn holder(name: &str, ranking: &[&str]) -> Node1 {
    let mut node = Node1::ready(name);
    node.rank(1, ranking);
    for above in ranking.iter().take_while(|other| **other != name) {
        node.session(above, Reading::AdminDown);
    }
    node.pass(ms(100));
    assert!(node.holds(1));
    node.pass(ms(400));
    node
}

#[test]
fn holder_that_hears_a_claim_gives_way_and_asks_soon_whether_the_other_answers() {
    let mut node = holder("a", &["a", "b"]);

    node.claim("b", 1);
    let outputs = node.pass(ms(500));

    assert!(outputs.contains(&Output::Suppress { key: key(1) }));
    assert_eq!(node.holding(1), Err(WhyNot::HoldDown));
    assert_eq!(probes(&outputs).first(), Some(&Some(mac("b"))));
}

#[test]
fn of_two_simultaneous_claims_the_lower_mac_keeps_with_a_higher_generation_and_the_other_gives_way() {
    let mut low = Node1::ready("a");
    low.rank(1, &["a", "b"]);
    low.pass(ms(100));
    let before = low.machine.answer(key(1));
    low.claim("b", 1);
    let outputs = low.poll();
    assert!(low.machine.answer(key(1)) > before);
    assert!(outputs.contains(&Output::Announce { key: key(1), copies: Copies::One }), "{outputs:?}");

    let mut high = Node1::ready("b");
    high.rank(1, &["b", "a"]);
    high.pass(ms(100));
    high.claim("a", 1);
    high.poll();
    assert!(!high.holds(1));
}

#[test]
fn claim_counts_from_its_first_copy_however_late_that_goes_out() {
    let mut node = Node1::ready("a");
    node.busy = true;
    node.rank(1, &["a", "b"]);
    node.pass(ms(500));
    node.machine.announced(node.now, key(1));
    node.now += ms(200);
    node.machine.announced(node.now, key(1));
    node.now += ms(40);

    node.claim("b", 1);

    assert!(node.holds(1));
    assert_eq!(node.machine.counters().claims_withstood, 1);
}

#[test]
fn draining_node_keeps_nothing_by_its_mac() {
    let mut node = Node1::ready("a");
    node.rank(1, &["a", "b"]);
    node.pass(ms(100));
    node.input(Input::Drain(true));

    node.claim("b", 1);

    assert!(!node.holds(1));
}

#[test]
fn claim_that_came_before_the_take_does_not_end_it() {
    let mut node = holder("a", &["a", "b"]);

    node.sight("b", 1, Says::Claim { yielded: Some(0) });

    assert!(node.holds(1));
}

#[test]
fn who_gave_way_to_a_node_below_takes_back_after_a_hold_down_that_doubles() {
    let mut node = holder("a", &["a", "b"]);
    node.machine.world.timing.moves_failback = 100;
    node.machine.world.timing.moves_most = 100;
    node.session("b", Reading::Up);
    for seconds in [5, 10] {
        node.claim("b", 1);
        node.pass_answered(Duration::from_secs(seconds) - ms(100), |_| Some("b"));
        assert_eq!(node.holding(1), Err(WhyNot::HoldDown), "{seconds} s");
        node.pass_answered(ms(200), |_| Some("b"));
        assert!(node.holds(1), "{seconds} s: {:?}", node.holding(1));
        node.pass(ms(400));
    }
}

#[test]
fn who_gave_way_to_a_node_below_does_not_wait_when_that_dies() {
    let mut node = holder("a", &["a", "b"]);
    node.session("b", Reading::Up);
    node.claim("b", 1);
    node.pass_answered(ms(100), |_| Some("b"));

    node.session("b", Reading::Down);
    node.pass(ms(100));

    assert_eq!(node.holding(1), Ok(Why::Silent));
}

#[test]
fn holder_that_is_not_first_announces_every_5_s_and_the_first_every_60_s() {
    for (name, ranking, least, most) in [("b", &["a", "b"][..], 11, 16), ("a", &["a", "b"][..], 1, 3)] {
        let mut node = holder(name, ranking);
        let mut copies = 0;
        for _ in 0..60 {
            node.input(Input::Heard { segment: SEGMENT });
            copies += announcements(&node.pass(Duration::from_secs(1)));
        }
        assert!((least..=most).contains(&copies), "{name}: {copies}");
    }
}

#[test]
fn first_holder_announces_every_5_s_while_who_is_next_is_silent_and_may_live() {
    for (ready, least, most) in [(true, 11, 16), (false, 1, 3)] {
        let mut node = holder("a", &["a", "b"]);
        node.machine.set_nodes(node.now, [Node { name: "b", ready, macs: &[(SEGMENT, mac("b"))] }]);
        node.pass(Duration::from_secs(10));
        node.session("b", Reading::Up);
        node.session("b", Reading::Down);
        let mut copies = 0;
        for _ in 0..60 {
            node.input(Input::Heard { segment: SEGMENT });
            copies += announcements(&node.pass(Duration::from_secs(1)));
        }
        assert!((least..=most).contains(&copies), "{ready}: {copies}");
    }
}

#[test]
fn node_that_speaks_and_answers_nothing_does_not_hear_and_is_believed_to_be_dead_ever_later() {
    // `a` holds, and does not hear `b`, which takes what `a` goes on announcing.
    let mut node = Node1::ready("b");
    node.rank(1, &["a", "b"]);
    node.session("a", Reading::Up);
    node.pass(ms(10));
    node.session("a", Reading::Down);
    let mut takes = Vec::new();
    let begin = node.now;
    for _ in 0..40 {
        let outputs = node.pass(Duration::from_secs(1));
        takes.extend(outputs.iter().filter(|output| matches!(output, Output::Answer { .. })).map(|_| node.now - begin));
        if node.holds(1) && takes.len() < 3 {
            node.claim("a", 1);
        }
    }
    let seconds: Vec<u64> = takes.iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [1, 7, 18], "5 s, then 10 s after it was heard");

    // It goes on announcing, and is not taken from.
    for _ in 0..12 {
        node.claim("a", 1);
        node.pass(Duration::from_secs(5));
        assert!(!node.holds(1), "{:?}", node.holding(1));
    }
    // It dies.
    node.pass(Duration::from_secs(20));
    assert!(node.holds(1));
}

#[test]
fn nothing_is_taken_back_from_a_node_that_would_not_hear_the_claim() {
    let mut node = holder("a", &["a", "b"]);
    node.machine.world.timing.moves_failback = 100;
    node.session("b", Reading::Up);
    node.session("b", Reading::Down);
    for _ in 0..2 {
        node.claim("b", 1);
        node.pass(Duration::from_secs(3));
    }
    let taken = node.machine.counters().takes.clone();
    for _ in 0..12 {
        node.claim("b", 1);
        node.pass(Duration::from_secs(5));
        assert!(!node.holds(1), "{:?}", node.holding(1));
    }
    assert_eq!(node.machine.counters().takes, taken);
    node.session("b", Reading::Up);
    node.pass_answered(Duration::from_secs(600), |_| Some("b"));
    assert!(node.machine.counters().takes.contains_key(&Why::Failback), "it hears again");
}

#[test]
fn holder_that_hears_nobody_at_all_announces_nothing() {
    let mut node = holder("b", &["a", "b"]);
    node.session("a", Reading::Down);

    let outputs = node.pass(Duration::from_secs(30));

    assert_eq!(announcements(&outputs), 0);
    assert!(node.holds(1));
}

#[test]
fn taker_asks_300_ms_later_who_else_answers_and_gives_way_if_it_still_does() {
    let mut node = Node1::ready("b");
    node.rank(1, &["a", "b"]);
    node.session("a", Reading::AdminDown);
    node.poll();
    assert!(node.holds(1));

    let outputs = node.pass_answered(ms(310), |_| Some("a"));
    assert_eq!(announcements(&outputs), 1, "it says it once more: the other may not have heard");
    assert!(node.holds(1));

    node.pass_answered(ms(310), |_| Some("a"));
    assert_eq!(node.holding(1), Err(WhyNot::HoldDown));
}

#[test]
fn holder_lets_go_when_a_node_above_is_up_again_and_answers() {
    let mut node = holder("b", &["a", "b"]);
    node.session("a", Reading::Up);

    node.pass_answered(ms(100), |_| Some("a"));

    assert_eq!(node.holding(1), Err(WhyNot::NodeAbove));
}

#[test]
fn holder_says_it_once_more_before_it_gives_way_to_a_node_below_that_answers() {
    let mut node = holder("a", &["a", "b"]);
    node.input(Input::Late);
    let outputs = node.pass_answered(ms(100), |_| Some("b"));
    assert_eq!(announcements(&outputs), 1);
    assert!(node.holds(1));

    node.pass_answered(ms(310), |_| Some("b"));
    assert_eq!(node.holding(1), Err(WhyNot::HoldDown));
}

#[test]
fn holder_asks_when_a_node_above_turns_up_before_it_announces() {
    let mut node = holder("b", &["a", "b"]);
    node.session("a", Reading::Up);

    let outputs = node.pass(ms(300));
    let of_note = |output: &&Output| matches!(output, Output::Probe { .. } | Output::Announce { .. });
    let order: Vec<&Output> = outputs.iter().filter(of_note).collect();
    assert!(matches!(order[..], [Output::Probe { .. }, Output::Announce { copies: Copies::Refresh, .. }]), "{order:?}");
    assert!(node.holds(1), "nobody else answered, and nobody else claimed");
}

#[test]
fn holder_repeats_nothing_once_a_node_above_is_up_that_takes_the_address_at_once() {
    for (failback, hushes) in [(Failback::AtOnce, true), (Failback::Never, false)] {
        let mut node = Node1::ready("b");
        node.terms.0 = failback;
        node.rank(1, &["a", "b"]);
        node.session("a", Reading::AdminDown);
        node.poll();
        assert!(node.holds(1));

        node.session("a", Reading::Up);

        assert_eq!(node.poll().contains(&Output::Hush { key: key(1) }), hushes, "{failback:?}");
    }
}

#[test]
fn late_loop_asks_for_all_that_it_holds() {
    let mut node = holder("a", &["a", "b"]);
    node.pass(Duration::from_secs(4));
    node.now += Duration::from_secs(120);

    let outputs = node.poll();

    assert_eq!(probes(&outputs), [None]);
}

#[test]
fn entry_that_the_program_yielded_without_an_event_is_given_up() {
    let mut node = holder("a", &["a", "b"]);
    let generation = node.machine.answer(key(1)).expect("held");

    node.input(Input::Yielded { key: key(1), generation: generation - 1 });
    assert!(node.holds(1));
    node.input(Input::Yielded { key: key(1), generation });
    assert!(!node.holds(1));
}

#[test]
fn planned_moves_of_an_address_stay_below_what_a_fabric_calls_a_duplicate() {
    let mut node = holder("a", &["a", "b"]);
    let mut takes = 0;
    for _ in 0..170 {
        if node.holds(1) {
            node.pass(ms(400));
            node.claim("b", 1);
        } else {
            node.claim("b", 1);
        }
        let outputs = node.pass_answered(Duration::from_secs(1), |_| Some("b"));
        takes += outputs.iter().filter(|output| matches!(output, Output::Answer { .. })).count();
    }
    assert_eq!(takes, 1, "there and back, twice, is four");
    assert_eq!(node.holding(1), Err(WhyNot::Capped));
}

/// `a` has lost the address to `b` so often that it does not take it back.
fn capped() -> Node1 {
    let mut node = holder("a", &["a", "b"]);
    node.session("b", Reading::Up);
    for _ in 0..4 {
        node.pass(ms(400));
        node.claim("b", 1);
        node.pass_answered(Duration::from_secs(14), |_| Some("b"));
    }
    node.claim("b", 1);
    node.poll();
    assert_eq!(node.holding(1), Err(WhyNot::Capped));
    node
}

#[test]
fn cap_on_moves_holds_nobody_back_where_the_holder_dies_leaves_or_answers_no_more() {
    let mut dies = capped();
    dies.session("b", Reading::Down);
    dies.pass(ms(50));
    assert_eq!(dies.holding(1), Ok(Why::Silent));

    let mut leaves = capped();
    leaves.session("b", Reading::AdminDown);
    leaves.poll();
    assert_eq!(leaves.holding(1), Ok(Why::AdminDown));

    let mut silent = capped();
    for _ in 0..6 {
        silent.claim("b", 1);
        silent.pass(Duration::from_secs(1));
    }
    assert_eq!(silent.holding(1), Ok(Why::NobodyAnswered));
}

#[test]
fn node_that_drains_gives_way_to_every_claim_however_short_ago_it_claimed() {
    let mut node = Node1::ready("a");
    node.rank(1, &["a", "b"]);
    node.pass(ms(70));
    assert!(node.holds(1));

    node.input(Input::Drain(true));
    node.poll();
    node.claim("b", 1);
    node.poll();

    assert_eq!(node.holding(1), Err(WhyNot::Draining));
}

/// `a` has heard `b`, which ranks below, hold the address, and takes it back.
fn taken_from_below(name: &str, below: &str) -> Node1 {
    let mut node = Node1::ready(name);
    node.busy = true;
    node.session(below, Reading::Up);
    node.rank(1, &[name, below]);
    node.poll();
    node.sight(below, 1, Says::Answer);
    node.pass(ms(300));
    assert_eq!(node.holding(1), Ok(Why::Failback));
    node
}

#[test]
fn announcement_of_the_holder_below_that_crosses_the_claim_does_not_take_the_address_back() {
    // `b` has the lower MAC, and has announced what it holds before it heard of the take.
    let mut node = taken_from_below("c", "b");
    node.machine.announced(node.now, key(1));

    node.claim("b", 1);

    let outputs = node.poll();
    assert!(node.holds(1));
    assert!(outputs.contains(&Output::Announce { key: key(1), copies: Copies::One }), "{outputs:?}");
    node.now += ms(251);
    node.claim("b", 1);
    assert!(!node.holds(1), "by now it has heard");
}

#[test]
fn claim_that_the_program_kept_is_judged_by_when_it_came_however_late_it_is_read() {
    let mut node = taken_from_below("c", "b");
    node.machine.announced(node.now, key(1));
    let (at, kept) = (node.now + ms(200), Says::Claim { yielded: None });

    node.now += Duration::from_secs(1);
    node.input(Input::Sighting(Sighting { key: key(1), mac: mac("b"), says: kept, at }));
    node.poll();
    assert!(node.holds(1), "the table answers it still");

    node.sight("b", 1, kept);
    assert!(!node.holds(1));
}

#[test]
fn claim_that_waits_for_its_turn_stands_against_the_holder_below_that_cannot_have_heard_it() {
    let mut node = taken_from_below("c", "b");
    node.pass(ms(400));

    node.claim("b", 1);

    assert!(node.holds(1));
    node.pass_answered(Duration::from_secs(2), |_| None);
    node.claim("b", 1);
    assert!(!node.holds(1), "not for ever, whatever becomes of the announcement");
}

#[test]
fn claim_of_a_node_above_is_given_way_to_whomever_the_address_was_taken_from() {
    let mut node = Node1::ready("c");
    node.session("b", Reading::Up);
    node.session("a", Reading::AdminDown);
    node.rank(1, &["a", "c", "b"]);
    node.poll();
    node.sight("b", 1, Says::Answer);
    node.poll();
    assert!(node.holds(1));

    node.claim("a", 1);

    assert!(!node.holds(1));
}

#[test]
fn only_the_first_copy_of_a_series_and_who_objects_claim() {
    let mut node = Node1::ready("a");
    node.busy = true;
    node.rank(1, &["a", "b"]);
    node.pass(ms(70));
    assert!(node.machine.claims(key(1)));
    node.machine.announced(node.now, key(1));

    assert!(!node.machine.claims(key(1)), "repeats and refreshes only keep caches fresh");
    node.pass_answered(ms(310), |_| Some("b"));
    assert!(node.machine.claims(key(1)), "it says once more that the address is its own");
}
