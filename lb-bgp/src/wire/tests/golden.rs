//! What we send, and what we read of OPEN, NOTIFICATION and ROUTE-REFRESH.

use std::time::Duration;

use super::*;
use crate::{
    config::{PeerAs, PeerConfig, RestartTime},
    open::{self, Capabilities, GracefulRestart, Open},
    rib::Export,
    route::{LargeCommunity, NextHop, PathAttributes, Untellable},
    types::{Asn, Families, PerFamily, Prefix, RouterId},
};

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

fn export(internal: bool) -> Export {
    Export {
        local_as: asn(64512),
        internal,
        families: Families::BOTH,
        next_hops: PerFamily {
            v4: Some(NextHop::V4("192.0.2.1".parse().unwrap())),
            v6: Some(NextHop::V6 { global: "2001:db8::1".parse().unwrap(), link_local: None }),
        },
        four_octet_as: true,
        extended_message: false,
        enhanced_refresh: false,
        draining: false,
    }
}

fn prefixes(list: &[&str]) -> Vec<Prefix> {
    let prefix = |text: &&str| {
        let (address, length) = text.split_once('/').unwrap();
        Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
    };
    list.iter().map(prefix).collect()
}

#[test]
fn open_with_every_capability() {
    let id = RouterId::new("192.0.2.1".parse().unwrap()).unwrap();
    let mut config = PeerConfig::new(asn(64512), PeerAs::Exactly(asn(64513)), id);
    config.graceful_restart = Some(RestartTime::MAX);
    config.extended_next_hop = true;
    let expected = "04 fc00 005a c0000201 2e 02 2c
        01 04 0001 00 01            01 04 0002 00 01
        02 00
        05 06 0001 0001 0002
        06 00
        40 0a c01e 0001 01 80 0002 01 80
        41 04 0000fc00
        46 00";
    assert_eq!(encode_open(&open::ours(&config, true)), message(1, &hex(expected)));
    // An AS number that does not fit is 23456 in the field of two octets (RFC 6793 §4.2.2).
    config.local_as = asn(4_200_000_000);
    let open = encode_open(&open::ours(&config, false));
    assert_eq!(open[20..22], [0x5b, 0xa0]);
    assert!(open.windows(6).any(|capability| capability == [0x41, 4, 0xfa, 0x56, 0xea, 0x00]));
}

#[test]
fn open_of_another_speaker() {
    // Capabilities in parameters of their own, IPv4 labeled unicast among the families, an unknown one, LLGR.
    let body = "04 5ba0 00b4 0a000001 3a
        02 06 01 04 0001 00 01      02 06 01 04 0001 00 04
        02 02 80 00                 02 02 02 00
        02 06 41 04 000186a0
        02 10 40 0e 8078 0001 01 00 0002 01 80 0019 41 00
        02 06 ef 04 01020304";
    let open = decode_open(message(1, &hex(body))).unwrap();
    let expected = Open {
        my_as: 23456,
        hold_time: 180,
        router_id: "10.0.0.1".parse().unwrap(),
        capabilities: Capabilities {
            families: Some(Families { v4: true, v6: false }),
            four_octet_as: Some(100_000),
            route_refresh: true,
            graceful_restart: Some(GracefulRestart {
                restarting: true,
                notification: false,
                restart_time: Duration::from_secs(120),
                forwarding: PerFamily { v4: Some(false), v6: Some(true) },
            }),
            ..Capabilities::default()
        },
    };
    assert_eq!(open, expected);
}

#[test]
fn open_that_cannot_be_read_has_its_subcode() {
    let refused = |body: &str| {
        let error = decode_open(message(1, &hex(body))).expect_err("unreadable");
        (error.code, error.subcode, error.data)
    };
    // RFC 4271 §6.2: the data of 2/1 is the largest version that is spoken.
    assert_eq!(refused("03 fc01 005a c0000202 00"), (2, 1, vec![0, 4]));
    assert_eq!(refused("04 fc01 005a c0000202 02 01 00"), (2, 4, vec![]));
    assert_eq!(refused("04 fc01 005a c0000202 05 02 04 01"), (2, 0, vec![]));
    assert_eq!(refused("04 fc01 005a c0000202 03 02 05 01"), (2, 0, vec![]));
}

#[test]
fn extended_next_hop_beside_a_family_that_nobody_here_knows() {
    // RFC 8950 §4: AFI 1 SAFI 1 next hop AFI 2, and a SAFI that is not assigned.
    let open = "04 fc01 005a c0000202 10 02 0e 05 0c 0001 0001 0002 0001 00fa 0002";
    assert!(decode_open(message(1, &hex(open))).unwrap().capabilities.extended_next_hop);
}

