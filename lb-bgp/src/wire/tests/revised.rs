//! RFC 7606, message by message: what is forgiven, and how; what ends the session.

use super::*;

const ORIGIN: &str = "40 01 01 00";
const AS_PATH: &str = "40 02 06 02 01 0000fc01";
const NEXT_HOP: &str = "40 03 04 c0000202";
const PREFIX: &str = "18 c63364";

/// What becomes of an UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Clean,
    Discard,
    Withdraw,
    /// The session ends with UPDATE Message Error of that subcode.
    Reset(u8),
}
use Fate::{Clean, Discard, Reset, Withdraw};

fn update(withdrawn: &[u8], attributes: &[u8], prefixes: &[u8]) -> Vec<u8> {
    let length = |octets: &[u8]| u16::try_from(octets.len()).unwrap().to_be_bytes();
    message(2, &[&length(withdrawn)[..], withdrawn, &length(attributes), attributes, prefixes].concat())
}

fn fate(message: Vec<u8>, internal: bool) -> Fate {
    match decode_update(message, true, internal) {
        Ok(received) => match received.verdict {
            Verdict::Clean => Clean,
            Verdict::Discarded(_) => Discard,
            Verdict::Withdrawn(_) => Withdraw,
        },
        Err(notification) => {
            assert_eq!(notification.code, 3, "{notification}");
            Reset(notification.subcode)
        }
    }
}

/// The fate of a good UPDATE with one more attribute, from an external and from an internal peer.
fn with(attribute: &str) -> [Fate; 2] {
    [false, true].map(|internal| {
        let attributes = hex(&[ORIGIN, AS_PATH, NEXT_HOP, attribute].concat());
        fate(update(&[], &attributes, &hex(PREFIX)), internal)
    })
}

/// The fate of an UPDATE with exactly these attributes.
fn only(attributes: &[&str]) -> Fate {
    fate(update(&[], &hex(&attributes.concat()), &hex(PREFIX)), false)
}

#[test]
fn section_3_rules_for_all_attributes() {
    assert_eq!(only(&[ORIGIN, AS_PATH, NEXT_HOP]), Clean);
    // (c) Optional or Transitive is wrong.
    assert_eq!(only(&["c0 01 01 00", AS_PATH, NEXT_HOP]), Withdraw);
    assert_eq!(only(&["00 01 01 00", AS_PATH, NEXT_HOP]), Withdraw);
    assert_eq!(with("40 08 04 fc000064"), [Withdraw; 2]);
    // (d) A mandatory attribute is missing.
    assert_eq!(only(&[AS_PATH, NEXT_HOP]), Withdraw);
    assert_eq!(only(&[ORIGIN, NEXT_HOP]), Withdraw);
    assert_eq!(only(&[ORIGIN, AS_PATH]), Withdraw);
    assert_eq!(only(&[]), Withdraw);
    // An unknown well-known attribute: RFC 4271 §6.3 ends the session, RFC 7606 leaves it open, we go on.
    assert_eq!(with("40 c8 01 00"), [Withdraw; 2]);
    // An unknown optional one is none of our business.
    assert_eq!(with("c0 c8 01 00"), [Clean; 2]);
    assert_eq!(with("80 c8 01 00"), [Clean; 2]);
    // (g) A second one of a type is discarded.
    assert_eq!(with(ORIGIN), [Discard; 2]);
    assert_eq!(with("c0 08 04 fc000064 c0 08 04 fc000065"), [Discard; 2]);
    // (h) The strongest consequence of several errors counts.
    assert_eq!(with("40 06 01 00 80 04 03 000000"), [Withdraw; 2]);
}

#[test]
fn section_3_g_a_second_mp_attribute_ends_the_session() {
    let reach = "80 0e 1c 0002 01 10 20010db8000000000000000000000001 00 30 20010db80001";
    let unreach = "80 0f 0a 0002 01 30 20010db80001";
    assert_eq!(only(&[ORIGIN, AS_PATH, NEXT_HOP, reach, reach]), Reset(1));
    assert_eq!(only(&[ORIGIN, AS_PATH, NEXT_HOP, unreach, unreach]), Reset(1));
}

#[test]
fn section_4_lengths_that_do_not_add_up() {
    // The last attribute claims more than there is: the prefixes are still found.
    assert_eq!(with("c0 08 40 fc000064"), [Withdraw; 2]);
    assert_eq!(with("c0"), [Withdraw; 2]);
    assert_eq!(with("d0 08 00"), [Withdraw; 2]);
    // The fields themselves do not fit into the message.
    assert_eq!(fate(message(2, &hex("0010 0000")), false), Reset(1));
    assert_eq!(fate(message(2, &hex("0000 0010")), false), Reset(1));
}

#[test]
fn section_5_3_prefixes_that_cannot_be_found() {
    let good = hex(&[ORIGIN, AS_PATH, NEXT_HOP].concat());
    assert_eq!(fate(update(&[], &good, &hex("21 c633640101")), false), Reset(10));
    assert_eq!(fate(update(&[], &good, &hex("18 c633")), false), Reset(10));
    assert_eq!(fate(update(&hex("21 c633640101"), &[], &[]), false), Reset(10));
    assert_eq!(fate(update(&hex("18 c6"), &[], &[]), false), Reset(10));
}

