//! What a BGP peer may send, before and after the session is up, in pieces of any length: no panic, output in bounds.
#![no_main]

use std::{net::Ipv4Addr, sync::Arc, time::Instant};

use lb_bgp::{Action, Asn, Event, Peer, PeerAs, PeerConfig, Prefix, RestartTime, RouterId};
use libfuzzer_sys::fuzz_target;

/// An OPEN of AS 64513, and a KEEPALIVE.
const UP: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x1d\x01\x04\xfc\x01\x00\x5a\xc0\x00\x02\x02\x00\
    \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x13\x04";

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (up, piece, stream) = input;
    let asn = |number| Asn::new(number).expect("an AS number");
    let id = RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).expect("an identifier");
    let mut config = PeerConfig::new(asn(64512), PeerAs::Exactly(asn(64513)), id);
    config.graceful_restart = Some(RestartTime::MAX);
    let now = Instant::now();
    let mut peer = Peer::new(now, config, false, 1).expect("a good configuration");
    peer.set_routes(Arc::new([(Prefix::host(Ipv4Addr::new(198, 51, 100, 1).into()), Arc::default())].into()));
    peer.handle(now, Event::Timer);
    let Some(Action::Connect(conn)) = peer.poll_action() else { panic!("no connection asked for") };
    peer.handle(now, Event::Connected { conn, local: Ipv4Addr::new(192, 0, 2, 1).into() });
    if up {
        peer.handle(now, Event::Received { conn, octets: UP });
    }
    for octets in stream.chunks(usize::from(piece).max(1)) {
        peer.handle(now, Event::Received { conn, octets });
        assert!(peer.output(now, conn).len() < 200_000);
    }
    assert_eq!(peer.status().counters.sent.open, 1);
});
