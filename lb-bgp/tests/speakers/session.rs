//! Sessions come up, tell routes, and end.

use lb_bgp::{Action, Event, PeerState, Stop};

use crate::net::{Net, Side, pair, routes};

#[test]
fn a_session_comes_up_and_routes_are_told() {
    let (left, right) = pair();
    let mut net = Net::new(left, right);
    net.left.peer.set_routes(routes(["192.0.2.128/25", "198.51.100.1/32"]));
    net.right.peer.set_routes(routes([]));
    net.run_secs(1);
    assert_eq!(net.states(), [PeerState::Established; 2]);
    let (left, right) = (net.left.peer.status(), net.right.peer.status());
    assert_eq!((left.told, right.counters.announced), (2, 2));
    // Both routes in one UPDATE, and an End-of-RIB of each family.
    assert_eq!(left.counters.sent.update, 3);
    assert!(left.settled && right.settled);
}

#[test]
fn a_change_is_one_update_and_no_change_is_none() {
    let (left, right) = pair();
    let mut net = Net::new(left, right);
    net.left.peer.set_routes(routes(["192.0.2.128/25", "198.51.100.1/32"]));
    net.run_secs(1);
    let before = net.left.peer.status().counters.sent.update;
    net.left.peer.set_routes(routes(["192.0.2.128/25", "198.51.100.1/32"]));
    net.run_secs(600);
    assert_eq!(net.left.peer.status().counters.sent.update, before);
    net.left.peer.set_routes(routes(["192.0.2.128/25"]));
    net.run_secs(1);
    assert_eq!(net.left.peer.status().counters.sent.update, before + 1);
    assert_eq!(net.right.peer.status().counters.withdrawn, 1);
    assert_eq!(net.states(), [PeerState::Established; 2]);
}

#[test]
fn a_shutdown_withdraws_then_says_why() {
    let (left, right) = pair();
    let mut net = Net::new(left, right);
    net.left.peer.set_routes(routes(["192.0.2.128/25"]));
    net.run_secs(1);
    net.tell(Side::Left, Event::Stop(Stop::Shutdown("drained")));
    assert!(net.left.peer.is_stopped());
    assert_eq!(net.right.peer.status().counters.withdrawn, 1);
    let down = net.downs(Side::Right);
    assert_eq!(down.len(), 1);
    assert!(down[0].to_string().contains("drained"), "{down:?}");
    net.run_secs(600);
    assert!(!net.left.log.iter().any(|action| matches!(action, Action::Connect(_))) || net.left.peer.is_stopped());
}
