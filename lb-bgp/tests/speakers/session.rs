//! Sessions come up, tell routes, and end.

use std::time::Duration;

use lb_bgp::{Event, Families, Family, HoldTime, NextHops, PeerAs, PeerState, Stop};

use crate::net::{Net, Side, asn, config, pair, routes};

fn established() -> Net {
    let (left, right) = pair();
    let mut net = Net::new(left, right);
    net.left.peer.set_routes(routes(["192.0.2.128/25", "198.51.100.1/32"]));
    net.right.peer.set_routes(routes([]));
    net.run_secs(1);
    assert_eq!(net.states(), [PeerState::Established; 2]);
    net
}

#[test]
fn a_session_comes_up_and_routes_are_told() {
    let net = established();
    let (left, right) = (net.left.peer.status(), net.right.peer.status());
    assert_eq!((left.told, right.counters.announced), (2, 2));
    // Both routes in one UPDATE, and an End-of-RIB of each family.
    assert_eq!((left.counters.sent.update, right.counters.end_of_rib), (3, 2));
    assert!(left.settled && right.settled);
    assert_eq!(right.counters.treated_as_withdraw + right.counters.discarded, 0, "{:?}", right.last_malformed);
}

#[test]
fn a_change_is_one_update_and_no_change_is_none() {
    let mut net = established();
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
fn it_holds_for_a_day_on_keepalives_alone() {
    let mut net = established();
    net.run_secs(86_400);
    let left = net.left.peer.status();
    assert_eq!((left.state, left.counters.established, left.last_down), (PeerState::Established, 1, None));
    // Every 22.5 s to 30 s.
    assert!((2880..=3841).contains(&left.counters.sent.keepalive), "{}", left.counters.sent.keepalive);
}

#[test]
fn a_cut_wire_is_noticed_by_both_when_the_hold_time_is_over() {
    let mut net = established();
    net.connected = false;
    net.run_secs(95);
    assert!(net.downs(Side::Left).iter().any(|down| down.to_string().contains("hold timer expired (4/0)")));
    assert!(net.downs(Side::Right).iter().any(|down| down.to_string().contains("hold timer expired (4/0)")));
    net.run_secs(60);
    let waiting = net.left.peer.status();
    assert!(waiting.last_down.unwrap().to_string().contains("no answer"));
    net.connected = true;
    net.run_secs(60);
    assert_eq!(net.states(), [PeerState::Established; 2]);
    assert_eq!(net.right.peer.status().counters.announced, 4);
}

#[test]
fn a_shutdown_withdraws_then_says_why() {
    let mut net = established();
    net.tell(Side::Left, Event::Stop(Stop::Shutdown("drained")));
    assert!(net.left.peer.is_stopped());
    assert_eq!(net.right.peer.status().counters.withdrawn, 2);
    let down = net.downs(Side::Right);
    assert_eq!(down.len(), 1);
    assert!(down[0].to_string().contains("(6/2): \"drained\""), "{down:?}");
    net.run_secs(600);
    assert_eq!(net.states(), [PeerState::Stopped, PeerState::Active]);
    assert_eq!(net.wires(), 0);
}

#[test]
fn a_removed_peer_and_a_changed_one_are_told_so() {
    let mut net = established();
    net.tell(Side::Left, Event::Stop(Stop::Deconfigured));
    assert_eq!(net.right.peer.status().counters.withdrawn, 2);
    assert!(net.downs(Side::Right)[0].to_string().contains("(6/3)"));

    let mut net = established();
    net.tell(Side::Left, Event::Stop(Stop::Reconfigured));
    assert!(net.left.peer.is_stopped());
    assert_eq!(net.right.peer.status().counters.withdrawn, 0);
    assert!(net.downs(Side::Right)[0].to_string().contains("(6/6)"));
}

#[test]
fn a_drain_tells_the_routes_as_the_last_choice_and_keeps_them() {
    let mut net = established();
    let before = net.left.peer.status().counters.sent.update;
    net.left.peer.set_draining(true);
    net.run_secs(1);
    assert_eq!(net.left.peer.status().counters.sent.update, before + 1);
    assert_eq!(net.right.peer.status().counters.withdrawn, 0);
}

#[test]
fn bfd_down_ends_the_session_at_once_and_it_comes_back() {
    let mut net = established();
    net.tell(Side::Left, Event::BfdDown);
    assert_ne!(net.states()[0], PeerState::Established);
    assert!(net.downs(Side::Right)[0].to_string().contains("BFD down (6/10)"));
    net.run_secs(2);
    assert_eq!(net.states(), [PeerState::Established; 2]);
}

#[test]
fn a_reset_says_why_and_comes_back() {
    let mut net = established();
    net.tell(Side::Right, Event::Reset("new policy"));
    assert!(net.downs(Side::Left)[0].to_string().contains("(6/4): \"new policy\""));
    net.run_secs(2);
    assert_eq!(net.states(), [PeerState::Established; 2]);
}

#[test]
fn the_wrong_as_stays_down_and_both_say_why() {
    let (mut left, right) = pair();
    left.peer_as = PeerAs::Exactly(asn(64999));
    let mut net = Net::new(left, right);
    net.run_secs(600);
    let (left, right) = (net.left.peer.status(), net.right.peer.status());
    let why = left.last_down.unwrap().to_string();
    assert_eq!(why, "closed by us: bad peer AS (2/2): the peer says it is in AS 64513");
    assert_eq!(right.last_down.unwrap().to_string(), "closed by the peer: bad peer AS (2/2)");
    assert_eq!(left.counters.established + right.counters.established, 0);
}

#[test]
fn a_peer_that_refuses_right_after_open_is_not_hammered() {
    let (left, mut right) = pair();
    right.peer_as = PeerAs::Exactly(asn(64999));
    let mut net = Net::new(left, right);
    net.run_secs(3600);
    // 1 + 2 + 4 + 8 + 16 s, then every 30 s at most; jitter makes up to a third more.
    let opens = net.left.peer.status().counters.sent.open;
    assert!((110..=165).contains(&opens), "{opens} attempts in an hour");
    let errors = net.left.peer.status().last_down.unwrap().to_string();
    assert!(errors.contains("closed by the peer: bad peer AS"), "{errors}");
}

#[test]
fn a_peer_that_is_not_there_is_looked_for_again_and_again() {
    let (left, right) = pair();
    let mut net = Net::new(left, right);
    net.right.listens = false;
    net.run_secs(300);
    let status = net.left.peer.status();
    assert_eq!(status.last_down.unwrap().to_string(), "cannot connect: connection refused");
    net.right.listens = true;
    net.run_secs(31);
    assert_eq!(net.states(), [PeerState::Established; 2]);
}

#[test]
fn a_session_that_was_stable_is_tried_again_within_a_second() {
    let mut net = established();
    net.run_secs(60);
    for _ in 0..5 {
        net.tell(Side::Right, Event::Reset("again"));
        net.run_secs(1);
        assert_eq!(net.states(), [PeerState::Established; 2]);
        net.run_secs(60);
    }
}

#[test]
fn a_session_that_flaps_is_tried_ever_later() {
    let mut net = established();
    let start = net.now;
    let mut flaps = 0;
    while net.now - start < Duration::from_secs(600) {
        if net.states() == [PeerState::Established; 2] {
            net.tell(Side::Right, Event::Reset("again"));
            flaps += 1;
        }
        net.run(Duration::from_millis(100));
    }
    assert!((22..=32).contains(&flaps), "{flaps} sessions in ten minutes");
}

#[test]
fn each_side_may_be_internal_and_of_any_family() {
    let addresses = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"), ("fe80::1", "fe80::2")];
    for (left_at, right_at) in addresses {
        for internal in [false, true] {
            let peer_as = if internal { 64512 } else { 64513 };
            let (mut left, mut right) = (config(64512, peer_as, "192.0.2.1"), config(peer_as, 64512, "192.0.2.2"));
            (left.extended_next_hop, right.extended_next_hop) = (true, true);
            right.passive = true;
            left.next_hops = NextHops { v6: Some("2001:db8::1".parse().unwrap()), ..NextHops::default() };
            let mut net = Net::between(left, left_at, right, right_at);
            net.left.peer.set_routes(routes(["192.0.2.128/25", "2001:db8:1::/64"]));
            net.run_secs(1);
            let (left, right) = (net.left.peer.status(), net.right.peer.status());
            assert_eq!((left.told, left.untellable.len()), (2, 0), "{left_at} {internal}");
            assert_eq!((right.counters.announced, right.last_malformed), (2, None), "{left_at} {internal}");
            assert_eq!(left.negotiated.unwrap().internal, internal);
        }
    }
}

#[test]
fn a_family_that_one_side_does_not_speak_is_not_told() {
    let (left, mut right) = pair();
    right.families = Families::only(Family::V6);
    let mut net = Net::between(left, "2001:db8::1", right, "2001:db8::2");
    net.left.peer.set_routes(routes(["192.0.2.128/25", "2001:db8:1::/64"]));
    net.run_secs(1);
    let left = net.left.peer.status();
    assert_eq!((left.told, left.untellable.values().sum::<u64>()), (1, 1));
    assert_eq!(net.right.peer.status().counters.announced, 1);
}

#[test]
fn no_common_family_stays_down() {
    let (mut left, mut right) = pair();
    left.families = Families::only(Family::V4);
    right.families = Families::only(Family::V6);
    let mut net = Net::new(left, right);
    net.run_secs(60);
    let downs = [net.left.peer.status(), net.right.peer.status()].map(|status| status.last_down.unwrap().to_string());
    assert!(downs.iter().any(|down| down.contains("unsupported capability (2/7)")), "{downs:?}");
}

#[test]
fn the_lower_hold_time_is_kept_by_both() {
    let (left, mut right) = pair();
    right.hold_time = HoldTime::new(Duration::from_secs(9)).unwrap();
    let mut net = Net::new(left, right);
    net.run_secs(1);
    for status in [net.left.peer.status(), net.right.peer.status()] {
        let agreed = status.negotiated.unwrap();
        assert_eq!((agreed.hold_time.as_secs(), agreed.keepalive.as_secs()), (9, 3));
    }
    net.run_secs(60);
    assert_eq!(net.left.peer.status().counters.established, 1);
}