#[test]
fn section_7_1_origin() {
    assert_eq!(only(&["40 01 01 03", AS_PATH, NEXT_HOP]), Withdraw);
    assert_eq!(only(&["40 01 02 0000", AS_PATH, NEXT_HOP]), Withdraw);
    assert_eq!(only(&["40 01 00", AS_PATH, NEXT_HOP]), Withdraw);
}

#[test]
fn section_7_2_as_path() {
    let path = |path: &str| only(&[ORIGIN, path, NEXT_HOP]);
    assert_eq!(path("40 02 06 05 01 0000fc01"), Withdraw); // unknown segment
    assert_eq!(path("40 02 06 02 02 0000fc01"), Withdraw); // overrun
    assert_eq!(path("40 02 07 02 01 0000fc01 00"), Withdraw); // underrun
    assert_eq!(path("40 02 02 02 00"), Withdraw); // empty segment
    assert_eq!(path("40 02 06 02 01 00000000"), Withdraw); // AS 0 (RFC 7607 §2)
    assert_eq!(path("40 02 06 01 01 0000fc01"), Withdraw); // AS_SET (RFC 9774 §3)
    assert_eq!(path("40 02 00"), Clean);
}

#[test]
fn sections_7_3_to_7_5_next_hop_med_local_pref() {
    assert_eq!(only(&[ORIGIN, AS_PATH, "40 03 03 c00002"]), Withdraw);
    assert_eq!(only(&[ORIGIN, AS_PATH, "40 03 05 c000020200"]), Withdraw);
    assert_eq!(with("80 04 03 000000"), [Withdraw; 2]);
    // LOCAL_PREF of an external peer is discarded in any case, of an internal one it must be right.
    assert_eq!(with("40 05 03 000000"), [Discard, Withdraw]);
    assert_eq!(with("40 05 04 00000064")[1], Clean);
}

#[test]
fn sections_7_6_and_7_7_aggregation() {
    assert_eq!(with("40 06 00"), [Clean; 2]);
    assert_eq!(with("40 06 01 00"), [Discard; 2]);
    assert_eq!(with("c0 07 08 0000fc01 c0000201"), [Clean; 2]);
    assert_eq!(with("c0 07 06 fc01 c0000201"), [Discard; 2]);
}

#[test]
fn sections_7_8_7_14_7_15_communities() {
    assert_eq!(with("c0 08 05 fc00006400"), [Withdraw; 2]);
    assert_eq!(with("c0 08 00"), [Withdraw; 2]);
    assert_eq!(with("c0 10 07 0002fc00000064"), [Withdraw; 2]);
    assert_eq!(with("c0 10 08 0002fc0000000064"), [Clean; 2]);
    assert_eq!(with(&["c0 19 13", &"00".repeat(19)].concat()), [Withdraw; 2]);
    // RFC 8092 §6, with an attribute behind it that must still be seen.
    assert_eq!(with(&["c0 20 0d", &"00".repeat(13)].concat()), [Withdraw; 2]);
    assert_eq!(with(&["c0 20 0d", &"00".repeat(13), "80 04 04 00000001"].concat()), [Withdraw; 2]);
}

#[test]
fn sections_7_9_and_7_10_reflection() {
    assert_eq!(with("80 09 03 c00002"), [Discard, Withdraw]);
    assert_eq!(with("80 0a 05 c000020100"), [Discard, Withdraw]);
    assert_eq!(with("80 09 04 c0000201")[1], Clean);
    assert_eq!(with("80 0a 04 c0000201")[1], Clean);
}

#[test]
fn sections_7_11_and_7_12_mp_attributes() {
    let reach = |value: &str| only(&[ORIGIN, AS_PATH, NEXT_HOP, value]);
    assert_eq!(reach("80 0e 1c 0002 01 10 20010db8000000000000000000000001 00 30 20010db80001"), Clean);
    // Next hop of a length that no IPv6 address has; a prefix of 129 bits; one that is cut off.
    assert_eq!(reach("80 0e 10 0002 01 04 c0000201 00 30 20010db80001"), Reset(9));
    assert_eq!(reach("80 0e 1a 0002 01 10 20010db8000000000000000000000001 00 81 20010db8"), Reset(9));
    assert_eq!(reach("80 0e 19 0002 01 10 20010db8000000000000000000000001 00 30 20010d"), Reset(9));
    // Too short for its own fields: a length error (RFC 4271 §6.3).
    assert_eq!(reach("80 0e 04 0002 01 10"), Reset(5));
    assert_eq!(reach("80 0f 02 0002"), Reset(5));
    assert_eq!(reach("80 0f 05 0002 01 81 20"), Reset(9));
    // Cut off by the end of the attributes (§5.3).
    assert_eq!(reach("80 0e 40 0002 01 10 2001"), Reset(9));
}

#[test]
fn prefixes_are_counted_and_no_more() {
    let reach = "80 0e 23 0002 01 10 20010db8000000000000000000000001 00 30 20010db80001 30 20010db80002";
    let attributes = hex(&[ORIGIN, AS_PATH, NEXT_HOP, reach, "80 0f 0a 0002 01 30 20010db80003"].concat());
    let update = update(&hex("18 c00002 00"), &attributes, &hex("18 c63364 20 cb007101"));
    let received = decode_update(update, true, false).unwrap();
    assert_eq!((received.announced, received.withdrawn, received.end_of_rib), (4, 3, None));
    assert_eq!(received.verdict, Verdict::Clean);
}
