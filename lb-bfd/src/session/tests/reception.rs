//! RFC 5880 §6.8.6, rule by rule, and what a client sees of it (RFC 5882).

use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any},
    prop_assert, prop_assert_eq, proptest,
    sample::select,
};

use super::*;

/// "… the packet MUST be discarded": it is, and nothing changes.
fn assert_discarded(mut lab: Lab, payload: &[u8], why: Discard) {
    let before = (lab.session.state(), lab.session.neighbour().copied(), lab.session.poll_timeout());
    assert_eq!(lab.take(255, payload), Err(why));
    assert_eq!((lab.session.state(), lab.session.neighbour().copied(), lab.session.poll_timeout()), before);
    assert_eq!(lab.sent(), []);
}

fn with(at: usize, byte: u8) -> [u8; 24] {
    let mut bytes = from_neighbour(State::Init).to_bytes();
    bytes[at] = byte;
    bytes
}

#[test]
fn a_packet_that_is_malformed_is_discarded() {
    for (payload, why) in [
        (with(0, 0x40), Malformed::Version),
        (with(3, 23), Malformed::Length),
        (with(3, 25), Malformed::Length),
        (with(2, 0), Malformed::DetectMult),
        (with(1, 0x81), Malformed::Multipoint),
    ] {
        assert_discarded(Lab::in_state(State::Down), &payload, why.into());
    }
    let nobody = Packet { my_discriminator: 0, ..from_neighbour(State::Down) };
    assert_discarded(Lab::in_state(State::Down), &nobody.to_bytes(), Malformed::MyDiscriminator.into());
    let unaware = Packet { your_discriminator: 0, ..from_neighbour(State::Init) };
    assert_discarded(Lab::in_state(State::Down), &unaware.to_bytes(), Malformed::YourDiscriminator.into());
}

#[test]
fn a_packet_for_another_session_is_discarded() {
    let stray = Packet { your_discriminator: 99, ..from_neighbour(State::Down) };
    assert_discarded(Lab::in_state(State::Down), &stray.to_bytes(), Discard::YourDiscriminator(99));
}

#[test]
fn a_packet_that_names_nobody_is_taken_in_down() {
    let mut lab = Lab::in_state(State::Down);
    lab.hear(Packet { your_discriminator: 0, ..from_neighbour(State::Down) });
    assert_eq!(lab.session.state(), State::Init);
    assert_eq!(addressee(&from_neighbour(State::Down).to_bytes()), Ok(Some(LOCAL)));
    let unaware = Packet { your_discriminator: 0, ..from_neighbour(State::Down) };
    assert_eq!(addressee(&unaware.to_bytes()), Ok(None));
}

#[test]
fn authentication_must_be_as_configured() {
    let mut bytes = from_neighbour(State::Down).to_bytes_before(5).to_vec();
    bytes.extend([1, 5, 1, b'p', b'w']);
    assert_discarded(Lab::in_state(State::Down), &bytes, NotAuthentic::Unexpected.into());

    let keyed = |config: &mut Config| {
        let key = Key { id: 1, secret: b"pw".to_vec() };
        config.authentication = Some(Keys::new(Method::SimplePassword, vec![key]).expect("a key"));
    };
    let plain = from_neighbour(State::Down).to_bytes();
    assert_discarded(Lab::with_in_state(State::Down, keyed), &plain, NotAuthentic::Method.into());
    let mut lab = Lab::with_in_state(State::Down, keyed);
    assert_eq!(lab.take(255, &bytes), Ok(()));
    assert_eq!(lab.session.state(), State::Init);
}

#[test]
fn over_one_hop_the_ttl_is_255_and_over_several_what_is_configured() {
    let init = from_neighbour(State::Init).to_bytes();
    let mut lab = Lab::new();
    assert_eq!(lab.take(254, &init), Err(Discard::Ttl { got: 254, want: 255 }));
    assert_eq!(lab.session.state(), State::Down);
    let mut lab = Lab::with(|config| config.path = Path::MultiHop { min_ttl: 250 });
    assert_eq!(lab.take(249, &init), Err(Discard::Ttl { got: 249, want: 250 }));
    assert_eq!(lab.take(250, &init), Ok(()));
    assert_eq!(lab.session.state(), State::Up);
}

#[test]
fn what_the_neighbour_says_is_remembered_and_answered() {
    let mut lab = Lab::in_state(State::Down);
    lab.hear(from_neighbour(State::Down));
    let sent = lab.sent();
    assert_eq!(sent.len(), 1, "a change of state is not kept until the timer");
    assert_eq!((sent[0].state, sent[0].your_discriminator), (State::Init, REMOTE));
    // §6.3: it may change its discriminator without affecting the session.
    lab.hear(Packet { my_discriminator: 77, ..from_neighbour(State::Up) });
    assert_eq!(lab.session.state(), State::Up);
    assert_eq!(lab.sent()[0].your_discriminator, 77);
}

#[test]
fn in_admin_down_a_packet_moves_nothing_and_a_poll_is_not_answered() {
    for state in [State::Down, State::Init, State::Up, State::AdminDown] {
        let mut lab = Lab::in_state(State::AdminDown);
        lab.hear(Packet { poll: true, ..from_neighbour(state) });
        assert_eq!(lab.session.state(), State::AdminDown);
        assert!(lab.sent().iter().all(|packet| !packet.finish));
    }
}

