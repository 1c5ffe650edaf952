//! Intervals, poll sequences and detection (RFC 5880 §6.8.1 to §6.8.4, §6.8.7, §6.8.16, §6.8.18).

use super::*;

#[test]
fn while_not_up_it_sends_once_a_second_at_most() {
    let mut lab = Lab::new();
    let sent = lab.run(Duration::from_secs(20));
    assert!((20..=28).contains(&sent.len()), "{}", sent.len());
    assert!(gaps(&sent).iter().all(|gap| (ms(750)..=ms(1000)).contains(gap)), "{:?}", gaps(&sent));
    assert!(sent.iter().all(|(_, packet)| packet.desired_min_tx == micros(1000) && !packet.poll));
}

#[test]
fn a_passive_session_says_nothing_until_it_hears_something() {
    let mut lab = Lab::with(|config| config.role = Role::Passive);
    assert_eq!(lab.run(Duration::from_secs(20)), []);
    assert_eq!(lab.session.poll_timeout(), None);
    lab.hear(from_neighbour(State::Down));
    assert_eq!(lab.sent().len(), 1);
    // Lost again, it falls silent (§6.8.7: bfd.RemoteDiscr is zero).
    lab.run(Duration::from_secs(10));
    assert_eq!(lab.run(Duration::from_secs(10)), []);
}

#[test]
fn coming_up_begins_a_poll_sequence_that_f_ends() {
    let mut lab = Lab::new();
    lab.sent();
    lab.hear(from_neighbour(State::Init));
    let sent = lab.sent();
    assert!(sent[0].poll && sent[0].desired_min_tx == micros(300) && sent[0].state == State::Up);
    let polls = lab.run_hearing(from_neighbour(State::Up), ms(250), ms(900));
    assert!(polls.len() >= 2 && polls.iter().all(|(_, packet)| packet.poll));
    lab.hear(Packet { finish: true, ..from_neighbour(State::Up) });
    let after = lab.run_hearing(from_neighbour(State::Up), ms(250), ms(900));
    assert!(after.len() >= 2 && after.iter().all(|(_, packet)| !packet.poll));
}

#[test]
fn up_it_sends_at_the_slower_of_what_both_want() {
    for (ours, theirs, slower) in [(300, 300, 300_u32), (50, 400, 400), (700, 10, 700)] {
        let mut lab = Lab::settled_with(|config| config.timers.desired_min_tx = micros(ours));
        let up = Packet { required_min_rx: micros(theirs), ..from_neighbour(State::Up) };
        lab.hear(up);
        let sent = lab.run_hearing(up, ms(200), Duration::from_secs(20));
        let most = ms(slower.into());
        assert!(
            gaps(&sent).iter().all(|gap| (most * 3 / 4..=most).contains(gap)),
            "{ours} {theirs}: {:?}",
            gaps(&sent)
        );
        assert!(sent.len() > 20);
    }
}

#[test]
fn with_a_multiplier_of_one_jitter_leaves_a_tenth() {
    let mut lab = Lab::settled_with(|config| config.timers.detect_mult = std::num::NonZeroU8::MIN);
    let sent = lab.run_hearing(from_neighbour(State::Up), ms(200), Duration::from_secs(30));
    assert!(gaps(&sent).iter().all(|gap| (ms(225)..=ms(270)).contains(gap)), "{:?}", gaps(&sent));
}

#[test]
fn the_detection_time_is_the_neighbours_multiplier_times_the_slower_interval() {
    for (their_tx, mult, our_rx, detection) in
        [(300, 3, 300, 900), (50, 5, 300, 1500), (1000, 2, 300, 2000), (10, 1, 10, 10)]
    {
        let mut lab = Lab::settled_with(|config| config.timers.required_min_rx = micros(our_rx));
        lab.hear(Packet { desired_min_tx: micros(their_tx), detect_mult: mult, ..from_neighbour(State::Up) });
        assert_eq!(lab.session.detection_time(), Some(ms(detection)));
        lab.changes();
        lab.run(ms(detection) - Duration::from_nanos(1));
        assert_eq!(lab.session.state(), State::Up);
        lab.run(Duration::from_nanos(1));
        assert_eq!(lab.changes(), [(State::Up, State::Down, 1)]);
        assert_eq!(lab.session.verdict(), Verdict::Failed);
    }
}

