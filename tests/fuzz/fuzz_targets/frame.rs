//! Any bytes as a frame: judged without panic, untouched unless answered, and an answer is from us.
#![no_main]

use lb_common::{
    host::{Packet, golden},
    outcome::Verdict,
    respond::respond,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let mut packet = Packet::new(frame);
    let outcome = respond(&mut packet, &golden::maps());
    match Verdict::of(&outcome) {
        Verdict::Answer => assert_eq!(packet.bytes[6..12], golden::NODE_MAC),
        Verdict::Drop | Verdict::Pass => assert_eq!(packet.bytes, frame),
    }
});
