//! Streams cut anywhere, and each error of a header.

use proptest::prelude::*;

use super::*;

fn message(kind: u8, length: u16, body: usize) -> Vec<u8> {
    let mut message = vec![0xFF; 16];
    message.extend(length.to_be_bytes());
    message.push(kind);
    message.extend(std::iter::repeat_n(7, body));
    message
}

fn keepalive() -> Vec<u8> {
    message(4, 19, 0)
}

fn error(message: &[u8]) -> (u8, u8, Vec<u8>) {
    let error = Framer::new(STANDARD_MAX).next(&mut &message[..]).expect_err("an error");
    (error.code, error.subcode, error.data)
}

#[test]
fn each_error_of_the_header_has_its_notification() {
    // RFC 4271 §6.1: the data of 1/2 is the length field, of 1/3 the type field.
    let mut marker = keepalive();
    marker[7] = 0;
    assert_eq!(error(&marker), (1, 1, vec![]));
    assert_eq!(error(&message(4, 18, 0)), (1, 2, vec![0, 18]));
    assert_eq!(error(&message(4, 20, 1)), (1, 2, vec![0, 20]));
    assert_eq!(error(&message(1, 28, 9)), (1, 2, vec![0, 28]));
    assert_eq!(error(&message(2, 22, 3)), (1, 2, vec![0, 22]));
    assert_eq!(error(&message(3, 20, 1)), (1, 2, vec![0, 20]));
    assert_eq!(error(&message(5, 22, 3)), (1, 2, vec![0, 22]));
    assert_eq!(error(&message(2, 4097, 0)), (1, 2, vec![0x10, 0x01]));
    assert_eq!(error(&message(0, 19, 0)), (1, 3, vec![0]));
    assert_eq!(error(&message(6, 19, 0)), (1, 3, vec![6]));
}

#[test]
fn extended_messages_are_for_some_types() {
    // RFC 8654 §4: OPEN and KEEPALIVE stay at 4096.
    let length = |kind, length| Framer::new(EXTENDED_MAX).next(&mut &message(kind, length, 0)[..]).is_ok();
    assert_eq!([2, 3, 5].map(|kind| length(kind, 65_535)), [true; 3]);
    assert!(!length(1, 4097) && !length(4, 4097) && length(1, 4096));
}

#[test]
fn a_body_is_kept_only_behind_a_good_header() {
    let mut framer = Framer::new(STANDARD_MAX);
    let flood = [message(2, 4097, 0), vec![0; 1 << 20]].concat();
    framer.next(&mut &flood[..]).expect_err("too long");
    assert!(framer.kept() <= HEADER);
}

proptest! {
    #[test]
    fn the_same_messages_come_out_however_the_stream_is_cut(
        bodies in prop::collection::vec(4_usize..200, 1..20),
        cuts in prop::collection::vec(0_usize..50, 1..100),
    ) {
        let messages: Vec<Vec<u8>> =
            bodies.iter().map(|body| message(2, u16::try_from(19 + body).unwrap(), *body)).collect();
        let stream = messages.concat();
        let (mut framer, mut out, mut rest) = (Framer::new(STANDARD_MAX), Vec::new(), &stream[..]);
        let mut cuts = cuts.into_iter().cycle();
        while !rest.is_empty() {
            let (mut piece, later) = rest.split_at(cuts.next().unwrap().max(1).min(rest.len()));
            rest = later;
            while let Some(frame) = framer.next(&mut piece).unwrap() {
                out.push(frame.octets);
            }
            prop_assert!(piece.is_empty());
            prop_assert!(framer.kept() < usize::from(STANDARD_MAX));
        }
        prop_assert_eq!(out, messages);
        prop_assert_eq!(framer.kept(), 0);
    }

    #[test]
    fn no_stream_makes_it_keep_more_than_a_message(stream: Vec<u8>) {
        let mut framer = Framer::new(STANDARD_MAX);
        let mut input = &stream[..];
        while let Ok(Some(_)) = framer.next(&mut input) {}
        prop_assert!(framer.kept() < usize::from(STANDARD_MAX));
    }
}