#[test]
fn a_neighbour_that_is_lost_is_forgotten() {
    let mut lab = Lab::settled();
    let sent = lab.run(ms(901));
    let last = sent.last().expect("a packet").1;
    assert_eq!((last.state, last.your_discriminator, last.diagnostic.code()), (State::Down, 0, 1));
    assert_eq!(last.desired_min_tx, micros(1000));
    assert_eq!(lab.session.neighbour(), None);
    // §6.8.18: a rate of 1 µs is assumed again, so we send at our own.
    assert_eq!(lab.session.transmit_interval(), Some(ms(1000)));
}

#[test]
fn a_neighbour_that_asks_for_more_gets_it_at_once() {
    let mut lab = Lab::settled_with(|config| config.timers.desired_min_tx = micros(10));
    let slow = Packet { required_min_rx: micros(5_000), ..from_neighbour(State::Up) };
    lab.run_hearing(slow, ms(250), ms(1_000));
    lab.hear(Packet { required_min_rx: micros(10), ..slow });
    assert!(lab.run(ms(100)).len() >= 10);
}

fn timers(desired_min_tx: u32, required_min_rx: u32) -> Timers {
    Timers { desired_min_tx: micros(desired_min_tx), required_min_rx: micros(required_min_rx), ..Timers::default() }
}

#[test]
fn a_longer_interval_is_announced_first_and_used_after_the_poll() {
    let mut lab = Lab::settled();
    lab.session.set_timers(timers(600, 300));
    let first = lab.sent()[0];
    assert!(first.poll && first.desired_min_tx == micros(600));
    assert_eq!(lab.session.transmit_interval(), Some(ms(300)));
    lab.hear(Packet { finish: true, ..from_neighbour(State::Up) });
    assert_eq!(lab.session.transmit_interval(), Some(ms(600)));
    assert!(lab.run_hearing(from_neighbour(State::Up), ms(250), ms(2000)).iter().all(|(_, packet)| !packet.poll));
}

#[test]
fn a_shorter_interval_is_used_at_once() {
    let mut lab = Lab::settled();
    lab.session.set_timers(timers(30, 300));
    lab.hear(Packet { required_min_rx: micros(10), ..from_neighbour(State::Up) });
    assert_eq!(lab.session.transmit_interval(), Some(ms(30)));
    assert!(lab.sent()[0].poll);
}

#[test]
fn a_shorter_detection_time_waits_for_the_poll_and_a_longer_one_does_not() {
    let mut lab = Lab::settled();
    let quick = Packet { desired_min_tx: micros(50), ..from_neighbour(State::Up) };
    lab.hear(quick);
    lab.session.set_timers(timers(300, 100));
    assert_eq!(lab.session.detection_time(), Some(ms(900)));
    lab.hear(Packet { finish: true, ..quick });
    assert_eq!(lab.session.detection_time(), Some(ms(300)));
    lab.session.set_timers(timers(300, 500));
    assert_eq!(lab.session.detection_time(), Some(ms(1500)));
}

#[test]
fn a_change_during_a_poll_has_a_poll_of_its_own() {
    let mut lab = Lab::settled();
    lab.session.set_timers(timers(600, 300));
    lab.sent();
    lab.session.set_timers(timers(900, 300));
    lab.sent();
    // This F may answer the first P: it ends nothing that it does not know of.
    lab.hear(Packet { finish: true, ..from_neighbour(State::Up) });
    assert_eq!(lab.session.transmit_interval(), Some(ms(300)));
    assert!(lab.run_hearing(from_neighbour(State::Up), ms(250), ms(500)).iter().all(|(_, packet)| packet.poll));
    lab.hear(Packet { finish: true, ..from_neighbour(State::Up) });
    assert_eq!(lab.session.transmit_interval(), Some(ms(900)));
}

#[test]
fn an_f_that_nobody_asked_for_changes_nothing() {
    let mut lab = Lab::settled();
    lab.hear(Packet { finish: true, ..from_neighbour(State::Up) });
    assert_eq!(lab.sent(), []);
    assert_eq!(lab.session.state(), State::Up);
}

