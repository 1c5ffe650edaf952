//! Rule 10: nothing is claimed before the node is ready, and what it says of itself.

use super::*;

#[test]
fn nothing_is_claimed_before_proxy_self_test_and_hold_down_are_through() {
    let mut node = Node1::cold("a");
    let until = node.now + Duration::from_secs(10);
    node.rank(1, &["a"]);
    node.input(Input::Lease(true));
    let steps = [
        Health { proxy: Proxy::Pending, self_test: SelfTest::Passed, hold_down_until: Duration::ZERO },
        Health { proxy: Proxy::Synced, self_test: SelfTest::Pending, hold_down_until: Duration::ZERO },
        Health { proxy: Proxy::Synced, self_test: SelfTest::Alone, hold_down_until: until },
    ];
    for health in steps {
        node.input(Input::Health(health));
        node.pass(Duration::from_secs(1));
        assert_eq!(node.holding(1), Err(WhyNot::WarmingUp), "{health:?}");
        assert_eq!(node.machine.reflects(), Reflect::AdminDown);
    }

    let outputs = node.pass(Duration::from_secs(8));

    assert!(outputs.contains(&Output::Reflect(Reflect::Up)));
    assert!(node.holds(1));
}

#[test]
fn cold_start_waits_by_rank() {
    let mut node = Node1::cold("c");
    node.rank(1, &["elsewhere", "nowhere", "c"]);
    node.input(Input::Health(healthy()));
    node.input(Input::Lease(true));

    node.pass(ms(399));
    assert_eq!(node.holding(1), Err(WhyNot::ColdStart));
    node.pass(ms(100));
    assert!(node.holds(1));
}

#[test]
fn draining_node_reflects_admin_down_holds_until_a_claim_and_takes_nothing() {
    let mut node = Node1::ready("a");
    node.rank(1, &["a", "b"]);
    node.pass(ms(500));

    node.input(Input::Drain(true));
    let outputs = node.pass(Duration::from_secs(1));
    assert!(outputs.contains(&Output::Reflect(Reflect::AdminDown)));
    assert!(node.holds(1));

    node.claim("b", 1);
    node.pass(Duration::from_secs(60));
    assert_eq!(node.holding(1), Err(WhyNot::Draining));
}

#[test]
fn unhealthy_proxy_drains_the_node_after_5_s_unless_it_is_so_everywhere() {
    for (everywhere, reflects) in [(false, Reflect::AdminDown), (true, Reflect::Up)] {
        let mut node = Node1::ready("a");
        node.input(Input::Health(Health { proxy: Proxy::Unhealthy { everywhere }, ..healthy() }));
        node.pass(ms(4_900));
        assert_eq!(node.machine.reflects(), Reflect::Up);
        node.pass(ms(200));
        assert_eq!(node.machine.reflects(), reflects);
    }
}

#[test]
fn lost_lease_ends_everything_and_the_way_back_is_a_warm_up_and_a_higher_generation() {
    let mut node = Node1::ready("a");
    node.rank(1, &["a"]);
    node.pass(ms(500));
    let before = node.machine.answer(key(1));

    node.input(Input::Lease(false));
    assert_eq!(node.holding(1), Err(WhyNot::LeaseLost), "at once: the next input may be a new lease");

    node.input(Input::Health(Health { proxy: Proxy::Pending, ..healthy() }));
    node.input(Input::Lease(true));
    node.pass(ms(500));
    assert_eq!(node.holding(1), Err(WhyNot::WarmingUp));

    node.input(Input::Health(healthy()));
    node.pass(ms(500));
    assert!(node.machine.answer(key(1)) > before);
}

#[test]
fn what_an_earlier_agent_answers_is_held_on_without_a_gap() {
    let mut node = Node1::cold("b");
    node.input(Input::Lease(true));
    node.machine.take_up(node.now, key(1), 41);
    node.rank(1, &["a", "b"]);
    node.rank(2, &["b"]);

    let outputs = node.pass(ms(700));

    assert_eq!(node.machine.answer(key(1)), Some(41));
    assert_eq!(node.holding(1), Ok(Why::TakenUp));
    assert!(!outputs.contains(&Output::Suppress { key: key(1) }), "{outputs:?}");
    assert!(probes(&outputs).contains(&None), "it asks who else answers");
    assert!(node.machine.answer(key(2)) > Some(41));
}
