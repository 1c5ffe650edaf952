//! Packets from RFC 5880 §4.1 laid out by hand, and properties of the parser.

use proptest::{
    collection::vec,
    prelude::{ProptestConfig, any},
    prop_assert, prop_assert_eq, proptest,
};

use super::{Diagnostic, Malformed, Packet, State};

/// Version 1, diagnostic 3, Up, P and C, multiplier 5, 24 bytes.
const UP: [u8; 24] = [
    0x23, 0xe8, 5, 24, // version and diagnostic, state and flags, multiplier, length
    0x00, 0x00, 0x00, 0x2a, // my discriminator
    0xde, 0xad, 0xbe, 0xef, // your discriminator
    0x00, 0x04, 0x93, 0xe0, // 300,000 µs
    0x00, 0x0f, 0x42, 0x40, // 1,000,000 µs
    0x00, 0x00, 0xc3, 0x50, // 50,000 µs
];

fn packet() -> Packet {
    Packet {
        diagnostic: Diagnostic::NEIGHBOUR_DOWN,
        state: State::Up,
        poll: true,
        finish: false,
        control_plane_independent: true,
        demand: false,
        detect_mult: 5,
        my_discriminator: 42,
        your_discriminator: 0xdead_beef,
        desired_min_tx: 300_000,
        required_min_rx: 1_000_000,
        required_min_echo_rx: 50_000,
    }
}

/// The bytes of [`UP`] with one of them replaced.
fn with(at: usize, byte: u8) -> [u8; 24] {
    let mut bytes = UP;
    bytes[at] = byte;
    bytes
}

fn refused(bytes: &[u8]) -> Malformed {
    Packet::parse(bytes).expect_err("malformed")
}

#[test]
fn a_packet_is_read_and_written_as_the_rfc_lays_it_out() {
    let control = Packet::parse(&UP).expect("a packet");
    assert_eq!(control.packet, packet());
    assert_eq!(control.bytes, UP);
    assert_eq!(control.authentication, None);
    assert_eq!(packet().to_bytes(), UP);
}

#[test]
fn every_flag_and_state_has_its_bit() {
    let flags = |flags: u8| Packet::parse(&with(1, flags)).expect("a packet").packet;
    assert!(flags(0x20 | 0x40).poll);
    assert!(flags(0x10 | 0x40).finish);
    assert!(flags(0x08 | 0x40).control_plane_independent);
    assert!(flags(0x02 | 0x40).demand);
    let states = [0x00, 0x40, 0x80, 0xc0].map(|bits| flags(bits).state);
    assert_eq!(states, [State::AdminDown, State::Down, State::Init, State::Up]);
}

#[test]
fn what_fails_a_check_of_6_8_6_is_refused_by_that_check() {
    assert_eq!(refused(&UP[..23]), Malformed::Short);
    assert_eq!(refused(&with(0, 0x03)), Malformed::Version);
    assert_eq!(refused(&with(0, 0x43)), Malformed::Version);
    assert_eq!(refused(&with(3, 23)), Malformed::Length);
    assert_eq!(refused(&with(3, 25)), Malformed::Length);
    assert_eq!(refused(&with(2, 0)), Malformed::DetectMult);
    assert_eq!(refused(&with(1, 0xe9)), Malformed::Multipoint);
    assert_eq!(refused(&with(7, 0)), Malformed::MyDiscriminator);
}

#[test]
fn your_discriminator_may_be_0_only_in_down_and_admin_down() {
    let with_state = |flags: u8| {
        let mut bytes = with(1, flags);
        bytes[8..12].fill(0);
        Packet::parse(&bytes).map(|control| control.packet.state)
    };
    assert_eq!(with_state(0x00), Ok(State::AdminDown));
    assert_eq!(with_state(0x40), Ok(State::Down));
    assert_eq!(with_state(0x80), Err(Malformed::YourDiscriminator));
    assert_eq!(with_state(0xc0), Err(Malformed::YourDiscriminator));
}

#[test]
fn the_authentication_section_is_what_the_length_covers() {
    let mut bytes = UP.to_vec();
    bytes[1] |= 0x04;
    bytes.extend([1, 5, 7, b'a', b'b', 0xff]);
    bytes[3] = 29;
    let control = Packet::parse(&bytes).expect("a packet");
    assert_eq!(control.authentication, Some(&[1, 5, 7, b'a', b'b'][..]));
    assert_eq!(control.bytes, &bytes[..29]);

    bytes[3] = 25;
    assert_eq!(refused(&bytes), Malformed::Length);
}

#[test]
fn a_packet_before_an_authentication_section_says_so() {
    let bytes = packet().to_bytes_before(28);
    assert_eq!((bytes[1], bytes[3]), (0xec, 52));
}

#[test]
fn bytes_behind_the_packet_are_ignored() {
    let longer = [&UP[..], &[1, 2, 3]].concat();
    assert_eq!(Packet::parse(&longer).expect("a packet").bytes, UP);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_judged(bytes in vec(any::<u8>(), 0..80)) {
        if let Ok(control) = Packet::parse(&bytes) {
            prop_assert!(control.packet.detect_mult != 0 && control.packet.my_discriminator != 0);
            prop_assert!(bytes.starts_with(control.bytes));
        }
    }

    /// What is read is what was written, for all fields.
    #[test]
    fn what_is_written_is_read_again(head: [u8; 3], body: [u8; 20]) {
        let [diagnostic, flags, mult] = head;
        let bytes = [&[0x20 | diagnostic & 0x1f, flags & !0x05, mult.max(1), 24][..], &body].concat();
        if let Ok(control) = Packet::parse(&bytes) {
            prop_assert_eq!(&control.packet.to_bytes()[..], &bytes[..]);
        }
    }
}