#[test]
fn update_to_an_external_peer() {
    let attributes = PathAttributes {
        communities: ["64512:100".parse().unwrap()].into(),
        large_communities: [LargeCommunity { global: 64512, local1: 1, local2: 2 }].into(),
        ..PathAttributes::default()
    };
    let prefixes = prefixes(&["192.0.2.128/25", "198.51.100.1/32"]);
    let expected = "0000 002a
        40 01 01 00
        40 02 06 02 01 0000fc00
        40 03 04 c0000201
        c0 08 04 fc000064
        c0 20 0c 0000fc00 00000001 00000002
        19 c0000280
        20 c6336401";
    assert_eq!(announce(&export(false), Family::V4, &attributes, &prefixes), Ok(message(2, &hex(expected))));
}

#[test]
fn update_to_an_internal_peer() {
    let attributes = PathAttributes { local_pref: Some(300), med: Some(7), ..PathAttributes::default() };
    let expected = "0000 001c
        40 01 01 00
        40 02 00
        40 03 04 c0000201
        80 04 04 00000007
        40 05 04 0000012c
        18 cb0071";
    let prefixes = prefixes(&["203.0.113.0/24"]);
    assert_eq!(announce(&export(true), Family::V4, &attributes, &prefixes), Ok(message(2, &hex(expected))));
}

#[test]
fn update_to_a_speaker_of_two_octets() {
    // RFC 6793 §4.2.2: AS_TRANS in AS_PATH, the number itself in AS4_PATH. Any order of attributes is allowed.
    let mut export = export(false);
    export.local_as = asn(4_200_000_000);
    export.four_octet_as = false;
    let expected = "0000 001b
        40 01 01 00
        40 02 04 02 01 5ba0
        c0 11 06 02 01 fa56ea00
        40 03 04 c0000201
        00";
    let everything = prefixes(&["0.0.0.0/0"]);
    assert_eq!(announce(&export, Family::V4, &PathAttributes::default(), &everything), Ok(message(2, &hex(expected))));
}

#[test]
fn update_of_ipv6_begins_with_the_prefixes() {
    // RFC 7606 §5.1: MP_REACH_NLRI first. RFC 2545 §3: 32 octets of next hop on a shared link.
    let mut export = export(false);
    let expected = "0000 002c
        80 0e 1c 0002 01 10 20010db8000000000000000000000001 00 30 20010db80001
        40 01 01 00
        40 02 06 02 01 0000fc00";
    let prefixes = prefixes(&["2001:db8:1::/48"]);
    let attributes = PathAttributes::default();
    assert_eq!(announce(&export, Family::V6, &attributes, &prefixes), Ok(message(2, &hex(expected))));

    let (global, link_local) = ("2001:db8::1".parse().unwrap(), Some("fe80::1".parse().unwrap()));
    export.next_hops.v6 = Some(NextHop::V6 { global, link_local });
    let expected = "0000 003c
        80 0e 2c 0002 01 20 20010db8000000000000000000000001 fe800000000000000000000000000001 00 30 20010db80001
        40 01 01 00
        40 02 06 02 01 0000fc00";
    assert_eq!(announce(&export, Family::V6, &attributes, &prefixes), Ok(message(2, &hex(expected))));
}

#[test]
fn update_of_ipv4_with_an_ipv6_next_hop() {
    // RFC 8950 §3, as an unnumbered session has it.
    let mut export = export(false);
    let link = "fe80::1".parse().unwrap();
    export.next_hops.v4 = Some(NextHop::V6 { global: link, link_local: Some(link) });
    let expected = "0000 003a
        80 0e 2a 0001 01 20 fe800000000000000000000000000001 fe800000000000000000000000000001 00 20 c0000207
        40 01 01 00
        40 02 06 02 01 0000fc00";
    let prefixes = prefixes(&["192.0.2.7/32"]);
    assert_eq!(announce(&export, Family::V4, &PathAttributes::default(), &prefixes), Ok(message(2, &hex(expected))));
    let expected = "0000 000b 80 0f 08 0001 01 20 c0000207";
    assert_eq!(withdraw(&export, Family::V4, &prefixes), Ok(message(2, &hex(expected))));
}

