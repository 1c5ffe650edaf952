//! The initiator against the reflector of `lb-common` and a link, in virtual time.

use std::sync::LazyLock;

use lb_common::{
    abi::Reflector,
    host::{Maps, Packet as Frame, golden},
    outcome::Verdict,
    respond::respond,
};
use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any},
    prop_assert, prop_assert_eq, proptest,
};

use super::*;

const LOCAL: NonZeroU32 = NonZeroU32::new(0x1122_3344).expect("not 0");
const REMOTE: NonZeroU32 = NonZeroU32::new(golden::DISCRIMINATOR).expect("not 0");
const UP: Reading = Reading::Up;

/// The next of a row of rounds.
fn round(before: u64) -> Round {
    Round(before.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Where a probe stands in the frame that carries it.
const PAYLOAD: usize = 14 + 20 + 8;

/// The golden frame with this payload, without a UDP checksum.
fn framed(payload: &[u8]) -> Vec<u8> {
    static TABLE: LazyLock<Vec<golden::Golden>> = LazyLock::new(golden::table);
    let name = "sbfd4-without-checksum";
    let mut frame = TABLE.iter().find(|golden| golden.name == name).expect("a golden frame").input.clone();
    frame[PAYLOAD..].copy_from_slice(payload);
    frame
}

/// The node over there: what its kernel program makes of a probe.
struct Node {
    maps: Maps,
    lives: bool,
}

impl Node {
    fn up() -> Self {
        Self { maps: golden::maps(), lives: true }
    }

    fn answer(&self, probe: &[u8]) -> Option<Vec<u8>> {
        let mut frame = Frame::new(framed(probe));
        let outcome = respond(&mut frame, &self.maps);
        (self.lives && Verdict::of(&outcome) == Verdict::Answer).then(|| frame.bytes[PAYLOAD..].to_vec())
    }
}

/// An initiator, the node it probes, and a link that takes a millisecond there and back.
struct Lab {
    now: Instant,
    initiator: Initiator,
    node: Node,
    in_flight: Vec<(Instant, Vec<u8>)>,
    probes: Vec<Instant>,
    random: u64,
}

impl Lab {
    fn new() -> Self {
        let now = Instant::now();
        let initiator = Initiator::new(Config::new(LOCAL, REMOTE), now);
        Self { now, initiator, node: Node::up(), in_flight: Vec::new(), probes: Vec::new(), random: 1 }
    }

    /// One round of the driver: drain, let time pass, send.
    fn wake(&mut self) {
        let now = self.now;
        for (_, answer) in self.in_flight.extract_if(.., |(at, _)| *at <= now) {
            self.initiator.handle_packet(now, 255, &answer).expect("an answer");
        }
        self.initiator.handle_timeout(now);
        if !self.initiator.is_due(now) {
            return;
        }
        self.random = round(self.random).0;
        while let Some(probe) = self.initiator.poll_transmit(now, Round(self.random)) {
            self.probes.push(now);
            self.in_flight.extend(self.node.answer(&probe).map(|answer| (now + ms(1), answer)));
        }
    }

    /// Runs for `span`, waking when something is due or arrives. Stops at the first other reading.
    fn run(&mut self, span: Duration) -> Reading {
        let end = self.now + span;
        let before = self.initiator.reading();
        loop {
            self.wake();
            let reading = self.initiator.reading();
            let next = self.in_flight.iter().map(|(at, _)| *at).chain([self.initiator.poll_timeout()]).min();
            let next = next.expect("a deadline").min(end);
            if reading != before || next >= end {
                self.now = if reading == before { end } else { self.now };
                return reading;
            }
            self.now = next;
        }
    }

    fn up() -> Self {
        let mut lab = Self::new();
        assert_eq!(lab.run(ms(10)), UP);
        assert_eq!(lab.run(ms(500)), UP);
        lab
    }

    /// How long until another reading, and which.
    fn until_change(&mut self) -> (Duration, Reading) {
        let start = self.now;
        let reading = self.run(Duration::from_secs(10));
        (self.now - start, reading)
    }
}

#[test]
fn a_node_that_answers_is_up_after_one_round_trip() {
    let mut lab = Lab::new();
    assert_eq!(lab.initiator.reading(), Reading::Unknown { in_grace: true });
    assert_eq!(lab.until_change(), (ms(1), UP));
}

#[test]
fn probes_go_out_every_interval_cut_by_up_to_a_quarter() {
    let lab = Lab::up();
    let gaps: Vec<Duration> = lab.probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() >= 10, "{gaps:?}");
    assert!(gaps.iter().all(|gap| (Duration::from_micros(37_500)..=ms(50)).contains(gap)), "{gaps:?}");
}

#[test]
fn a_node_that_goes_silent_is_down_150_ms_after_its_last_answer() {
    let mut lab = Lab::up();
    lab.node.lives = false;
    let answered = *lab.probes.last().expect("a probe") + ms(1);
    let from = lab.now;

    let (after, reading) = lab.until_change();

    assert_eq!(reading, Reading::Down);
    assert_eq!(from + after, answered + ms(150));
    let unanswered = lab.probes.iter().filter(|at| **at > answered).count();
    assert!(unanswered >= 3, "{unanswered}");
}

#[test]
fn a_node_that_drains_is_admin_down_at_once_and_up_again() {
    let mut lab = Lab::up();
    lab.node.maps.reflector = Reflector::admin_down(golden::DISCRIMINATOR);
    let (after, reading) = lab.until_change();
    assert_eq!(reading, Reading::AdminDown);
    assert!(after <= ms(51), "{after:?}");

    lab.node.maps.reflector = Reflector::up(golden::DISCRIMINATOR, golden::EPOCH);
    assert_eq!(lab.until_change().1, UP);
}

#[test]
fn a_node_whose_lease_ran_out_is_admin_down_then_down_when_it_dies() {
    let mut lab = Lab::up();
    lab.node.maps.now = 10_001;
    assert_eq!(lab.until_change().1, Reading::AdminDown);

    lab.node.lives = false;
    assert_eq!(lab.until_change().1, Reading::Down);

    lab.node.lives = true;
    assert_eq!(lab.until_change().1, Reading::AdminDown);
}

#[test]
fn a_node_that_never_answered_is_unknown_and_counts_as_up_for_three_intervals() {
    let mut lab = Lab::new();
    lab.node.lives = false;
    assert_eq!(lab.until_change(), (ms(150), Reading::Unknown { in_grace: false }));

    assert_eq!(lab.run(Duration::from_secs(60)), Reading::Unknown { in_grace: false });

    lab.node.lives = true;
    assert_eq!(lab.until_change().1, UP);
}

#[test]
fn a_prober_that_was_stopped_finds_the_answer_in_its_socket() {
    let mut lab = Lab::up();
    // Stopped just after a probe went out: its answer waits in the socket.
    lab.now = lab.initiator.poll_timeout();
    lab.wake();
    lab.now += Duration::from_secs(30);
    lab.wake();
    assert_eq!(lab.initiator.reading(), UP);
    assert_eq!(lab.run(ms(500)), UP);
}

#[test]
fn a_prober_that_was_stopped_does_not_count_its_own_absence() {
    let mut lab = Lab::up();
    // Stopped while nothing was in flight.
    lab.now += Duration::from_secs(30);
    lab.wake();
    assert_eq!(lab.initiator.reading(), UP);
    assert_eq!(lab.run(ms(500)), UP);
}

#[test]
fn a_node_that_died_while_the_prober_was_stopped_is_down_within_the_detection_time() {
    let mut lab = Lab::up();
    lab.node.lives = false;
    lab.now += Duration::from_secs(30);
    let (after, reading) = lab.until_change();
    assert_eq!(reading, Reading::Down);
    assert!(after <= ms(150), "{after:?}");
}

#[test]
fn a_prober_that_is_always_late_still_finds_the_dead() {
    let mut lab = Lab::up();
    lab.node.lives = false;
    let start = lab.now;
    while lab.initiator.reading() == UP {
        lab.now = lab.initiator.poll_timeout() + ms(200);
        lab.wake();
        assert!(lab.now - start < Duration::from_secs(3), "at last it is down");
    }
    assert_eq!(lab.initiator.reading(), Reading::Down);
}

#[test]
fn the_reflector_may_ask_for_fewer_probes() {
    let mut lab = Lab::up();
    let mut answer = probe_answer(State::Up);
    answer.required_min_rx = 200_000;
    lab.initiator.handle_packet(lab.now, 255, &answer.to_bytes()).expect("an answer");
    assert_eq!(lab.initiator.detection_time(), ms(600));
}

#[test]
fn a_faster_rate_begins_at_once_and_judges_by_itself() {
    let mut lab = Lab::new();
    lab.initiator.set_interval(lab.now, ms(300));
    assert_eq!(lab.until_change().1, UP);
    lab.run(ms(290));
    lab.node.lives = false;
    lab.initiator.set_interval(lab.now, ms(50));

    let (after, reading) = lab.until_change();

    assert_eq!(reading, Reading::Down);
    assert_eq!(after, ms(150));
}

/// What the reflector would say.
fn probe_answer(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        finish: false,
        control_plane_independent: true,
        demand: false,
        detect_mult: 3,
        my_discriminator: REMOTE.get(),
        your_discriminator: LOCAL.get(),
        desired_min_tx: 50_000,
        required_min_rx: 1_000,
        required_min_echo_rx: 0,
    }
}

