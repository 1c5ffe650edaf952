//! Ten thousand addresses: what one event touches, and that one call decides for all of a dead node's addresses.

use std::collections::BTreeSet;

use super::*;

const ADDRESSES: u32 = 10_000;

fn address(number: u32) -> IpAddr {
    IpAddr::from([10, 1, number.to_be_bytes()[2], number.to_be_bytes()[3]])
}

/// `b` with all addresses, each tenth of them ranked first to `a`, the rest to `c` or `d`.
fn standby() -> Node1 {
    let mut node = Node1::ready("b");
    let ranked = |first: &str, rest: [&str; 2]| [first, rest[0], rest[1]].map(str::to_owned);
    let rankings = [ranked("a", ["b", "c"]), ranked("c", ["b", "d"]), ranked("d", ["c", "b"])];
    let of = |number: u32| &rankings[if number.is_multiple_of(10) { 0 } else { 1 + (number % 2) as usize }];
    let all = (0..ADDRESSES).map(|number| Address {
        address: address(number),
        phase: Phase::Bound,
        nodes: of(number),
        segments: &[SEGMENT],
        failback: Failback::AtOnce,
        conflict: Conflict::Defend,
    });
    node.machine.set_addresses(node.now, all);
    for other in ["a", "c", "d"] {
        node.session(other, Reading::Up);
    }
    node.pass(ms(10));
    node
}

#[test]
fn thousand_addresses_of_a_dead_node_are_taken_in_one_call_and_no_other_is_looked_at() {
    let mut node = standby();
    node.session("a", Reading::Down);
    assert_eq!(node.machine.dirty.len(), 1_000);
    for _ in 0..5 {
        node.poll();
        node.now += ms(10);
    }

    let outputs = node.poll();

    let answers = outputs.iter().filter(|output| matches!(output, Output::Answer { .. })).count();
    assert_eq!((answers, node.machine.held()), (1_000, 1_000));
    assert_eq!(announcements(&outputs), 1_000);
}

#[test]
fn snapshot_that_says_the_same_changes_nothing_and_one_that_differs_in_one_touches_one() {
    let mut node = standby();
    let same = |node: &Node1| node.machine.dirty.is_empty();
    node.machine.set_links(node.now, [Link { segment: SEGMENT, mac: mac("b"), running: true }]);
    assert!(same(&node));

    let nodes = ["b".to_owned(), "a".to_owned()];
    let changed = Address {
        address: address(10),
        phase: Phase::Bound,
        nodes: &nodes,
        segments: &[SEGMENT],
        failback: Failback::AtOnce,
        conflict: Conflict::Defend,
    };
    node.machine.set_address(node.now, changed);

    assert_eq!(node.machine.dirty.len(), 1);
    node.poll();
    node.machine.set_address(node.now, changed);
    assert!(same(&node));
}

#[test]
fn quiet_machine_is_woken_for_audits_and_refreshes_only_and_not_for_all_at_once() {
    let mut node = standby();
    let mut most = 0;
    let mut asked = BTreeSet::new();
    for _ in 0..600 {
        let outputs = node.pass_answered(ms(50), |to| to.map(|mac| if mac[5] == b'a' { "a" } else { "c" }));
        most = most.max(probes(&outputs).len());
        asked.extend(outputs.iter().filter_map(
            |output| {
                if let Output::Probe { key, .. } = output { Some(*key) } else { None }
            },
        ));
    }
    assert_eq!(asked.len(), ADDRESSES as usize, "every address, with its turn");
    assert!(most <= 60, "{most} at once: their answers would be missed");
}
