//! The S-BFD reflector: what it says of the lease and of the agent's will, and what holds of every frame it sends.

use lb_common::{
    abi::Reflector,
    bfd::{Packet as Bfd, State, reflect::MIN_RX},
    host::{Maps, Packet, golden},
    lease::Latch,
    outcome::{Done, Outcome, Pass, Verdict},
    respond::respond,
};
use std::sync::OnceLock;

use proptest::{
    prelude::{ProptestConfig, any},
    prop_assert, prop_assert_eq, proptest,
};

const DEADLINE: u64 = 10_000;
const LIMIT: u64 = 20_000;
/// Where UDP begins in an untagged IPv4 frame.
const UDP4: usize = 14 + 20;
/// Where UDP begins in an untagged IPv6 frame.
const UDP6: usize = 14 + 40;

fn frame(name: &str) -> Vec<u8> {
    static TABLE: OnceLock<Vec<golden::Golden>> = OnceLock::new();
    let table = TABLE.get_or_init(golden::table);
    table.iter().find(|golden| golden.name == name).expect("a golden frame").input.clone()
}

fn at(now: u64) -> Maps {
    Maps { now, ..golden::maps() }
}

fn reflected(frame: &[u8], maps: &Maps) -> (Outcome, Vec<u8>) {
    let mut packet = Packet::new(frame);
    let outcome = respond(&mut packet, maps);
    (outcome, packet.bytes)
}

/// Probe and answer of the first golden frame, but for the state: RFC 5880 §4.1, Sta 0 and Diag 7.
const ADMIN_DOWN4: &str = "020000000002 020000000001 0800 \
    45c00034 12344000 ff11e4c0 c0000201 c0000202 1e68c000 0020b880 27080318 \
    c0ffee01 11223344 0000c350 000003e8 00000000";

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn past_the_deadline_it_says_admin_down_and_trips_the_latch() {
    let maps = at(DEADLINE + 1);

    let (outcome, bytes) = reflected(&frame("sbfd4"), &maps);

    assert_eq!(outcome, Ok(Done::SbfdAdminDown));
    assert_eq!(bytes, unhex(ADMIN_DOWN4));
    assert_eq!(Latch(maps.latch.get()), Latch::new(golden::EPOCH, 0));
}

#[test]
fn at_the_deadline_itself_it_says_up() {
    assert_eq!(reflected(&frame("sbfd6"), &at(DEADLINE)).0, Ok(Done::SbfdUp));
}

#[test]
fn a_node_that_drains_or_warms_up_says_admin_down() {
    let maps = Maps { reflector: Reflector::admin_down(golden::DISCRIMINATOR), ..at(1) };

    let (outcome, bytes) = reflected(&frame("sbfd4"), &maps);

    assert_eq!(outcome, Ok(Done::SbfdAdminDown));
    assert_eq!(bytes, unhex(ADMIN_DOWN4));
    assert_eq!(Latch(maps.latch.get()), Latch::new(golden::EPOCH, DEADLINE));
}

#[test]
fn what_an_earlier_agent_wrote_is_not_up_in_a_new_epoch() {
    let maps = at(1);
    maps.latch.set(Latch::new(golden::EPOCH + 1, DEADLINE).0);

    assert_eq!(reflected(&frame("sbfd4"), &maps).0, Ok(Done::SbfdAdminDown));
}

#[test]
fn past_the_suppress_limit_and_before_any_agent_it_is_silent() {
    assert_eq!(reflected(&frame("sbfd4"), &at(LIMIT + 1)).0, Err(Pass::SuppressLimit));
    let never = Maps { suppress_until: 0, reflector: Reflector::OFF, ..at(1) };
    never.latch.set(0);
    assert_eq!(reflected(&frame("sbfd4"), &never).0, Err(Pass::SbfdYourDiscriminator));
}

#[test]
fn a_reflector_that_is_off_does_not_take_probes_for_discriminator_0() {
    let off = Maps { reflector: Reflector::OFF, ..at(1) };

    assert_eq!(reflected(&frame("sbfd4-your-discriminator-0"), &off).0, Err(Pass::SbfdYourDiscriminator));
}

#[test]
fn a_probe_for_another_node_does_not_trip_the_latch() {
    let maps = at(DEADLINE + 1);

    assert_eq!(reflected(&frame("sbfd4-other-discriminator"), &maps).0, Err(Pass::SbfdYourDiscriminator));

    assert_eq!(Latch(maps.latch.get()), Latch::new(golden::EPOCH, DEADLINE));
}