#[test]
fn what_is_no_answer_to_us_is_discarded_and_changes_nothing() {
    let mut lab = Lab::up();
    let good = probe_answer(State::Up);
    let mut take = |ttl, packet: Packet| lab.initiator.handle_packet(lab.now, ttl, &packet.to_bytes());
    assert_eq!(take(254, good), Err(Discard::Ttl(254)));
    assert_eq!(take(255, Packet { demand: true, ..good }), Err(Discard::Demand));
    let (my, your) = (REMOTE.get(), LOCAL.get());
    let other = Discard::Discriminators { my: 9, your };
    assert_eq!(take(255, Packet { my_discriminator: 9, ..good }), Err(other));
    let other = Discard::Discriminators { my, your: 9 };
    assert_eq!(take(255, Packet { your_discriminator: 9, ..good }), Err(other));
    assert_eq!(take(255, probe_answer(State::Init)), Err(Discard::State(State::Init)));
    assert_eq!(take(255, Packet { detect_mult: 0, ..good }), Err(Malformed::DetectMult.into()));

    lab.node.lives = false;
    assert_eq!(lab.until_change().1, Reading::Down);
    let own_probe = lab.initiator.probe().to_bytes();
    assert_eq!(lab.initiator.handle_packet(lab.now, 255, &own_probe), Err(Discard::Demand));
    assert_eq!(lab.initiator.reading(), Reading::Down);
}

