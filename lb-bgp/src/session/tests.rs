//! Each row of RFC 4271 §8.2.2 that one connection can see, in virtual time.

use super::*;
use crate::{
    config::{HoldTime, PeerAs, RestartTime},
    route::Routes,
    types::{Asn, RouterId},
};

const SECOND: Duration = Duration::from_secs(1);
const KEEPALIVE: &[u8] =
    &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 19, 4];

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xFF; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// An OPEN of AS 64513 with that hold time, IPv4 only, without capabilities.
fn open(hold: u8) -> Vec<u8> {
    message(1, &[4, 0xFC, 1, 0, hold, 192, 0, 2, 2, 0])
}

/// One that says it restarts gracefully, on NOTIFICATION too.
fn open_with_restart() -> Vec<u8> {
    message(1, &[4, 0xFC, 1, 0, 90, 192, 0, 2, 2, 10, 2, 8, 64, 6, 0x40, 120, 0, 1, 1, 0x80])
}

fn config() -> PeerConfig {
    let asn = |number| Asn::new(number).unwrap();
    let id = RouterId::new("192.0.2.1".parse().unwrap()).unwrap();
    let mut config = PeerConfig::new(asn(64512), PeerAs::Exactly(asn(64513)), id);
    config.graceful_restart = Some(RestartTime::MAX);
    config
}

/// A session that was written everything of.
struct Run {
    session: Session,
    now: Instant,
    routes: Routes,
}

impl Run {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: PeerConfig) -> Self {
        let now = Instant::now();
        let session = Session::new(now, Arc::new(config), "192.0.2.1".parse().unwrap(), false, Jitter::new(1));
        let mut run = Self { session, now, routes: Routes::new() };
        assert_eq!(kinds(&run.written()), [1]);
        run
    }

    fn open_confirm() -> Self {
        let mut run = Self::new();
        assert_eq!(run.read(&open(90)), Step::Opened);
        assert_eq!(kinds(&run.written()), [4]);
        run
    }

    fn established() -> Self {
        let mut run = Self::open_confirm();
        assert_eq!(run.read(KEEPALIVE), Step::Established);
        assert_eq!(kinds(&run.written()), [2]); // End-of-RIB
        run
    }

    /// The step of the last message.
    fn read(&mut self, mut octets: &[u8]) -> Step {
        let step = self.session.step(self.now, &mut octets);
        assert!(octets.is_empty());
        step
    }

    fn written(&mut self) -> Vec<u8> {
        let octets = self.session.output(self.now, Some(&self.routes), false).to_vec();
        assert_eq!(self.session.written(self.now, octets.len()), None);
        octets
    }

    /// The timer, at its deadline.
    fn wait(&mut self) -> Option<Over> {
        self.now = self.session.deadline().expect("a deadline");
        self.session.timer(self.now)
    }

    fn fails(&mut self, octets: &[u8]) -> (u8, u8) {
        let Step::Over(over) = self.read(octets) else { panic!("goes on") };
        sent(&over)
    }
}

/// Code and subcode of the NOTIFICATION that ends a session, as it is written.
fn sent(over: &Over) -> (u8, u8) {
    let Down::Sent { notification, .. } = &over.down else { panic!("{:?}", over.down) };
    assert_eq!(over.last_words, wire::encode_notification(notification));
    (notification.code, notification.subcode)
}

/// The types of messages.
fn kinds(mut octets: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some(header) = octets.first_chunk::<19>() {
        kinds.push(header[18]);
        octets = &octets[usize::from(u16::from_be_bytes([header[16], header[17]]))..];
    }
    kinds
}

#[test]
fn messages_that_a_state_has_no_use_for() {
    // RFC 4271 §6.6 and RFC 6608 §3: one subcode for each state.
    let update = message(2, &[0, 0, 0, 0]);
    let refresh = message(5, &[0, 1, 0, 1]);
    for octets in [KEEPALIVE, &update, &refresh] {
        assert_eq!(Run::new().fails(octets), (5, 1), "{octets:?}");
    }
    for octets in [&open(90), &update, &refresh] {
        assert_eq!(Run::open_confirm().fails(octets), (5, 2), "{octets:?}");
    }
    assert_eq!(Run::established().fails(&open(90)), (5, 3));
}

