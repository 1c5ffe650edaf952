//! The window, and the last words behind a message that was begun.

use super::*;

fn message(length: u16, fill: u8) -> Vec<u8> {
    let mut message = vec![0xFF; 16];
    message.extend(length.to_be_bytes());
    message.resize(usize::from(length), fill);
    message
}

#[test]
fn last_words_follow_the_message_that_was_begun() {
    let (first, second, third) = (message(30, 1), message(40, 2), message(50, 3));
    let after = |written| {
        let mut output = Output::default();
        output.push(&[first.clone(), second.clone(), third.clone()].concat());
        output.advance(written);
        let words = output.last_words(&[9, 9]);
        assert!(output.is_empty());
        words
    };
    assert_eq!(after(0), [9, 9]);
    assert_eq!(after(10), [&first[10..], &[9, 9]].concat());
    assert_eq!(after(30), [9, 9]);
    assert_eq!(after(31), [&second[1..], &[9, 9]].concat());
    assert_eq!(after(119), [&third[49..], &[9, 9]].concat());
    assert_eq!(after(120), [9, 9]);
}

#[test]
fn it_is_full_at_its_window_and_keeps_nothing_when_written() {
    let mut output = Output::default();
    while !output.is_full() {
        output.push(&message(4096, 0));
    }
    assert!(output.pending().len() < WINDOW + 4096);
    output.advance(4096);
    assert!(!output.is_full());
    output.advance(usize::MAX);
    assert!(output.is_empty() && output.octets.capacity() == 0);
}
