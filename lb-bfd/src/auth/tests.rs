//! Sections laid out by hand from RFC 5880 §4.2 to §4.4; digests are of another implementation (Python's hashlib).

use lb_common::bfd::{Diagnostic, State};
use proptest::{
    prelude::{ProptestConfig, any},
    prop_assert, prop_assert_eq, proptest,
};

use super::*;

fn packet() -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll: false,
        finish: false,
        control_plane_independent: false,
        demand: false,
        detect_mult: 3,
        my_discriminator: 1,
        your_discriminator: 2,
        desired_min_tx: 300_000,
        required_min_rx: 300_000,
        required_min_echo_rx: 0,
    }
}

fn key(id: u8, secret: &[u8]) -> Key {
    Key { id, secret: secret.to_vec() }
}

/// Sends sequence number 5 first.
fn authenticator(method: Method) -> Authenticator {
    Authenticator::new(Keys::new(method, vec![key(7, b"swordfish")]).expect("a key"), 4)
}

fn verify(receiver: &mut Authenticator, bytes: &[u8]) -> Result<(), NotAuthentic> {
    receiver.verify(&Packet::parse(bytes).expect("a packet"))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

const METHODS: [Method; 5] =
    [Method::SimplePassword, Method::KeyedMd5, Method::MeticulousMd5, Method::KeyedSha1, Method::MeticulousSha1];

/// What [`authenticator`] makes of [`packet`] first.
const GOLDEN: [&str; 5] = [
    "20c403240000000100000002000493e0000493e000000000010c0773776f726466697368",
    "20c403300000000100000002000493e0000493e00000000002180700000000050c971ffdec0ca7010f6cc6ab1ddbf92b",
    "20c403300000000100000002000493e0000493e000000000031807000000000565a466dc4477a0e8b4b2a98fc2877e71",
    "20c403340000000100000002000493e0000493e000000000041c07000000000515dffca55277a897a24f92368d353409\
     0024d113",
    "20c403340000000100000002000493e0000493e000000000051c070000000005d210c22e1ae12273a4b999c0f9418a22\
     1762ff25",
];

#[test]
fn every_method_has_its_section_and_its_digest() {
    for (method, golden) in METHODS.into_iter().zip(GOLDEN) {
        let bytes = authenticator(method).sign(&packet(), true);
        assert_eq!(bytes, unhex(golden), "{method:?}");
        assert_eq!(verify(&mut authenticator(method), &unhex(golden)), Ok(()), "{method:?}");
    }
}

#[test]
fn what_fails_a_check_of_6_7_is_refused_by_that_check() {
    for (method, golden) in METHODS.into_iter().zip(GOLDEN) {
        let good = unhex(golden);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            verify(&mut authenticator(method), &bytes)
        };
        assert_eq!(with(24, 9), Err(NotAuthentic::Method), "{method:?}");
        assert_eq!(with(26, 8), Err(NotAuthentic::Key(8)), "{method:?}");
        assert_eq!(with(25, 11), Err(NotAuthentic::Length), "{method:?}");
        assert_eq!(with(good.len() - 1, 0), Err(NotAuthentic::Digest), "{method:?}");
    }
    let plain = packet().to_bytes();
    assert_eq!(verify(&mut authenticator(Method::KeyedSha1), &plain), Err(NotAuthentic::Method));
}

#[test]
fn a_digest_covers_the_whole_packet() {
    let good = unhex(GOLDEN[4]);
    for at in [1, 2, 4, 12, 20, 27, 28] {
        let mut bytes = good.clone();
        bytes[at] ^= if at == 1 { 0x20 } else { 1 };
        let result = verify(&mut authenticator(Method::MeticulousSha1), &bytes);
        assert_eq!(result, Err(NotAuthentic::Digest), "byte {at}");
    }
}

#[test]
fn a_replayed_packet_is_refused_by_the_meticulous_methods_only() {
    for (method, again) in [
        (Method::KeyedMd5, Ok(())),
        (Method::KeyedSha1, Ok(())),
        (Method::MeticulousMd5, Err(NotAuthentic::Sequence(5))),
        (Method::MeticulousSha1, Err(NotAuthentic::Sequence(5))),
    ] {
        let bytes = authenticator(method).sign(&packet(), true);
        let mut receiver = authenticator(method);
        assert_eq!(verify(&mut receiver, &bytes), Ok(()));
        assert_eq!(verify(&mut receiver, &bytes), again, "{method:?}");
    }
}