#[test]
fn the_neighbours_admin_down_ends_the_session_but_is_no_failure_of_the_path() {
    let mut lab = Lab::settled();
    lab.changes();
    lab.hear(from_neighbour(State::AdminDown));
    assert_eq!(lab.changes(), [(State::Up, State::Down, 3)]);
    assert_eq!(lab.session.verdict(), Verdict::Unmonitored);
    lab.run(Duration::from_secs(60));
    assert_eq!(lab.session.verdict(), Verdict::Unmonitored, "and silence after it neither");
}

#[test]
fn the_neighbours_down_is_a_failure() {
    let mut lab = Lab::settled();
    lab.changes();
    lab.hear(from_neighbour(State::Down));
    assert_eq!(lab.changes(), [(State::Up, State::Down, 3)]);
    assert_eq!(lab.session.verdict(), Verdict::Failed);
    assert_eq!(lab.sent()[0].diagnostic, Diagnostic::NEIGHBOUR_DOWN);
    lab.hear(from_neighbour(State::Down));
    assert_eq!(lab.session.verdict(), Verdict::Failed, "until it is Up again");
    lab.hear(from_neighbour(State::Up));
    assert_eq!(lab.session.verdict(), Verdict::Up);
    assert_eq!(lab.session.diagnostic(), Diagnostic::NONE);
}

#[test]
fn a_session_that_never_was_up_is_no_ground_to_act_on() {
    let mut lab = Lab::in_state(State::Init);
    assert_eq!(lab.session.verdict(), Verdict::Starting);
    lab.run(Duration::from_secs(10));
    assert_eq!((lab.session.state(), lab.session.verdict()), (State::Down, Verdict::Starting));
}

#[test]
fn a_poll_is_answered_at_once_with_f_and_without_p() {
    for state in [State::Down, State::Init, State::Up] {
        let mut lab = Lab::in_state(state);
        lab.hear(Packet { poll: true, ..from_neighbour(State::Up) });
        let first = lab.sent()[0];
        assert!(first.finish && !first.poll, "{state:?}");
    }
}

#[test]
fn a_neighbour_in_demand_mode_gets_no_periodic_packets_while_both_are_up_but_answers() {
    let mut lab = Lab::settled();
    let demand = Packet { demand: true, ..from_neighbour(State::Up) };
    let sent = lab.run_hearing(demand, ms(250), Duration::from_secs(3));
    assert_eq!(sent, []);
    lab.hear(Packet { poll: true, ..demand });
    let finals = lab.sent();
    assert!(finals.len() == 1 && finals[0].finish && !finals[0].demand, "{finals:?}");
    // §6.8.14: no longer active: periodic packets go on.
    assert!(lab.run_hearing(from_neighbour(State::Up), ms(250), Duration::from_secs(3)).len() >= 9);
    // It still notices that the neighbour is gone.
    lab.hear(demand);
    lab.run(ms(901));
    assert_eq!(lab.session.state(), State::Down);
}

#[test]
fn a_neighbour_that_wants_nothing_gets_nothing_periodic() {
    let mut lab = Lab::settled();
    let deaf = Packet { required_min_rx: 0, ..from_neighbour(State::Up) };
    assert_eq!(lab.run_hearing(deaf, ms(250), Duration::from_secs(3)), []);
    lab.hear(Packet { poll: true, ..deaf });
    assert_eq!(lab.sent().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No bytes make it panic or speak malformed, whatever its state.
    #[test]
    fn any_bytes_are_judged(
        state in select(vec![State::AdminDown, State::Down, State::Init, State::Up]),
        packets in vec((vec(any::<u8>(), 0..60), any::<u8>(), 0_u64..2_000), 1..10),
    ) {
        let mut lab = Lab::in_state(state);
        for (bytes, ttl, pause) in packets {
            let taken = lab.take(ttl, &bytes).is_ok();
            prop_assert!(!taken || ttl == 255);
            lab.run(ms(pause));
        }
    }

    /// Well-formed packets in any order: the state is always one the table leads to, and the deadline is in the future.
    #[test]
    fn any_packets_lead_through_the_table(heads in vec((0_u8..4, any::<u8>(), any::<[u32; 3]>()), 1..20)) {
        let mut lab = Lab::new();
        for (state, flags, [tx, rx, echo]) in heads {
            let mut bytes = from_neighbour(State::Up).to_bytes();
            bytes[1] = state << 6 | flags & 0x3a;
            bytes[2] = flags.max(1);
            bytes[12..16].copy_from_slice(&tx.to_be_bytes());
            bytes[16..20].copy_from_slice(&rx.to_be_bytes());
            bytes[20..24].copy_from_slice(&echo.to_be_bytes());
            let received = Packet::parse(&bytes).expect("well formed").packet;
            let (expected, _) = table::next(lab.session.state(), received.state);
            lab.hear(received);
            prop_assert_eq!(lab.session.state(), expected);
            lab.sent();
            prop_assert!(lab.session.poll_timeout().is_none_or(|at| at > lab.now));
        }
    }
}
