//! Two sessions over a link that loses, delays and breaks: they come up, stay up, and notice in time.

use proptest::{
    prelude::{Just, ProptestConfig, Strategy, any},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;
use crate::jitter::Jitter;

/// One way packets take.
#[derive(Debug, Clone, Copy)]
struct Link {
    delay: Duration,
    /// Packets lost, in 100.
    loss: u64,
    works: bool,
}

struct Pair {
    now: Instant,
    sides: [Session; 2],
    /// By sender.
    links: [Link; 2],
    /// When, to whom, what.
    in_flight: Vec<(Instant, usize, Vec<u8>)>,
    dice: Jitter,
}

impl Pair {
    fn new(configs: [Config; 2], link: Link, seed: u64) -> Self {
        let now = Instant::now();
        let sides = configs.map(|config| Session::new(config, now));
        Self { now, sides, links: [link; 2], in_flight: Vec::new(), dice: Jitter::seeded(seed) }
    }

    /// 0 to 99.
    fn roll(&mut self) -> u64 {
        let rolled = self.dice.apply(Duration::from_nanos(40_000), 3).as_nanos() - 30_000;
        u64::try_from(rolled % 100).expect("under 100")
    }

    fn step(&mut self) {
        let now = self.now;
        let mut due: Vec<_> = self.in_flight.extract_if(.., |(at, ..)| *at <= now).collect();
        due.sort_by_key(|(at, ..)| *at);
        for (_, to, bytes) in due {
            self.sides[to].handle_packet(now, 255, &bytes).expect("the other side speaks BFD");
        }
        for from in [0, 1] {
            self.sides[from].handle_timeout(now);
            while let Some(bytes) = self.sides[from].poll_transmit(now) {
                let link = self.links[from];
                if link.works && self.roll() >= link.loss {
                    self.in_flight.push((now + link.delay, 1 - from, bytes));
                }
            }
        }
    }

    /// Runs until `done` or the end; how long it took.
    fn run(&mut self, span: Duration, done: impl Fn(&[Session; 2]) -> bool) -> Option<Duration> {
        let start = self.now;
        for _ in 0..200_000 {
            self.step();
            if done(&self.sides) {
                return Some(self.now - start);
            }
            let timeouts = self.sides.iter().filter_map(Session::poll_timeout);
            let next = timeouts.chain(self.in_flight.iter().map(|(at, ..)| *at)).min()?;
            if next > start + span {
                self.now = start + span;
                return None;
            }
            self.now = next.max(self.now);
        }
        panic!("a packet storm");
    }

    fn states(&self) -> [State; 2] {
        [self.sides[0].state(), self.sides[1].state()]
    }
}

const UP: [State; 2] = [State::Up, State::Up];

fn are_up(sides: &[Session; 2]) -> bool {
    sides.iter().all(|side| side.state() == State::Up)
}

fn config(local: u32, timers: Timers, role: Role, authentication: Option<Keys>, seed: u64) -> Config {
    let local = NonZeroU32::new(local).expect("not 0");
    Config { role, timers, authentication, ..Config::new(local, seed) }
}

fn any_timers() -> impl Strategy<Value = Timers> {
    (10_u32..400, 10_u32..400, 3_u8..6).prop_map(|(tx, rx, mult)| Timers {
        desired_min_tx: micros(tx),
        required_min_rx: micros(rx),
        detect_mult: mult.try_into().expect("not 0"),
        ..Timers::default()
    })
}

fn any_keys() -> impl Strategy<Value = Option<Keys>> {
    use Method::{KeyedMd5, KeyedSha1, MeticulousMd5, MeticulousSha1, SimplePassword};
    let method =
        prop_oneof![Just(SimplePassword), Just(KeyedMd5), Just(MeticulousMd5), Just(KeyedSha1), Just(MeticulousSha1)];
    let key = Key { id: 1, secret: b"secret".to_vec() };
    proptest::option::of(method.prop_map(move |method| Keys::new(method, vec![key.clone()]).expect("a key")))
}

#[test]
fn two_sessions_come_up_within_two_slow_intervals() {
    let timers = Timers::default();
    let configs = [config(1, timers, Role::Active, None, 1), config(2, timers, Role::Passive, None, 2)];
    let mut pair = Pair::new(configs, Link { delay: ms(1), loss: 0, works: true }, 3);
    let after = pair.run(Duration::from_secs(5), are_up).expect("both come up");
    assert!(after <= ms(2_000), "{after:?}");
    // And the polls end.
    pair.run(Duration::from_secs(2), |_| false);
    assert!(pair.sides.iter().all(|side| !side.negotiation.is_polling()));
    let agreed = [pair.sides[0].transmit_interval(), pair.sides[1].transmit_interval()];
    assert_eq!(agreed, [Some(ms(300)), Some(ms(300))]);
}

#[test]
fn a_session_goes_on_in_another_process_and_the_neighbour_notices_nothing() {
    let timers = Timers::default();
    let configs = [config(1, timers, Role::Active, None, 1), config(2, timers, Role::Active, None, 2)];
    let mut pair = Pair::new(configs, Link { delay: ms(1), loss: 0, works: true }, 3);
    assert_eq!(pair.sides[0].resumable(), None, "it is not up");
    pair.run(Duration::from_secs(5), are_up).expect("both come up");
    pair.run(Duration::from_secs(2), |_| false);
    let sent = pair.sides[0].resumable().expect("it is up and no poll is under way");

    // The process ends without a word, and another one begins half a second later, on the next packet that it hears.
    pair.links[0].works = false;
    assert_eq!(pair.run(ms(500), |sides| !are_up(sides)), None);
    let heard = pair.sides[1].sent.expect("it sends");
    assert!(Session::answers(&sent, &heard));
    let slower = Timers { desired_min_tx: micros(400), ..timers };
    pair.sides[0] = Session::resume(config(1, slower, Role::Active, None, 9), pair.now, sent, heard);
    pair.links[0].works = true;
    assert_eq!(pair.sides[0].verdict(), Verdict::Up);
    assert_eq!(pair.run(Duration::from_secs(20), |sides| !are_up(sides)), None);
    assert_eq!(pair.sides.each_ref().map(|side| side.diagnostic()), [Diagnostic::NONE; 2]);
    // What is configured otherwise now is agreed by a poll.
    assert_eq!(pair.sides[0].transmit_interval(), Some(ms(400)));
}

#[test]
fn a_neighbour_that_has_begun_anew_answers_no_old_packet() {
    let sent = Packet { my_discriminator: LOCAL.get(), your_discriminator: REMOTE, ..from_neighbour(State::Up) };
    assert!(Session::answers(&sent, &from_neighbour(State::Up)));
    for other in [
        from_neighbour(State::Down),
        from_neighbour(State::AdminDown),
        Packet { my_discriminator: REMOTE + 1, ..from_neighbour(State::Up) },
        Packet { your_discriminator: 0, ..from_neighbour(State::Up) },
    ] {
        assert!(!Session::answers(&sent, &other), "{other:?}");
    }
}

#[test]
fn a_side_that_is_switched_off_is_no_failure_to_the_other() {
    let timers = Timers::default();
    let configs = [config(1, timers, Role::Active, None, 1), config(2, timers, Role::Active, None, 2)];
    let mut pair = Pair::new(configs, Link { delay: ms(1), loss: 0, works: true }, 3);
    pair.run(Duration::from_secs(5), are_up).expect("both come up");
    let now = pair.now;
    pair.sides[0].disable(now);
    let after = pair.run(Duration::from_secs(5), |sides| sides[1].state() == State::Down).expect("it is told");
    assert!(after <= ms(2), "{after:?}");
    assert_eq!(pair.sides[1].verdict(), Verdict::Unmonitored);
    pair.sides[0].enable();
    pair.run(Duration::from_secs(5), are_up).expect("both come up again");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the timers, roles, methods and a loss of up to 30 %: both come up.
    #[test]
    fn they_come_up_over_a_lossy_link(
        timers in (any_timers(), any_timers()), keys in any_keys(), passive: bool, loss in 0_u64..30,
        delay in 0_u64..20, seed: u64,
    ) {
        let role = if passive { Role::Passive } else { Role::Active };
        let configs = [
            config(1, timers.0, Role::Active, keys.clone(), seed),
            config(2, timers.1, role, keys, seed.wrapping_add(1)),
        ];
        let mut pair = Pair::new(configs, Link { delay: ms(delay), loss, works: true }, seed);
        prop_assert!(pair.run(Duration::from_secs(120), are_up).is_some());
    }

    /// Without loss they stay up, and their polls end; when the link breaks, in one direction or both, each side that
    /// hears nothing is Down within its detection time, and the other at the latest when it is told, or hears nothing.
    #[test]
    fn they_stay_up_and_notice_in_time(
        timers in (any_timers(), any_timers()), keys in any_keys(), delay in 0_u64..8, both: bool,
        wait in 2_000_u64..20_000, seed in any::<u64>(),
    ) {
        let configs = [
            config(1, timers.0, Role::Active, keys.clone(), seed),
            config(2, timers.1, Role::Active, keys, seed.wrapping_add(1)),
        ];
        let mut pair = Pair::new(configs, Link { delay: ms(delay), loss: 0, works: true }, seed);
        prop_assert!(pair.run(Duration::from_secs(10), are_up).is_some());
        prop_assert_eq!(pair.run(ms(wait), |sides| !are_up(sides)), None, "{:?}", pair.states());
        prop_assert!(pair.sides.iter().all(|side| !side.negotiation.is_polling()));
        prop_assert_eq!(pair.sides[0].transmit_interval(), Some(span(
            timers.0.desired_min_tx.max(timers.1.required_min_rx))));

        let detection = pair.sides[1].detection_time().expect("it is up");
        pair.links[0].works = false;
        pair.links[1].works = !both;
        let after = pair.run(Duration::from_secs(60), |sides| sides[1].state() != State::Up).expect("it notices");
        prop_assert!(after <= detection + ms(delay), "{after:?} > {detection:?}");
        prop_assert_eq!(pair.sides[1].verdict(), Verdict::Failed);
        prop_assert_eq!(pair.sides[1].diagnostic(), Diagnostic::DETECTION_TIME_EXPIRED);
        let detection = pair.sides[0].detection_time().unwrap_or_default();
        let after = pair.run(Duration::from_secs(60), |sides| sides[0].state() != State::Up).expect("it is told");
        prop_assert!(after <= detection + ms(delay), "{after:?} > {detection:?}");

        pair.links = [Link { delay: ms(delay), loss: 0, works: true }; 2];
        prop_assert!(pair.run(Duration::from_secs(30), are_up).is_some());
        prop_assert_eq!(pair.states(), UP);
    }
}
