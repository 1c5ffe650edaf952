//! Both sides connect at the same time: one connection stays, whichever comes first (RFC 4271 §6.8).

use lb_bgp::{Action, PeerConfig, PeerState};
use proptest::prelude::*;

use crate::net::{Net, Side, config, routes};

fn both_dial(left_id: &str, right_id: &str) -> (PeerConfig, PeerConfig) {
    (config(64512, 64513, left_id), config(64513, 64512, right_id))
}

fn comes_to_rest(mut net: Net) {
    net.left.peer.set_routes(routes(["192.0.2.128/25"]));
    net.right.peer.set_routes(routes(["198.51.100.0/24"]));
    net.run_secs(5);
    assert_eq!((net.states(), net.wires()), ([PeerState::Established; 2], 1));
    net.run_secs(300);
    assert_eq!((net.states(), net.wires()), ([PeerState::Established; 2], 1));
    for side in [Side::Left, Side::Right] {
        let status = net.node(side).peer.status();
        assert_eq!((status.counters.established, status.counters.withdrawn), (1, 0));
        assert_eq!(status.last_down, None, "the connection that lost was no failure");
        assert!(net.downs(side).is_empty());
    }
}

#[test]
fn the_side_of_the_higher_identifier_keeps_its_connection() {
    for (left, right) in [("192.0.2.1", "192.0.2.2"), ("192.0.2.2", "192.0.2.1"), ("192.0.2.1", "192.0.2.1")] {
        let (left, right) = both_dial(left, right);
        comes_to_rest(Net::new(left, right));
    }
}

#[test]
fn a_call_that_nobody_answers_is_given_up_when_the_peer_comes_first() {
    let (left, right) = both_dial("192.0.2.1", "192.0.2.2");
    let mut net = Net::new(left, right);
    net.right.silent = true;
    net.run_secs(60);
    assert_eq!((net.states(), net.wires()), ([PeerState::Established; 2], 1));
    let log = &net.left.log;
    assert!(
        matches!(log[..], [Action::Connect(dialled), Action::Close { conn, .. }, Action::Up(_)] if dialled == conn),
        "{log:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Calls get through and octets arrive in any order.
    #[test]
    fn one_connection_stays_whatever_is_delivered_first(
        order in prop::collection::vec((0_usize..5, 1_usize..80), 1..60),
        left in prop::sample::select(vec!["192.0.2.1", "192.0.2.3"]),
        right in prop::sample::select(vec!["192.0.2.2", "192.0.2.3"]),
    ) {
        let (left, right) = both_dial(left, right);
        let mut net = Net::new(left, right);
        net.order = order;
        comes_to_rest(net);
    }
}