/// The one's complement sum over pseudo-header and datagram: 0xffff if the checksum is right (RFC 768, RFC 8200 §8.1).
fn udp_sum(addresses: &[u8], datagram: &[u8]) -> u16 {
    let length = u32::try_from(datagram.len()).expect("short");
    let pseudo = [addresses, &length.to_be_bytes(), &[0, 17]].concat();
    let mut sum: u32 = 0;
    for pair in pseudo.chunks(2).chain(datagram.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded")
}

/// A probe with its own right checksum, over IPv4 or IPv6.
fn probe(family6: bool, addresses: [u8; 32], port: u16, body: [u8; 20], head: [u8; 3]) -> Vec<u8> {
    let (mut frame, ip, udp) = if family6 { (frame("sbfd6"), 22..54, UDP6) } else { (frame("sbfd4"), 26..34, UDP4) };
    let length = ip.len();
    frame[ip.clone()].copy_from_slice(&addresses[..length]);
    for start in [ip.start, ip.start + length / 2] {
        frame[start] = 0x20; // a host in either family
    }
    frame[udp..udp + 2].copy_from_slice(&port.to_be_bytes());
    frame[udp + 8] = 0x20 | head[0] & 0x1f;
    frame[udp + 9] = head[1] & !0x05 | 0x02; // A and M clear, D set
    frame[udp + 10] = head[2].max(1);
    frame[udp + 12..udp + 32].copy_from_slice(&body);
    frame[udp + 12] |= 1; // My Discriminator is not 0
    frame[udp + 16..udp + 20].copy_from_slice(&golden::DISCRIMINATOR.to_be_bytes());
    frame[udp + 6..udp + 8].fill(0);
    let checksum = match !udp_sum(&frame[ip.clone()], &frame[udp..]) {
        0 => 0xffff,
        checksum => checksum,
    };
    frame[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    frame
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a probe carries: the answer's checksum is right, and its fields are those of RFC 7880 §7.2.2.
    #[test]
    fn every_answer_is_right(
        family6: bool, addresses: [u8; 32], port: u16, body: [u8; 20], head: [u8; 3], up: bool,
    ) {
        let port = if port == 7784 { 7785 } else { port };
        let asked = probe(family6, addresses, port, body, head);
        let (ip, udp) = if family6 { (22..54, UDP6) } else { (26..34, UDP4) };
        let maps = at(if up { 1 } else { DEADLINE + 1 });

        let (outcome, answer) = reflected(&asked, &maps);

        prop_assert_eq!(outcome, Ok(if up { Done::SbfdUp } else { Done::SbfdAdminDown }));
        prop_assert_eq!(udp_sum(&answer[ip.clone()], &answer[udp..]), 0xffff);
        prop_assert!(answer[udp + 6..udp + 8] != [0, 0]);
        let half = ip.len() / 2;
        prop_assert_eq!(&answer[ip.start..ip.start + half], &asked[ip.start + half..ip.end]);
        prop_assert_eq!(&answer[ip.start + half..ip.end], &asked[ip.start..ip.start + half]);
        prop_assert_eq!(&answer[0..6], &asked[6..12]);
        prop_assert_eq!(&answer[14..ip.start], &asked[14..ip.start]);
        let before = Bfd::parse(&asked[udp + 8..]).map(|control| control.packet);
        let after = Bfd::parse(&answer[udp + 8..]).expect("the answer is a packet").packet;
        if let Ok(before) = before {
            prop_assert_eq!(after.finish, before.poll);
            prop_assert_eq!(after.detect_mult, before.detect_mult);
            prop_assert_eq!(after.your_discriminator, before.my_discriminator);
            prop_assert_eq!(after.desired_min_tx, before.desired_min_tx);
        }
        prop_assert_eq!(after.my_discriminator, golden::DISCRIMINATOR);
        prop_assert_eq!(after.state, if up { State::Up } else { State::AdminDown });
        prop_assert_eq!(after.diagnostic.code(), if up { 0 } else { 7 });
        prop_assert!(!after.poll && !after.demand);
        prop_assert_eq!((after.required_min_rx, after.required_min_echo_rx), (MIN_RX, 0));
    }

    /// Two reflectors, each the other's "initiator": whatever started it, what one sends the other does not answer.
    #[test]
    fn no_reflector_answers_a_reflector(
        family6: bool, addresses: [u8; 32], port: u16, body: [u8; 20], head: [u8; 3], discriminator: Option<u32>,
    ) {
        let asked = probe(family6, addresses, port, body, head);
        let (outcome, answer) = reflected(&asked, &at(1));
        if port == 7784 {
            prop_assert_eq!(outcome, Err(Pass::SbfdSourcePort));
            return Ok(());
        }
        prop_assert_eq!(outcome, Ok(Done::SbfdUp));
        let mut other = at(1);
        // The worst case: the asker is a reflector whose discriminator stands in the answer.
        let udp = if family6 { UDP6 } else { UDP4 };
        let theirs = u32::from_be_bytes(answer[udp + 16..udp + 20].try_into().expect("4 bytes"));
        other.reflector = Reflector::up(discriminator.unwrap_or(theirs), golden::EPOCH);
        for segment in other.segments.values_mut() {
            segment.mac = answer[0..6].try_into().expect("6 bytes");
        }

        let (again, bytes) = reflected(&answer, &other);

        prop_assert_eq!(Verdict::of(&again), Verdict::Pass);
        prop_assert_eq!(bytes, answer);
    }

    /// The same with the port forced: a frame with D clear is never reflected, even to port 7784 from another port.
    #[test]
    fn a_frame_with_demand_clear_is_never_reflected(family6: bool, port in any::<u16>(), body: [u8; 20], flags: u8) {
        let mut asked = probe(family6, [1; 32], port, body, [0, 0, 3]);
        let udp = if family6 { UDP6 } else { UDP4 };
        asked[udp + 9] = flags & !0x02;
        let (outcome, bytes) = reflected(&asked, &at(1));
        prop_assert_eq!(Verdict::of(&outcome), Verdict::Pass);
        prop_assert_eq!(bytes, asked);
    }
}
