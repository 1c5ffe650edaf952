//! Both sides connect at the same time: one connection stays, whichever comes first (RFC 4271 §6.8).

use lb_bgp::{PeerConfig, PeerState};
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Octets arrive in any order over the two connections.
    #[test]
    fn one_connection_stays_whatever_is_delivered_first(
        order in prop::collection::vec((0_usize..4, 1_usize..80), 1..200),
        left in prop::sample::select(vec!["192.0.2.1", "192.0.2.3"]),
        right in prop::sample::select(vec!["192.0.2.2", "192.0.2.3"]),
    ) {
        let (left, right) = both_dial(left, right);
        let mut net = Net::new(left, right);
        net.order = order;
        comes_to_rest(net);
    }
}
