//! Graceful restart as the side that restarts: the peer is left without a word, and keeps what it was told.

use lb_bgp::{Event, Peer, PeerState, RestartTime, Stop};

use crate::net::{Net, Side, config, pair, routes};

fn restarting() -> (lb_bgp::PeerConfig, lb_bgp::PeerConfig) {
    let (mut left, mut right) = pair();
    left.graceful_restart = Some(RestartTime::MAX);
    right.graceful_restart = Some(RestartTime::MAX);
    (left, right)
}

fn net() -> Net {
    let (left, right) = restarting();
    let mut net = Net::new(left, right);
    net.left.peer.set_routes(routes(["192.0.2.128/25"]));
    net.run_secs(1);
    assert_eq!(net.states(), [PeerState::Established; 2]);
    net
}

#[test]
fn a_restart_says_nothing_and_the_next_process_says_that_it_is_one() {
    let mut net = net();
    assert!(!net.right.peer.status().negotiated.unwrap().graceful_restart.unwrap().restarting);
    net.tell(Side::Left, Event::Stop(Stop::Restart));
    assert!(net.left.peer.is_stopped());
    let right = net.right.peer.status();
    assert_eq!((right.counters.received.notification, right.counters.withdrawn), (0, 0));
    assert_eq!(right.last_down.unwrap().to_string(), "the connection was closed without a NOTIFICATION");

    net.left.peer = Peer::new(net.now, restarting().0, true, 3).unwrap();
    net.run_secs(1);
    assert_eq!(net.states(), [PeerState::Established; 2]);
    let restart = net.right.peer.status().negotiated.unwrap().graceful_restart.unwrap();
    assert!(restart.restarting && restart.notification && restart.forwarding.v4 == Some(true));
    // Until the routes are known, End-of-RIB waits: the peer would drop what it kept.
    net.run_secs(20);
    assert_eq!(net.right.peer.status().counters.end_of_rib, 2); // of the session before
    net.left.peer.set_routes(routes(["192.0.2.128/25"]));
    net.run_secs(1);
    let right = net.right.peer.status();
    assert_eq!((right.counters.end_of_rib, right.counters.withdrawn), (4, 0));

    // A session that is lost later is no restart.
    net.tell(Side::Right, Event::Reset("again"));
    net.run_secs(5);
    assert!(!net.right.peer.status().negotiated.unwrap().graceful_restart.unwrap().restarting);
}

#[test]
fn a_shutdown_is_a_hard_reset_where_notifications_keep_routes() {
    let mut net = net();
    net.tell(Side::Left, Event::Stop(Stop::Shutdown("drained")));
    assert_eq!(net.right.peer.status().counters.withdrawn, 1);
    let down = net.downs(Side::Right);
    assert!(
        down[0].to_string().contains("hard reset (6/9): cease: administrative shutdown (6/2): \"drained\""),
        "{down:?}"
    );
}

#[test]
fn a_path_that_bfd_calls_dead_is_a_hard_reset_and_a_new_policy_is_none() {
    let mut net = net();
    net.tell(Side::Left, Event::BfdDown);
    assert!(net.downs(Side::Right)[0].to_string().contains("hard reset (6/9): cease: BFD down (6/10)"));
    net.run_secs(5);
    net.tell(Side::Left, Event::Reset("new policy"));
    assert!(net.downs(Side::Right)[0].to_string().contains("administrative reset (6/4)"));
}

#[test]
fn a_peer_that_connects_anew_has_restarted() {
    // RFC 4724 §5. The right side lost its state without a word; the left one has seen nothing of it.
    let mut left = config(64512, 64513, "192.0.2.1");
    let mut right = config(64513, 64512, "192.0.2.2");
    left.graceful_restart = Some(RestartTime::MAX);
    right.graceful_restart = Some(RestartTime::MAX);
    left.passive = true;
    let mut net = Net::new(left.clone(), right.clone());
    net.left.peer.set_routes(routes(["192.0.2.128/25"]));
    net.run_secs(20);
    net.right.peer = Peer::new(net.now, right, true, 4).unwrap();
    net.run_secs(1);
    assert_eq!(net.states(), [PeerState::Established; 2]);
    assert_eq!(net.downs(Side::Left).len(), 1);
    assert_eq!(net.right.peer.status().counters.announced, 1);
}

#[test]
fn without_graceful_restart_the_session_that_is_up_stays() {
    // RFC 4271 §6.8: the newly created connection is closed.
    let mut left = config(64512, 64513, "192.0.2.1");
    let right = config(64513, 64512, "192.0.2.2");
    left.passive = true;
    let mut net = Net::new(left, right.clone());
    net.run_secs(20);
    let refused = net.left.peer.accept(net.now, "192.0.2.1".parse().unwrap()).expect_err("refused");
    assert_eq!(refused[18..], [3, 6, 7]);
    assert_eq!(net.states(), [PeerState::Established; 2]);
}