#[test]
fn admin_down_is_told_for_a_detection_time_and_left_by_the_operator_only() {
    let mut lab = Lab::settled();
    lab.changes();
    lab.session.disable(lab.now);
    let told = lab.sent()[0];
    assert_eq!((told.state, told.diagnostic.code()), (State::AdminDown, 7));
    assert_eq!(lab.session.verdict(), Verdict::Unmonitored);
    assert!(!lab.session.is_told(lab.now));
    let sent = lab.run_hearing(from_neighbour(State::Down), ms(900), ms(3_000));
    assert!(sent.len() >= 3 && sent.iter().all(|(_, packet)| packet.state == State::AdminDown));
    assert!(lab.session.is_told(lab.now));
    lab.session.enable();
    lab.hear(from_neighbour(State::Down));
    assert_eq!(lab.session.state(), State::Init);
    assert_eq!(
        lab.changes(),
        [(State::Up, State::AdminDown, 7), (State::AdminDown, State::Down, 0), (State::Down, State::Init, 0)]
    );
}

#[test]
fn echo_is_sent_at_the_slower_interval_while_the_neighbour_loops_it_back() {
    let mut lab = Lab::settled_with(|config| config.timers.echo_tx = Some(micros(50)));
    assert_eq!(lab.session.echo_interval(), None);
    let loops = Packet { required_min_echo_rx: micros(80), ..from_neighbour(State::Up) };
    lab.hear(loops);
    assert_eq!(lab.session.echo_interval(), Some(ms(80)));
    // §6.8.3: while echo does the detecting, control packets are asked for once a second.
    let asked = lab.sent()[0];
    assert!(asked.poll && asked.required_min_rx == micros(1000));
    // §6.8.6: a Required Min Echo RX of zero ends it.
    lab.hear(from_neighbour(State::Up));
    assert_eq!(lab.session.echo_interval(), None);
    assert_eq!(lab.sent()[0].required_min_rx, micros(300));
    // §6.8.5: echo failed.
    lab.changes();
    lab.session.fail(Diagnostic::ECHO_FAILED);
    assert_eq!(lab.changes(), [(State::Up, State::Down, 2)]);
    assert_eq!(lab.session.verdict(), Verdict::Failed);
}

#[test]
fn echo_is_never_sent_over_several_hops() {
    let mut lab = Lab::settled_with(|config| {
        config.timers.echo_tx = Some(micros(50));
        config.path = Path::MultiHop { min_ttl: 254 };
    });
    lab.hear(Packet { required_min_echo_rx: micros(80), ..from_neighbour(State::Up) });
    assert_eq!(lab.session.echo_interval(), None);
}

#[test]
fn what_is_configured_stands_in_the_packet() {
    let mut lab = Lab::with(|config| {
        config.control_plane_independent = true;
        config.timers.required_min_echo_rx = micros(40);
    });
    // RFC 5880 §4.1: version 1, Down and C, multiplier 3; 1 s and 300 ms until it is Up; echo every 40 ms.
    let bytes = [
        0x20, 0x48, 3, 24, 0x0a, 0x0a, 0x0a, 0x0a, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0x04, 0x93, 0xe0, 0, 0, 0x9c,
        0x40,
    ];
    assert_eq!(lab.session.poll_transmit(lab.now).expect("a packet"), bytes);
}

#[test]
fn the_sequence_number_is_forgotten_after_twice_the_detection_time() {
    let keys = || Keys::new(Method::MeticulousSha1, vec![Key { id: 1, secret: b"k".to_vec() }]).expect("a key");
    let mut lab = Lab::with(|config| config.authentication = Some(keys()));
    let mut neighbour = Authenticator::new(keys(), 10);
    let first = neighbour.sign(&from_neighbour(State::Down), true);
    lab.take(255, &first).expect("authentic");
    lab.run(ms(1_799));
    assert_eq!(lab.take(255, &first), Err(NotAuthentic::Sequence(11).into()));
    lab.run(ms(1));
    assert_eq!(lab.take(255, &first), Ok(()));
}
