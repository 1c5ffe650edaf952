//! Standing in for the agent in BFD: what time, the lease and the router's own word do to it, and what holds of every answer.

use std::sync::OnceLock;

use lb_common::{
    abi::BfdWord,
    bfd::{
        Packet as Bfd, State,
        stand_in::{Pace, keeps_up},
    },
    host::{Maps, Packet, golden},
    lease::Latch,
    outcome::{Done, Outcome, Pass, Verdict},
    respond::respond,
};
use proptest::{prelude::ProptestConfig, prop_assert, prop_assert_eq, proptest};

/// Until when the lease is held, in milliseconds.
const DEADLINE: u64 = 10_000;
/// The slot of [`golden::AWAY4`].
const SLOT: u32 = 0;
const MILLI: u64 = 1_000_000;

fn frame(name: &str) -> Vec<u8> {
    static TABLE: OnceLock<Vec<golden::Golden>> = OnceLock::new();
    let table = TABLE.get_or_init(golden::table);
    table.iter().find(|golden| golden.name == name).expect("a golden frame").input.clone()
}

fn judged(name: &str, maps: &Maps) -> Outcome {
    respond(&mut Packet::new(frame(name)), maps)
}

fn at(now: u64) -> Maps {
    Maps { now, ..golden::maps() }
}

fn moment(maps: &Maps, word: BfdWord) -> Option<u64> {
    maps.bfd_moments.borrow().get(&word.index(SLOT)).copied()
}

fn set(maps: &Maps, word: BfdWord, nanos: u64) {
    maps.bfd_moments.borrow_mut().insert(word.index(SLOT), nanos);
}

#[test]
fn it_begins_when_the_agents_packets_are_overdue_and_notes_before_that_it_could() {
    let maps = at(1_000);
    set(&maps, BfdWord::Until, 1_000 * MILLI);

    assert_eq!(judged("bfd4", &maps), Err(Pass::BfdAgent));
    assert_eq!((moment(&maps, BfdWord::Heard), moment(&maps, BfdWord::Answered)), (Some(1_000 * MILLI), None));

    let maps = Maps { now: 1_001, ..maps };
    assert_eq!(judged("bfd4", &maps), Ok(Done::BfdAnswered));
    assert_eq!(moment(&maps, BfdWord::Heard), Some(1_001 * MILLI));
    assert_eq!(moment(&maps, BfdWord::Answered), Some(1_001 * MILLI));
}

/// RFC 5880 §6.8.7: at most as often as the router wants them, less the jitter of 25 in 100; a poll at once.
#[test]
fn an_answer_too_soon_is_spared_and_a_poll_is_not() {
    let maps = at(1_037);
    set(&maps, BfdWord::Answered, 1_000 * MILLI);

    assert_eq!(judged("bfd4", &maps), Ok(Done::BfdSpared));
    assert_eq!(
        (moment(&maps, BfdWord::Heard), moment(&maps, BfdWord::Answered)),
        (Some(1_037 * MILLI), Some(1_000 * MILLI))
    );
    assert_eq!(judged("bfd4-slower-receiver", &maps), Ok(Done::BfdSpared), "200 ms are wanted");
    assert_eq!(judged("bfd4-poll", &maps), Ok(Done::BfdAnswered));

    let maps = Maps { now: 1_038 + 37, ..maps };
    assert_eq!(judged("bfd4", &maps), Ok(Done::BfdAnswered));
}

#[test]
fn past_the_deadline_it_stops_and_trips_the_latch() {
    assert_eq!(judged("bfd4", &at(DEADLINE)), Ok(Done::BfdAnswered), "the deadline itself still counts");
    let maps = at(DEADLINE + 1);

    for name in ["bfd4", "bfd4-poll", "bfd6", "bfd4-while-the-agent-sends"] {
        assert_eq!(judged(name, &maps), Err(Pass::BfdLapsed), "{name}");
    }

    assert_eq!(Latch(maps.latch.get()), Latch::new(golden::EPOCH, 0));
    assert_eq!((moment(&maps, BfdWord::Heard), moment(&maps, BfdWord::Answered)), (None, None), "nothing is promised");
}

#[test]
fn what_an_earlier_agent_left_does_not_come_back_in_a_new_epoch() {
    let maps = at(1);
    maps.latch.set(Latch::new(golden::EPOCH + 1, DEADLINE).0);

    assert_eq!(judged("bfd4", &maps), Err(Pass::BfdLapsed));
}

