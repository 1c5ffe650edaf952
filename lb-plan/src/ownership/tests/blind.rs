//! A segment on which this node has lost its on-link addresses: nobody is missing there, but nobody can be seen.

use super::*;

fn blind(node: &mut Node1, is: bool) {
    let segments = if is { [SEGMENT].into() } else { [].into() };
    node.machine.set_blind(&segments);
}

#[test]
fn blind_node_takes_from_nobody_whatever_it_hears_and_begins_again_when_it_sees() {
    let mut node = Node1::ready("b");
    node.rank(1, &["a", "b"]);
    node.session("a", Reading::Up);
    node.pass(ms(100));

    blind(&mut node, true);
    node.session("a", Reading::Down);
    let outputs = node.pass(Duration::from_secs(60));
    assert_eq!(node.holding(1), Err(WhyNot::Blind));
    assert_eq!(probes(&outputs), [], "nor does it ask");

    blind(&mut node, false);
    node.pass(ms(100));
    assert_eq!(node.holding(1), Ok(Why::Silent));
}

#[test]
fn blind_node_keeps_what_it_holds_until_it_is_claimed() {
    let mut node = Node1::ready("b");
    node.rank(1, &["b", "a"]);
    node.session("a", Reading::Up);
    node.pass(ms(500));

    blind(&mut node, true);
    node.pass(Duration::from_secs(60));
    assert!(node.holds(1));

    node.claim("a", 1);
    node.pass(Duration::from_secs(60));
    assert_eq!(node.holding(1), Err(WhyNot::Blind));
}
