//! Messages of real routers, captured from sessions with this speaker: FRR 8.4.4, BIRD 2.0.12, GoBGP 3.10.0.

use std::time::Duration;

use super::*;
use crate::{
    open::{Capabilities, GracefulRestart, Open},
    types::{Families, PerFamily},
};

fn captured(text: &str) -> Vec<u8> {
    let octets = hex(text);
    let message = [&[0xFF; 16][..], &octets].concat();
    assert_eq!(usize::from(u16::from_be_bytes([octets[0], octets[1]])), message.len());
    message
}

/// What all three offered.
fn common() -> Capabilities {
    Capabilities {
        families: Some(Families::BOTH),
        four_octet_as: Some(64513),
        route_refresh: true,
        ..Capabilities::default()
    }
}

fn restart(restarting: bool, notification: bool, seconds: u64, forwarding: PerFamily<Option<bool>>) -> GracefulRestart {
    GracefulRestart { restarting, notification, restart_time: Duration::from_secs(seconds), forwarding }
}

#[test]
fn open_of_frr() {
    // One parameter for each capability; add-path, host name and long-lived restart are none of ours.
    let open = captured(
        "0078 01 04 fc01 0009 0a630002 5b
        0206 010400010001 0206 010400020001 0202 8000 0202 0200 0202 4600 0206 41040000fc01 0202 0600
        020a 4508 00010101 00020101 0205 49030172 00 020c 400a c078 00010100 00020100
        0210 470e 00010180000000 00020180000000",
    );
    let forwarding = PerFamily { v4: Some(false), v6: Some(false) };
    let expected = Open {
        my_as: 64513,
        hold_time: 9,
        router_id: "10.99.0.2".parse().unwrap(),
        capabilities: Capabilities {
            enhanced_refresh: true,
            extended_message: true,
            graceful_restart: Some(restart(true, true, 120, forwarding)),
            ..common()
        },
    };
    assert_eq!(decode_open(open), Ok(expected));
}

#[test]
fn open_of_bird() {
    let open = captured(
        "0045 01 04 fc01 0009 0a630003 28
        0226 010400010001 010400020001 0200 0600 400a 0078 00010100 00020100 41040000fc01 4600 4700",
    );
    let forwarding = PerFamily { v4: Some(false), v6: Some(false) };
    let expected = Open {
        my_as: 64513,
        hold_time: 9,
        router_id: "10.99.0.3".parse().unwrap(),
        capabilities: Capabilities {
            enhanced_refresh: true,
            extended_message: true,
            graceful_restart: Some(restart(false, false, 120, forwarding)),
            ..common()
        },
    };
    assert_eq!(decode_open(open), Ok(expected));
}

#[test]
fn open_of_gobgp() {
    let open = captured(
        "0049 01 04 fc01 0009 0a630004 2c
        022a 0200 490402766d00 010400010001 010400020001 41040000fc01 4006 4014 00010100 0506 000100010002",
    );
    let forwarding = PerFamily { v4: Some(false), v6: None };
    let expected = Open {
        my_as: 64513,
        hold_time: 9,
        router_id: "10.99.0.4".parse().unwrap(),
        capabilities: Capabilities {
            extended_next_hop: true,
            graceful_restart: Some(restart(false, true, 20, forwarding)),
            ..common()
        },
    };
    assert_eq!(decode_open(open), Ok(expected));
}

#[test]
fn our_own_routes_told_back_by_frr() {
    // Attributes with the extended length bit, our AS behind its own.
    let update = captured(
        "0055 02 0000 002f
        40010100 5002000a 0202 0000fc01 0000fc00 400304 0a630002 c00804 fc000064 c0200c 0000fc00 00000001 00000002
        20c6336400 20c6336402 20c6336401",
    );
    let received = decode_update(update, true, false).unwrap();
    assert_eq!((received.announced, received.withdrawn, received.verdict), (3, 0, Verdict::Clean));
}

#[test]
fn the_ends_of_the_initial_routes_of_bird_and_gobgp() {
    for (text, family) in [("0017 02 0000 0000", Family::V4), ("001d 02 0000 0006 800f03 000201", Family::V6)] {
        let received = decode_update(captured(text), true, false).unwrap();
        assert_eq!((received.end_of_rib, received.verdict), (Some(family), Verdict::Clean));
    }
}
