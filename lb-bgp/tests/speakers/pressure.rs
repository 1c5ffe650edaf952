//! Peers that do not behave: they do not read, they flood, they say anything. Nothing grows, and nothing panics.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lb_bgp::{Action, Community, Event, PathAttributes, Peer, PeerState, Prefix, Routes};

use crate::net::{Net, SOCKET, config, pair};

fn many(count: u32, tag: u32) -> Arc<Routes> {
    let attributes = |host: u32| {
        let communities = [Community::from_bits(tag ^ host)].into();
        Arc::new(PathAttributes { communities, ..PathAttributes::default() })
    };
    let prefix = |host: u32| Prefix::host(std::net::IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0A00_0000 + host)));
    Arc::new((0..count).map(|host| (prefix(host), attributes(host))).collect())
}

#[test]
fn a_peer_that_never_reads_holds_a_socket_and_a_window_and_is_given_up() {
    let (left, right) = pair();
    let mut net = Net::new(left, right);
    net.run_secs(1);
    net.right.reads = false;
    for tag in 0..50 {
        net.left.peer.set_routes(many(5000, tag << 16));
        net.run_secs(1);
        assert!(net.unread() <= SOCKET);
    }
    assert!(net.left.peer.status().told < 5000);
    // It is silent, too, for a real peer that hangs does neither.
    net.run_secs(95);
    assert_ne!(net.states()[0], PeerState::Established);
}

#[test]
fn a_peer_that_comes_back_to_reading_gets_the_last_state_only() {
    let (left, right) = pair();
    let mut net = Net::new(left, right);
    net.run_secs(1);
    net.right.reads = false;
    for tag in 0..50 {
        net.left.peer.set_routes(many(5000, tag << 16));
        net.run_secs(1);
    }
    net.right.reads = true;
    net.piece = 4096;
    net.run_secs(1);
    assert!(net.left.peer.status().settled);
    // The socket's and the window's content of before, then each route once.
    let announced = net.right.peer.status().counters.announced;
    assert!((5000..8500).contains(&announced), "{announced}");
}

/// A peer whose session is up, talked to by hand.
struct Alone {
    peer: Peer,
    now: Instant,
    conn: lb_bgp::ConnId,
}