#[test]
fn messages_that_established_takes() {
    let mut run = Run::established();
    for octets in [KEEPALIVE, &message(2, &[0, 0, 0, 0]), &message(5, &[0, 1, 0, 1]), &message(5, &[9, 9, 9, 9])] {
        assert_eq!(run.read(octets), Step::Took);
    }
    assert_eq!(run.session.counters().end_of_rib, 1);
}

#[test]
fn a_notification_is_never_answered() {
    // RFC 4271 §6.4, in every state.
    for mut run in [Run::new(), Run::open_confirm(), Run::established()] {
        let Step::Over(over) = run.read(&message(3, &[6, 2, 3, b'b', b'y', b'e'])) else { panic!("goes on") };
        assert_eq!(over.last_words, []);
        assert_eq!(over.down.to_string(), "closed by the peer: cease: administrative shutdown (6/2): \"bye\"");
    }
}

#[test]
fn a_lost_stream_ends_the_session_in_every_state() {
    let mut bad = KEEPALIVE.to_vec();
    bad[0] = 0;
    for mut run in [Run::new(), Run::open_confirm(), Run::established()] {
        assert_eq!(run.fails(&bad), (1, 1));
    }
    let unknown = message(9, &[]);
    for mut run in [Run::new(), Run::open_confirm(), Run::established()] {
        assert_eq!(run.fails(&unknown), (1, 3));
    }
}

#[test]
fn a_refused_open_says_why() {
    let mut other = open(90);
    other[20..22].copy_from_slice(&[0xFC, 2]);
    let mut run = Run::new();
    let Step::Over(over) = run.read(&other) else { panic!("goes on") };
    assert_eq!(sent(&over), (2, 2));
    assert_eq!(over.down.to_string(), "closed by us: bad peer AS (2/2): the peer says it is in AS 64514");
    assert_eq!(Run::new().fails(&open(2)), (2, 6));
    assert_eq!(Run::new().fails(&message(1, &[3, 0xFC, 1, 0, 90, 192, 0, 2, 2, 0])), (2, 1));
}

#[test]
fn an_open_that_never_comes_is_waited_for_four_minutes() {
    let mut run = Run::new();
    let start = run.now;
    let over = run.wait().expect("the end");
    assert_eq!((sent(&over), run.now - start), ((4, 0), SECOND * 240));
}

#[test]
fn a_silent_peer_is_told_the_hold_timer_expired_and_is_closed() {
    for mut run in [Run::open_confirm(), Run::established()] {
        let start = run.now;
        let over = loop {
            match run.wait() {
                Some(over) => break over,
                None => assert_eq!(kinds(&run.written()), [4]), // We go on talking.
            }
        };
        assert_eq!((sent(&over), run.now - start), ((4, 0), SECOND * 90));
    }
}

#[test]
fn what_the_peer_sends_keeps_the_session_up() {
    let mut run = Run::established();
    let end = run.now + SECOND * 3600;
    while run.now < end {
        assert_eq!(run.wait(), None);
        run.written();
        let octets = if run.now < end - SECOND * 1800 { KEEPALIVE.to_vec() } else { message(2, &[0, 0, 0, 0]) };
        assert_eq!(run.read(&octets), Step::Took);
    }
    // A refresh is no sign of life (RFC 4271 §4.4 names the two that are).
    let heard = run.now;
    while run.wait().is_none() {
        run.written();
        run.read(&message(5, &[0, 1, 0, 1]));
    }
    assert_eq!(run.now - heard, SECOND * 90);
}

#[test]
fn keepalives_go_out_within_a_third_of_the_hold_time() {
    let mut run = Run::established();
    let mut last = run.now;
    for _ in 0..100 {
        assert_eq!(run.wait(), None);
        assert_eq!(kinds(&run.written()), [4]);
        let gap = run.now - last;
        assert!(gap <= SECOND * 30 && gap >= SECOND * 22, "{gap:?}");
        last = run.now;
        run.read(KEEPALIVE);
    }
}