/// A packet of before that comes late must not bring it back either.
#[test]
fn a_router_that_is_not_up_ends_the_session_that_the_agent_is_away_from() {
    for (down, up, discriminator) in [
        ("bfd4-down", "bfd4", golden::AWAY4),
        ("bfd4-admin-down", "bfd4-poll", golden::AWAY4),
        ("bfd4-init", "bfd4", golden::AWAY4),
        ("bfd6-down", "bfd6", golden::AWAY6),
    ] {
        let maps = at(1);
        assert_eq!(judged(down, &maps), Err(Pass::BfdState), "{down}");
        assert!(maps.bfd_over.borrow().contains(&discriminator.to_be_bytes()), "{down}");
        assert_eq!(judged(up, &maps), Err(Pass::BfdSession), "{down}");
    }
}

#[test]
fn a_router_that_is_not_up_is_the_agents_business_while_it_is_there() {
    let maps = at(1);
    assert_eq!(judged("bfd4-down-while-the-agent-sends", &maps), Err(Pass::BfdState));
    assert!(maps.bfd_over.borrow().is_empty());
}

/// What is no packet of the session, whatever it says, must not end it.
#[test]
fn nobody_else_ends_a_session() {
    let elsewhere = [192, 0, 2, 3];
    for change in [0, 1, 2] {
        let maps = at(1);
        let mut bytes = frame("bfd4-down");
        match change {
            0 => bytes[26..30].copy_from_slice(&elsewhere),
            1 => bytes[14 + 20 + 12] ^= 1, // My Discriminator
            _ => bytes[22] = 254,          // the TTL
        }
        let outcome = respond(&mut Packet::new(bytes), &maps);
        assert_eq!(Verdict::of(&outcome), Verdict::Pass);
        assert!(maps.bfd_over.borrow().is_empty(), "{change}: {outcome:?}");
    }
}

/// §6.8.4, by hand: what the neighbour waits, against what it takes in the worst case.
#[test]
fn it_keeps_up_with_neighbours_that_send_as_often_as_they_want_to_hear() {
    let pace = |desired_min_tx, required_min_rx| Pace { desired_min_tx, required_min_rx };
    for (ours, mult, theirs, expected) in [
        (pace(50_000, 50_000), 3, pace(50_000, 50_000), true),
        (pace(300_000, 300_000), 3, pace(300_000, 300_000), true),
        (pace(50_000, 50_000), 3, pace(300_000, 300_000), true),
        (pace(300_000, 300_000), 3, pace(50_000, 50_000), true),
        (pace(50_000, 50_000), 3, pace(50_001, 50_000), false),
        (pace(50_000, 50_000), 3, pace(1_000_000, 50_000), false),
        // It would send more often, and we asked it not to.
        (pace(50_000, 1_000_000), 3, pace(50_000, 50_000), false),
        // Two may be missed: one interval passes before the first answer, and one packet may be lost.
        (pace(50_000, 50_000), 2, pace(50_000, 50_000), false),
        (pace(50_000, 25_000), 2, pace(25_000, 50_000), true),
        (pace(50_000, 50_000), 1, pace(1, 1), false),
        (pace(u32::MAX, u32::MAX), 255, pace(u32::MAX, u32::MAX), true),
        (pace(50_000, 50_000), 3, pace(50_000, 0), false),
    ] {
        assert_eq!(keeps_up(ours, mult, theirs), expected, "{ours:?} × {mult}, {theirs:?}");
    }
}

/// Both ends are nodes without an agent, and each takes what the other sends for a packet of its router: the worst case of
/// two programs. It ends at once.
#[test]
fn two_that_stand_in_do_not_keep_a_packet_going() {
    for start in ["bfd4", "bfd4-poll", "bfd6-poll"] {
        let ours = at(1_000);
        let mut packet = Packet::new(frame(start));
        assert_eq!(respond(&mut packet, &ours), Ok(Done::BfdAnswered));
        let theirs = at(1_000);
        let mirrored: Vec<_> = theirs
            .bfd
            .values()
            .map(|session| {
                let mut session = *session;
                std::mem::swap(&mut session.peer, &mut session.local);
                session.packet.copy_within(4..8, 8);
                session.packet[4..8].copy_from_slice(&golden::ROUTER.to_be_bytes());
                session
            })
            .collect();
        let mut answers = 0;
        for turn in 0..10 {
            let (maps, mac) = if turn % 2 == 0 { (&theirs, [2, 0, 0, 0, 0, 2]) } else { (&ours, golden::NODE_MAC) };
            let mut maps = Maps { bfd_moments: maps.bfd_moments.clone(), ..maps.clone() };
            maps.segments.values_mut().for_each(|segment| segment.mac = mac);
            if turn % 2 == 0 {
                let is_v6 = start.starts_with("bfd6");
                let wanted = mirrored.iter().find(|session| (session.peer[..2] == [0x20, 1]) == is_v6).expect("one");
                maps.bfd = [(golden::ROUTER.to_be_bytes(), *wanted)].into();
            }
            let outcome = respond(&mut packet, &maps);
            let source = if turn % 2 == 0 { &theirs } else { &ours };
            source.bfd_moments.borrow_mut().extend(maps.bfd_moments.borrow().iter());
            if outcome != Ok(Done::BfdAnswered) {
                break;
            }
            answers += 1;
        }
        assert!(answers <= 1, "{start}: {answers} answers to an answer");
    }
}