/// The packet that carries this sequence number.
fn numbered(sequence: u32) -> Vec<u8> {
    let mut sender = authenticator(Method::MeticulousSha1);
    sender.sent = sequence.wrapping_sub(1);
    sender.sign(&packet(), true)
}

#[test]
fn the_window_is_three_times_the_multiplier_and_goes_around() {
    for start in [5, u32::MAX - 4] {
        let taken = |ahead: u32| {
            let mut receiver = authenticator(Method::MeticulousSha1);
            verify(&mut receiver, &numbered(start)).expect("the first is taken");
            verify(&mut receiver, &numbered(start.wrapping_add(ahead))).is_ok()
        };
        assert!(taken(1) && taken(9));
        assert!(!taken(0) && !taken(10) && !taken(u32::MAX));
    }
}

#[test]
fn a_forged_packet_does_not_move_the_window() {
    let mut receiver = authenticator(Method::MeticulousSha1);
    let mut forged = numbered(1_000_000);
    *forged.last_mut().expect("a digest") ^= 1;
    assert_eq!(verify(&mut receiver, &forged), Err(NotAuthentic::Digest));
    assert_eq!(verify(&mut receiver, &numbered(5)), Ok(()));
}

#[test]
fn a_sequence_that_was_forgotten_may_be_any() {
    let mut receiver = authenticator(Method::KeyedMd5);
    verify(&mut receiver, &authenticator(Method::KeyedMd5).sign(&packet(), true)).expect("the first is taken");
    receiver.forget();
    let mut restarted = authenticator(Method::KeyedMd5);
    restarted.sent = 3_000_000_000;
    assert_eq!(verify(&mut receiver, &restarted.sign(&packet(), true)), Ok(()));
}

#[test]
fn the_number_moves_with_each_packet_or_with_the_contents() {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[28..32].try_into().expect("4 bytes"));
    let mut keyed = authenticator(Method::KeyedSha1);
    let numbers = [true, false, false, true].map(|changed| number(&keyed.sign(&packet(), changed)));
    assert_eq!(numbers, [5, 5, 5, 6]);
    let mut meticulous = authenticator(Method::MeticulousMd5);
    let numbers = [true, false, false, true].map(|changed| number(&meticulous.sign(&packet(), changed)));
    assert_eq!(numbers, [5, 6, 7, 8]);
}

#[test]
fn keys_are_changed_one_side_at_a_time() {
    let keys = |keys: &[(u8, &[u8])]| {
        let keys = keys.iter().map(|(id, secret)| key(*id, secret)).collect();
        Authenticator::new(Keys::new(Method::KeyedSha1, keys).expect("keys"), 4)
    };
    const OLD: (u8, &[u8]) = (1, b"old");
    const NEW: (u8, &[u8]) = (2, b"new");
    let bytes = keys(&[NEW, OLD]).sign(&packet(), true);
    assert_eq!(verify(&mut keys(&[OLD, NEW]), &bytes), Ok(()));
    assert_eq!(verify(&mut keys(&[OLD]), &bytes), Err(NotAuthentic::Key(2)));
}

#[test]
fn keys_that_no_section_can_carry_are_refused_and_secrets_are_not_printed() {
    assert_eq!(Keys::new(Method::KeyedMd5, vec![]), Err(KeyError::None));
    let error = Keys::new(Method::KeyedMd5, vec![key(1, &[0; 17])]).expect_err("too long");
    assert_eq!(error.to_string(), "key 1 has 17 bytes, and KeyedMd5 takes 1 to 16");
    assert!(Keys::new(Method::KeyedSha1, vec![key(1, &[0; 20])]).is_ok());
    assert!(Keys::new(Method::SimplePassword, vec![key(1, b"")]).is_err());
    assert_eq!(format!("{:?}", key(1, b"swordfish")), "Key(1)");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// One changed bit anywhere is noticed, by every digest.
    #[test]
    fn no_single_bit_can_be_changed(method in 1_usize..5, at in any::<proptest::sample::Index>(), bit in 0_u32..8) {
        let mut bytes = unhex(GOLDEN[method]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let mut receiver = authenticator(METHODS[method]);
        if let Ok(control) = Packet::parse(&bytes) {
            prop_assert!(receiver.verify(&control).is_err());
            prop_assert_eq!(receiver.received, None);
        }
    }
}
