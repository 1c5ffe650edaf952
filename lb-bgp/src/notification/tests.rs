//! Shutdown communications and hard resets, octet by octet.

use super::*;

#[test]
fn a_shutdown_carries_its_text_after_a_length() {
    // RFC 9003 §2: one octet of length, then UTF-8 without a terminator.
    let shutdown = Notification::shutdown("drain: node-1");
    assert_eq!((shutdown.code, shutdown.subcode), (6, 2));
    assert_eq!(shutdown.data, b"\x0ddrain: node-1");
    assert_eq!(shutdown.to_string(), "cease: administrative shutdown (6/2): \"drain: node-1\"");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let shutdown = Notification::shutdown(&"é".repeat(100)); // 200 octets
    assert_eq!(shutdown.text(), Some("é".repeat(64).as_str()));
    let odd = Notification::shutdown(&format!("x{}", "é".repeat(100)));
    assert_eq!(odd.text().map(str::len), Some(127));
}

#[test]
fn a_hard_reset_wraps_the_reason() {
    // RFC 8538 §3: code and subcode of the wrapped NOTIFICATION, then its data.
    let hard = Notification::shutdown("gone").into_hard_reset();
    assert_eq!((hard.code, hard.subcode, hard.data.as_slice()), (6, 9, b"\x06\x02\x04gone".as_slice()));
    assert_eq!(hard.text(), Some("gone"));
    assert_eq!(hard.to_string(), "cease: hard reset (6/9): cease: administrative shutdown (6/2): \"gone\"");
    assert_eq!(Notification::BFD_DOWN.into_hard_reset().to_string(), "cease: hard reset (6/9): cease: BFD down (6/10)");
}

#[test]
fn a_malformed_text_is_not_interpreted() {
    let received = |data: &[u8]| Notification::new(6, 2).with_data(data);
    for data in [b"".as_slice(), b"\x05gone", b"\x03gone", b"\x02\xff\xfe"] {
        assert_eq!(received(data).text(), None, "{data:?}");
    }
    assert_eq!(received(b"\x00").text(), Some(""));
    assert_eq!(Notification::new(6, 9).with_data([6]).text(), None);
    assert_eq!(Notification::new(6, 9).with_data(b"\x06\x09\x06\x02\x04gone".as_slice()).text(), None);
}

#[test]
fn a_text_cannot_forge_a_log_line() {
    let text = Notification::shutdown("x\n2026 ERROR all is lost\x1b[31m").to_string();
    assert!(!text.contains('\n') && !text.contains('\x1b'), "{text}");
}
