//! An ARP frame with any body: judged without panic, untouched unless answered.
#![no_main]

use lb_common::{
    host::{Packet, golden},
    outcome::Verdict,
    respond::respond,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let frame = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 2], &[0x08, 0x06], body].concat();
    let mut packet = Packet::new(frame.as_slice());
    let outcome = respond(&mut packet, &golden::maps());
    if Verdict::of(&outcome) != Verdict::Answer {
        assert_eq!(packet.bytes, frame);
    }
});