#[test]
fn initiators_that_began_at_different_times_come_to_probe_together_and_each_interval_is_random() {
    let begin = Instant::now();
    let mut all: Vec<Initiator> =
        (0..20).map(|nth| Initiator::new(Config::new(LOCAL, REMOTE), begin + ms(nth * 2))).collect();
    let mut sent: Vec<Vec<Instant>> = vec![Vec::new(); all.len()];
    let (mut now, mut random, mut wakes) = (begin, 1, 0);
    while now < begin + Duration::from_secs(20) {
        random = round(random).0;
        wakes += u64::from(now >= begin + Duration::from_secs(10));
        for (initiator, sent) in all.iter_mut().zip(&mut sent) {
            sent.extend(initiator.poll_transmit(now, Round(random)).map(|_| now));
        }
        let due = all.iter().map(|initiator| initiator.probe_at).min().expect("some");
        now = due.max(now + Duration::from_nanos(1));
    }

    assert!((10_000 / 50..10_000 / 42).contains(&wakes), "{wakes} wake-ups in 10 s");
    for sent in sent {
        let settled = sent.windows(2).skip(200).map(|pair| (pair[1] - pair[0]).as_secs_f64() / 0.05);
        let (least, most) = settled.fold((1.0_f64, 0.0_f64), |(least, most), of| (least.min(of), most.max(of)));
        assert!((0.75..0.77).contains(&least) && (0.98..=1.0).contains(&most), "{least} to {most}");
    }
}