fn alone() -> Alone {
    let now = Instant::now();
    let mut peer = Peer::new(now, config(64512, 64513, "192.0.2.1"), false, 1).expect("a good configuration");
    peer.handle(now, Event::Timer);
    let Some(Action::Connect(conn)) = peer.poll_action() else { panic!("no connection asked for") };
    peer.handle(now, Event::Connected { conn, local: std::net::Ipv4Addr::new(192, 0, 2, 1).into() });
    peer.set_routes(many(1000, 0));
    let mut alone = Alone { peer, now, conn };
    alone.read(&message(1, &[4, 0xFC, 1, 0, 90, 192, 0, 2, 2, 0]));
    alone.read(&message(4, &[]));
    assert_eq!(alone.peer.status().state, PeerState::Established);
    alone
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).expect("a message");
    [&[0xFF; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

impl Alone {
    fn read(&mut self, octets: &[u8]) {
        self.peer.handle(self.now, Event::Received { conn: self.conn, octets });
    }

    fn pending(&mut self) -> usize {
        self.peer.output(self.now, self.conn).len()
    }
}

/// A peer of identifier `id` that has called one that is 192.0.2.2, and was called by it.
fn called_and_calling(id: &str) -> (Peer, Instant, [lb_bgp::ConnId; 2]) {
    let now = Instant::now();
    let local = std::net::Ipv4Addr::new(192, 0, 2, 1).into();
    let mut peer = Peer::new(now, config(64512, 64513, id), false, 1).expect("a good configuration");
    peer.handle(now, Event::Timer);
    let Some(Action::Connect(ours)) = peer.poll_action() else { panic!("no connection asked for") };
    peer.handle(now, Event::Connected { conn: ours, local });
    let open = message(1, &[4, 0xFC, 1, 0, 90, 192, 0, 2, 2, 0]);
    peer.handle(now, Event::Received { conn: ours, octets: &open });
    let theirs = peer.accept(now, local).expect("it is wanted");
    (peer, now, [ours, theirs])
}

fn closed(peer: &mut Peer) -> Vec<(lb_bgp::ConnId, Option<[u8; 2]>)> {
    let closed = |action| match action {
        Action::Close { conn, last_words } => Some((conn, last_words.last_chunk().copied())),
        Action::Connect(_) | Action::Up(_) | Action::Down(_) | Action::Failed(_) => None,
    };
    std::iter::from_fn(|| peer.poll_action()).filter_map(closed).collect()
}

#[test]
fn a_call_that_comes_while_ours_is_nearly_up_is_refused_when_it_is() {
    let (mut peer, now, [ours, theirs]) = called_and_calling("192.0.2.3");
    peer.handle(now, Event::Received { conn: ours, octets: &message(4, &[]) });
    assert_eq!(closed(&mut peer), [(theirs, Some([6, 7]))]);
    assert_eq!(peer.status().state, PeerState::Established);
}

#[test]
fn a_peer_that_brings_both_connections_up_keeps_the_later_one() {
    // It should have chosen. What it said last is what it wants.
    let (mut peer, now, [ours, theirs]) = called_and_calling("192.0.2.1");
    peer.handle(now, Event::Received { conn: ours, octets: &message(4, &[]) });
    assert_eq!(closed(&mut peer), []);
    let open = message(1, &[4, 0xFC, 1, 0, 90, 192, 0, 2, 2, 0]);
    peer.handle(now, Event::Received { conn: theirs, octets: &[open, message(4, &[])].concat() });
    assert_eq!(closed(&mut peer), [(ours, Some([6, 7]))]);
    assert_eq!(peer.status().state, PeerState::Established);
}

#[test]
fn a_flood_of_refreshes_is_answered_at_the_speed_of_reading() {
    let mut alone = alone();
    let refresh = message(5, &[0, 1, 0, 1]).repeat(1000);
    for _ in 0..100 {
        alone.read(&refresh);
        assert!(alone.pending() < 70_000);
    }
    let updates = alone.peer.status().counters.sent.update;
    assert!(updates < 2200, "{updates} UPDATEs for 100,000 refreshes that nobody reads");
}

#[test]
fn every_notification_ends_the_session_and_nothing_else() {
    for code in 0..=u8::MAX {
        for subcode in [0, 1, 2, 9, 255] {
            let mut alone = alone();
            alone.read(&message(3, &[code, subcode, 6, 2, 3, 0xFF, b'\n', 0]));
            let status = alone.peer.status();
            assert_eq!(status.state, PeerState::Active);
            let text = status.last_down.unwrap().to_string();
            assert!(text.contains(&format!("({code}/{subcode})")) && !text.contains('\n'), "{text}");
            assert_eq!(alone.pending(), 0);
            assert!(alone.peer.poll_timeout().is_some_and(|at| at <= alone.now + Duration::from_secs(1)));
        }
    }
}

#[test]
fn a_flood_of_routes_is_counted_and_forgotten() {
    let mut alone = alone();
    // 200 prefixes in a message.
    let attributes = [0x40, 1, 1, 0, 0x40, 2, 4, 2, 1, 0xFC, 1, 0x40, 3, 4, 192, 0, 2, 2];
    let prefixes: Vec<u8> = (0..200_u8).flat_map(|host| [32, 10, 0, 0, host]).collect();
    let update = message(2, &[&[0, 0, 0, 18][..], &attributes, &prefixes].concat());
    for _ in 0..1000 {
        alone.read(&update);
    }
    let status = alone.peer.status();
    assert_eq!((status.state, status.counters.announced), (PeerState::Established, 200_000));
    assert_eq!(status.last_malformed, None);
}

#[test]
fn a_timer_that_comes_early_does_nothing() {
    let mut alone = alone();
    alone.read(&message(3, &[6, 2]));
    while alone.peer.poll_action().is_some() {}
    for _ in 0..100 {
        alone.peer.handle(alone.now, Event::Timer);
        assert_eq!(alone.peer.poll_action(), None);
    }
}

#[test]
fn what_is_said_about_connections_of_the_past_is_nothing() {
    let mut alone = alone();
    let past = alone.conn;
    alone.read(&message(3, &[6, 2]));
    while alone.peer.poll_action().is_some() {}
    let before = alone.peer.status();
    alone.read(&message(4, &[]));
    for event in [
        Event::Closed { conn: past },
        Event::Written { conn: past, count: 7 },
        Event::Connected { conn: past, local: "192.0.2.1".parse().unwrap() },
        Event::ConnectFailed { conn: past, error: "late".into() },
    ] {
        alone.peer.handle(alone.now, event);
    }
    assert_eq!((alone.peer.status(), alone.peer.poll_action()), (before, None));
}
