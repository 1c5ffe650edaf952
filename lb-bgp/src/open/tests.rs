//! Which OPENs are refused with which subcode, and what follows from those that are taken.

use super::*;
use crate::{
    config::{HoldTime, PeerAs, RestartTime},
    types::Family,
};

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

fn config() -> PeerConfig {
    let id = RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).unwrap();
    let mut config = PeerConfig::new(asn(64512), PeerAs::Exactly(asn(64513)), id);
    config.graceful_restart = Some(RestartTime::MAX);
    config
}

/// A peer that answers with the same capabilities.
fn theirs(change: impl FnOnce(&mut Open)) -> Open {
    let mut peer = config();
    peer.local_as = asn(64513);
    peer.router_id = RouterId::new(Ipv4Addr::new(192, 0, 2, 2)).unwrap();
    let mut open = ours(&peer, false);
    change(&mut open);
    open
}

fn refused(change: impl FnOnce(&mut Open)) -> (u8, u8) {
    let error = judge(&config(), &theirs(change)).expect_err("refused");
    let notification = Notification::from(&error);
    (notification.code, notification.subcode)
}

#[test]
fn a_good_open_is_taken() {
    let agreed = judge(&config(), &theirs(|_| ())).unwrap();
    assert_eq!((agreed.peer_as, agreed.internal, agreed.families), (asn(64513), false, Families::BOTH));
    assert_eq!((agreed.hold_time, agreed.keepalive), (Duration::from_secs(90), Duration::from_secs(30)));
    assert!(agreed.four_octet_as && agreed.extended_message && agreed.enhanced_refresh && agreed.hard_reset);
}

#[test]
fn each_refusal_has_its_subcode() {
    // RFC 4271 §6.2, RFC 7607 §2, RFC 6286 §2.2, RFC 5492 §3.
    assert_eq!(refused(|open| open.capabilities.four_octet_as = Some(64514)), (2, 2));
    assert_eq!(refused(|open| open.capabilities.four_octet_as = Some(0)), (2, 2));
    assert_eq!(refused(|open| open.capabilities.four_octet_as = Some(23456)), (2, 2));
    assert_eq!(refused(|open| open.router_id = Ipv4Addr::UNSPECIFIED), (2, 3));
    assert_eq!(refused(|open| open.hold_time = 1), (2, 6));
    assert_eq!(refused(|open| open.hold_time = 2), (2, 6));
    assert_eq!(refused(|open| open.capabilities.families = Some(Families::NONE)), (2, 7));
}

#[test]
fn a_missing_family_is_named() {
    let mut config = config();
    config.families = Families::only(Family::V6);
    let error = judge(&config, &theirs(|open| open.capabilities.families = None)).expect_err("IPv4 only");
    // RFC 4760 §8: capability 1 of length 4: AFI 2, reserved, SAFI 1.
    assert_eq!(Notification::from(&error).data, [1, 4, 0, 2, 0, 1]);
}

#[test]
fn the_same_router_id_is_refused_within_one_as_only() {
    let same = |open: &mut Open| open.router_id = Ipv4Addr::new(192, 0, 2, 1);
    assert!(judge(&config(), &theirs(same)).is_ok()); // RFC 6286 §2.1: unique within an AS
    let mut config = config();
    config.local_as = asn(64513);
    config.peer_as = PeerAs::Internal;
    assert_eq!(judge(&config, &theirs(same)), Err(OpenError::RouterId(Ipv4Addr::new(192, 0, 2, 1))));
}

#[test]
fn a_speaker_of_two_octets_is_believed_by_its_as_field() {
    let old = theirs(|open| open.capabilities = Capabilities::default());
    let agreed = judge(&config(), &old).unwrap();
    assert_eq!((agreed.peer_as, agreed.four_octet_as), (asn(64513), false));
    assert_eq!(agreed.families, Families::only(Family::V4)); // RFC 4760 §8
    assert!(!agreed.extended_message && !agreed.hard_reset);
}

#[test]
fn an_as_of_four_octets_is_told_by_the_capability() {
    let mut config = config();
    config.local_as = asn(4_200_000_000);
    let open = ours(&config, false);
    assert_eq!((open.my_as, open.capabilities.four_octet_as), (23456, Some(4_200_000_000)));
}

#[test]
fn the_lower_hold_time_counts() {
    let agreed = |ours, keepalive, theirs_hold| {
        let mut config = config();
        config.hold_time = HoldTime::new(Duration::from_secs(ours)).unwrap();
        config.keepalive = Option::map(keepalive, Duration::from_secs);
        let agreed = judge(&config, &theirs(|open| open.hold_time = theirs_hold)).unwrap();
        (agreed.hold_time.as_secs(), agreed.keepalive.as_secs())
    };
    assert_eq!(agreed(90, None, 30), (30, 10));
    assert_eq!(agreed(9, Some(2), 180), (9, 2));
    assert_eq!(agreed(90, Some(40), 30), (30, 10)); // configured for a longer hold time
    assert_eq!(agreed(90, None, 0), (0, 0));
    assert_eq!(agreed(0, None, 90), (0, 0));
}

#[test]
fn the_restart_bit_is_set_only_after_a_restart() {
    let bit = |restarted| ours(&config(), restarted).capabilities.graceful_restart.map(|restart| restart.restarting);
    assert_eq!((bit(false), bit(true)), (Some(false), Some(true)));
    // The forwarding bit is always set, else the peer would drop the routes it kept (RFC 4724 §4.2).
    let restart = ours(&config(), false).capabilities.graceful_restart.unwrap();
    assert_eq!(restart.forwarding, PerFamily { v4: Some(true), v6: Some(true) });
    assert!(restart.notification);
}

#[test]
fn without_graceful_restart_a_shutdown_needs_no_hard_reset() {
    let mut config = config();
    config.graceful_restart = None;
    assert!(!judge(&config, &theirs(|_| ())).unwrap().hard_reset);
}