#[test]
fn withdrawals_and_the_end_of_the_initial_routes() {
    let export = export(false);
    let v4 = prefixes(&["192.0.2.128/25", "0.0.0.0/0"]);
    let v6 = prefixes(&["2001:db8::7/128"]);
    let expected = "0006 19 c0000280 00 0000";
    assert_eq!(withdraw(&export, Family::V4, &v4), Ok(message(2, &hex(expected))));
    let expected = "0000 0017 80 0f 14 0002 01 80 20010db8000000000000000000000007";
    assert_eq!(withdraw(&export, Family::V6, &v6), Ok(message(2, &hex(expected))));
    // RFC 4724 §2.
    assert_eq!(end_of_rib(&export, Family::V4), Ok(message(2, &hex("0000 0000"))));
    assert_eq!(end_of_rib(&export, Family::V6), Ok(message(2, &hex("0000 0006 80 0f 03 0002 01"))));
}

#[test]
fn the_end_of_the_initial_routes_is_read_as_what_it_is() {
    let export = export(false);
    for family in Family::ALL {
        let received = decode_update(end_of_rib(&export, family).unwrap(), true, false).unwrap();
        assert_eq!((received.end_of_rib, received.verdict), (Some(family), Verdict::Clean));
    }
    let withdrawal = withdraw(&export, Family::V6, &prefixes(&["2001:db8::7/128"])).unwrap();
    let received = decode_update(withdrawal, true, false).unwrap();
    assert_eq!((received.end_of_rib, received.withdrawn), (None, 1));
}

#[test]
fn what_has_no_way_to_be_told_is_said() {
    let mut export = export(false);
    export.families = Families::only(Family::V4);
    let attributes = PathAttributes::default();
    assert_eq!(announce(&export, Family::V6, &attributes, &[]), Err(Untellable::Family));
    export.next_hops.v4 = None;
    assert_eq!(announce(&export, Family::V4, &attributes, &[]), Err(Untellable::NextHop));
    export = self::export(false);
    let communities = (0..1100).map(crate::route::Community::from_bits).collect();
    let long = PathAttributes { communities, ..PathAttributes::default() };
    assert_eq!(announce(&export, Family::V4, &long, &[]), Err(Untellable::TooLong));
}

#[test]
fn the_short_messages() {
    assert_eq!(keepalive(), message(4, &[]));
    assert_eq!(encode_notification(&Notification::HOLD_TIMER_EXPIRED), message(3, &[4, 0]));
    assert_eq!(encode_notification(&Notification::shutdown("bye")), message(3, b"\x06\x02\x03bye"));
    // RFC 7313 §3.2: subtype 1 begins, 2 ends.
    assert_eq!(demarcation(Family::V4, Demarcation::Begin), message(5, &[0, 1, 1, 1]));
    assert_eq!(demarcation(Family::V6, Demarcation::End), message(5, &[0, 2, 2, 1]));
}

#[test]
fn a_notification_is_kept_in_bounds() {
    let long = message(3, &[&[3, 4][..], &[7; 60_000]].concat());
    let received = decode_notification(long);
    assert_eq!((received.code, received.subcode, received.data.len()), (3, 4, 512));
    let ours = Notification { code: 3, subcode: 5, data: vec![7; 60_000] };
    assert!(encode_notification(&ours).len() < 4096);
}

#[test]
fn a_refresh_is_for_a_family() {
    let asked = |body: &[u8], enhanced| decode_refresh(&message(5, body), enhanced).map_err(|error| error.name());
    assert_eq!(asked(&[0, 1, 0, 1], true), Ok(Refresh::Asked(Family::V4)));
    assert_eq!(asked(&[0, 2, 0, 1], false), Ok(Refresh::Asked(Family::V6)));
    // RFC 7313 §5: what is not known, and the peer's own marks.
    assert_eq!(asked(&[0, 1, 0, 128], true), Ok(Refresh::Ignored));
    assert_eq!(asked(&[0, 25, 0, 1], true), Ok(Refresh::Ignored));
    assert_eq!([1, 2, 3, 255].map(|subtype| asked(&[0, 1, subtype, 1], true)), [Ok(Refresh::Ignored); 4]);
    // RFC 2918 §3: the octet is reserved.
    assert_eq!(asked(&[0, 1, 7, 1], false), Ok(Refresh::Asked(Family::V4)));
    // RFC 7313 §5: a mark of a wrong length.
    assert_eq!(asked(&[0, 1, 1, 1, 0], true), Err("invalid ROUTE-REFRESH length"));
    assert_eq!(decode_refresh(&message(5, &[0, 1, 2, 1, 9]), true).unwrap_err().data, message(5, &[0, 1, 2, 1, 9]));
    // An outbound route filter (RFC 5291) was never offered: the routes are told all the same.
    assert_eq!(asked(&[0, 1, 0, 1, 1, 128, 0, 0], true), Ok(Refresh::Asked(Family::V4)));
}