#[test]
fn a_probe_is_laid_out_as_the_rfc_says() {
    let now = Instant::now();
    let probe = Initiator::new(Config::new(LOCAL, REMOTE), now).poll_transmit(now, Round(0)).expect("a probe");
    // RFC 5880 §4.1: version 1, Down and D, multiplier 3, 24 bytes; 50,000 µs; nothing to be received but answers.
    let bytes =
        [0x20, 0x42, 3, 24, 0x11, 0x22, 0x33, 0x44, 0xc0, 0xff, 0xee, 0x01, 0, 0, 0xc3, 0x50, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(probe, bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// However late the prober is, a node that answers every probe in a millisecond is never taken for dead.
    #[test]
    fn a_node_that_lives_is_never_down(delays in vec(0_u64..2_000, 1..60)) {
        let mut lab = Lab::up();
        for delay in delays {
            lab.now = lab.initiator.poll_timeout() + ms(delay);
            lab.wake();
            prop_assert_eq!(lab.initiator.reading(), UP);
        }
    }

    /// However late the prober is, a dead node is Down after at most five wake-ups.
    #[test]
    fn a_node_that_died_is_down_in_bounded_wakes(delays in vec(0_u64..2_000, 8..9)) {
        let mut lab = Lab::up();
        lab.node.lives = false;
        lab.in_flight.clear();
        let mut wakes = 0;
        for delay in delays {
            if lab.initiator.reading() == Reading::Down {
                break;
            }
            lab.now = lab.initiator.poll_timeout() + ms(delay);
            lab.wake();
            wakes += 1;
        }
        prop_assert_eq!(lab.initiator.reading(), Reading::Down);
        prop_assert!(wakes <= 5, "{wakes}");
    }

    /// No bytes make it panic, and none but an answer keep it Up.
    #[test]
    fn any_bytes_are_judged(bytes in vec(any::<u8>(), 0..60), ttl: u8) {
        let now = Instant::now();
        let mut initiator = Initiator::new(Config::new(LOCAL, REMOTE), now);
        let taken = initiator.handle_packet(now, ttl, &bytes);
        prop_assert_eq!(taken.is_ok(), initiator.reading() != Reading::Unknown { in_grace: true });
    }
}

/// The self-test by a peer: the first probe is answered, the second says so, and the reflector notes it. The node may well
/// be warming up; one that does not answer, or whose answers are lost, notes nothing.
#[test]
fn the_second_probe_tells_the_reflector_that_its_answer_came() {
    for reflector in [Reflector::admin_down(golden::DISCRIMINATOR), Reflector::up(golden::DISCRIMINATOR, golden::EPOCH)]
    {
        let mut node = Node::up();
        node.maps.reflector = reflector;
        let now = Instant::now();
        let mut initiator = Initiator::new(Config::new(LOCAL, REMOTE), now);
        let probe = |now, initiator: &mut Initiator| {
            let probe = initiator.poll_transmit(now, Round(0)).expect("a probe is due");
            node.answer(&probe).expect("it is answered")
        };

        let lost = probe(now, &mut initiator);
        let _also_lost = probe(now + ms(60), &mut initiator);
        initiator.handle_packet(now + ms(61), 255, &lost).expect("an answer");
        probe(now + ms(120), &mut initiator);

        let noted: Vec<u32> = node.maps.heard.take().into_iter().collect();
        assert_eq!(noted, [1]);
    }
}

#[test]
fn a_reflector_whose_answers_are_lost_notes_no_peer() {
    let node = Node::up();
    let now = Instant::now();
    let mut initiator = Initiator::new(Config::new(LOCAL, REMOTE), now);

    for probe in 0..5 {
        let payload = initiator.poll_transmit(now + ms(probe * 60), Round(0)).expect("a probe is due");
        assert!(node.answer(&payload).is_some());
        initiator.handle_timeout(now + ms(probe * 60));
    }

    assert_eq!(node.maps.heard.take().len(), 0);
}