#[test]
fn a_hold_time_of_zero_means_no_timers() {
    let mut run = Run::new();
    assert_eq!(run.read(&open(0)), Step::Opened);
    run.written();
    assert_eq!(run.read(KEEPALIVE), Step::Established);
    run.written();
    assert_eq!(run.session.deadline(), None);
    let mut config = config();
    config.hold_time = HoldTime::new(Duration::ZERO).unwrap();
    let mut run = Run::with(config);
    assert_eq!(run.read(&open(90)), Step::Opened);
    run.written();
    assert_eq!(run.session.deadline(), None);
}

#[test]
fn a_peer_that_reads_nothing_is_given_up() {
    // RFC 9687 §6: after eight minutes, although it goes on sending. No octet more is kept meanwhile.
    let mut run = Run::established();
    let start = run.now;
    let over = loop {
        run.session.output(run.now, Some(&run.routes), false);
        if let Some(over) = run.wait() {
            break over;
        }
        assert!(run.session.output(run.now, Some(&run.routes), false).len() <= 19);
        run.read(KEEPALIVE);
    };
    let stalled = run.now - start;
    assert!(stalled >= SECOND * 480 && stalled <= SECOND * 515, "{stalled:?}");
    assert_eq!(over.last_words, []);
    assert!(over.down.to_string().contains("send hold timer expired (8/0)"), "{}", over.down);
}

#[test]
fn each_octet_that_is_read_counts_as_progress() {
    let mut run = Run::established();
    let end = run.now + SECOND * 3600;
    while run.now < end {
        run.session.output(run.now, Some(&run.routes), false);
        assert_eq!(run.wait(), None);
        run.session.written(run.now, 1);
        run.read(KEEPALIVE);
    }
}

#[test]
fn leaving_withdraws_first_and_then_says_the_last_word() {
    let mut run = Run::established();
    let prefix = crate::types::Prefix::host("198.51.100.1".parse().unwrap());
    run.routes.insert(prefix, Arc::default());
    run.session.unsettle();
    assert_eq!(kinds(&run.written()), [2]);
    assert_eq!(run.session.leave(run.now, Notification::shutdown("bye")), None);
    let octets = run.session.output(run.now, Some(&run.routes), false).to_vec();
    assert_eq!(octets, message(2, &[0, 5, 32, 198, 51, 100, 1, 0, 0]));
    assert_eq!(run.session.written(run.now, 10), None);
    let over = run.session.written(run.now, octets.len() - 10).expect("the end");
    assert_eq!(sent(&over), (6, 2));
}

#[test]
fn a_peer_that_does_not_read_is_left_all_the_same() {
    let mut run = Run::established();
    run.routes.insert(crate::types::Prefix::host("198.51.100.1".parse().unwrap()), Arc::default());
    run.session.unsettle();
    run.written();
    assert_eq!(run.session.leave(run.now, Notification::PEER_DECONFIGURED), None);
    let start = run.now;
    let over = run.wait().expect("the end");
    assert_eq!((sent(&over), run.now - start), ((6, 3), SECOND * 2));
}

#[test]
fn without_routes_leaving_is_at_once() {
    assert_eq!(sent(&Run::established().leave_now()), (6, 2));
    assert_eq!(sent(&Run::open_confirm().leave_now()), (6, 2));
    assert_eq!(sent(&Run::new().leave_now()), (6, 2));
}

#[test]
fn a_peer_that_keeps_routes_on_notification_is_reset_hard() {
    // RFC 8538 §4: else it would keep the routes of a node that has left.
    let mut run = Run::new();
    assert_eq!(run.read(&open_with_restart()), Step::Opened);
    run.written();
    run.read(KEEPALIVE);
    run.written();
    let over = run.leave_now();
    assert_eq!(sent(&over), (6, 9));
    let Down::Sent { notification, .. } = over.down else { panic!("sent") };
    assert_eq!((&notification.data[..2], notification.text()), (&[6, 2][..], Some("bye")));
}

#[test]
fn nothing_is_told_before_the_routes_are_known() {
    // RFC 4724 §4.1: End-of-RIB says that everything was told; a peer that kept routes would drop them.
    let mut run = Run::open_confirm();
    assert_eq!(run.read(KEEPALIVE), Step::Established);
    assert_eq!(run.session.output(run.now, None, false), []);
    assert_eq!(kinds(&run.written()), [2]);
}

impl Run {
    fn leave_now(&mut self) -> Over {
        self.session.leave(self.now, Notification::shutdown("bye")).expect("the end")
    }
}
