//! Neighbour discovery with any body under a right checksum, which a fuzzer would not find by itself.
#![no_main]

use lb_common::{
    host::{Packet, golden},
    outcome::Verdict,
    respond::respond,
};
use libfuzzer_sys::fuzz_target;

/// Where the ICMPv6 message begins behind an untagged Ethernet header.
const ICMP: usize = 54;

fuzz_target!(|body: &[u8]| {
    if body.len() < 64 {
        return;
    }
    let mut frame = [&[0x33, 0x33, 0xff, 0, 0, 0x10][..], &[2, 0, 0, 0, 0, 2], &[0x86, 0xdd], body].concat();
    let length = u16::try_from(body.len() - 40).unwrap_or(u16::MAX);
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame[20] = 58;
    frame[21] = 255;
    frame[ICMP + 2..ICMP + 4].copy_from_slice(&[0, 0]);
    let sum = checksum(&frame);
    frame[ICMP + 2..ICMP + 4].copy_from_slice(&sum.to_be_bytes());

    let mut packet = Packet::new(frame.as_slice());
    let outcome = respond(&mut packet, &golden::maps());
    if Verdict::of(&outcome) != Verdict::Answer {
        assert_eq!(packet.bytes, frame);
    }
});

/// RFC 1071 by bytes, apart from the code under test.
fn checksum(frame: &[u8]) -> u16 {
    let length = frame.len() - ICMP;
    let pseudo = frame[22..54].iter().copied().chain((length as u32).to_be_bytes()).chain([0, 0, 0, 58]);
    let bytes: Vec<u8> = pseudo.chain(frame[ICMP..].iter().copied()).collect();
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