/// The one's complement sum (RFC 1071).
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded")
}

/// Over pseudo-header and datagram: 0xffff if the checksum is right (RFC 768, RFC 8200 §8.1).
fn udp_sum(addresses: &[u8], datagram: &[u8]) -> u16 {
    let length = u32::try_from(datagram.len()).expect("short").to_be_bytes();
    sum(&[addresses, &length, &[0, 17], datagram])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a session is: the answer's checksums are right, its fields are the session's, and it goes back.
    #[test]
    fn every_answer_is_right(
        family6: bool, addresses: [[u8; 16]; 2], ports: [u8; 2], body: [u8; 8], mine: u32, yours: u32, poll: bool,
        ttl: u8,
    ) {
        let (name, ip, udp) = if family6 { ("bfd6", 22..54, 54) } else { ("bfd4-several-hops", 26..34, 34) };
        let mut bytes = frame(name);
        let half = ip.len() / 2;
        // Later than the longest interval.
        let mut maps = at(u64::from(u32::MAX));
        maps.latch.set(Latch::new(golden::EPOCH, maps.now).0);
        let key = if family6 { golden::AWAY6 } else { golden::FAR4 };
        let mut session = maps.bfd.remove(&key.to_be_bytes()).expect("a golden session");
        for (index, address) in addresses.iter().enumerate() {
            let at = ip.start + index * half;
            bytes[at..at + half].copy_from_slice(&address[..half]);
            bytes[at] = 0x20; // a host in either family
            let stored = if index == 0 { &mut session.peer } else { &mut session.local };
            stored[16 - half..].copy_from_slice(&bytes[at..at + half]);
        }
        let (mine, yours) = (mine.to_be_bytes(), yours.to_be_bytes());
        session.source_port = ports;
        session.least_ttl = ttl;
        session.packet[4..8].copy_from_slice(&mine);
        session.packet[8..12].copy_from_slice(&yours);
        session.packet[12..16].copy_from_slice(&body[..4]);
        session.packet[12] |= 1; // seldom enough for a neighbour that sends every 50 ms
        bytes[udp + 12..udp + 16].copy_from_slice(&yours);
        bytes[udp + 16..udp + 20].copy_from_slice(&mine);
        bytes[udp + 24..udp + 28].copy_from_slice(&body[4..]);
        bytes[udp + 27] |= 1; // it wants to hear something
        bytes[udp + 9] |= if poll { 0x20 } else { 0 };
        if !family6 {
            bytes[22] = ttl;
            bytes[24..26].fill(0);
            let checksum = !sum(&[&bytes[14..34]]);
            bytes[24..26].copy_from_slice(&checksum.to_be_bytes());
        } else {
            bytes[21] = ttl;
        }
        maps.bfd.insert(mine, session);
        let mut packet = Packet::new(bytes.as_slice());

        let outcome = respond(&mut packet, &maps);

        let answer = packet.bytes;
        prop_assert_eq!(outcome, Ok(Done::BfdAnswered));
        prop_assert_eq!(udp_sum(&answer[ip.clone()], &answer[udp..]), 0xffff);
        prop_assert!(answer[udp + 6..udp + 8] != [0, 0]);
        if !family6 {
            prop_assert_eq!(sum(&[&answer[14..34]]), 0xffff);
        }
        prop_assert_eq!(answer[if family6 { 21 } else { 22 }], 255);
        prop_assert_eq!(&answer[0..6], &bytes[6..12]);
        prop_assert_eq!(&answer[6..12], &bytes[0..6]);
        prop_assert_eq!(&answer[ip.start..ip.start + half], &bytes[ip.start + half..ip.end]);
        prop_assert_eq!(&answer[ip.start + half..ip.end], &bytes[ip.start..ip.start + half]);
        prop_assert_eq!(&answer[udp..udp + 2], &ports);
        prop_assert_eq!(&answer[udp + 2..udp + 4], &bytes[udp + 2..udp + 4]);
        prop_assert_eq!(&answer[udp + 10..udp + 32], &session.packet[2..]);
        prop_assert_eq!(answer[udp + 9], session.packet[1] | if poll { 0x10 } else { 0 });
        if mine != [0; 4] && yours != [0; 4] {
            let said = Bfd::parse(&answer[udp + 8..]).expect("the answer is a packet").packet;
            prop_assert!(said.state == State::Up && said.control_plane_independent && !said.poll);
            prop_assert_eq!(said.finish, poll);
        }
    }
}
