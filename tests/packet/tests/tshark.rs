//! Somebody else's eyes: tshark decodes every packet that Herald sends, and has nothing to say against one.
//!
//! The answers are the golden table's, which the kernel program gives byte for byte (`golden.rs`); announcements are
//! `lb-plan`'s, probes `lb-bfd`'s.

use std::{
    fs,
    num::NonZeroU32,
    process::Command,
    time::{Duration, Instant},
};

use lb_bfd::initiator::{Config, Initiator, Round};
use lb_common::host::golden;
use lb_plan::agent::frame::{ArpForm, gratuitous_arp, neighbour_advertisement};
use lb_tests_packet::need;

/// The severity from which tshark complains: a warning (`PI_WARN` of epan/proto.h). Below are chats and notes.
const WARNING: u32 = 0x60_0000;

/// A capture file of Ethernet frames (the libpcap format, version 2.4), a second apart: what is asked again within
/// moments is a note in itself.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_ne_bytes());
    }
    for (second, frame) in (0_u32..).zip(frames) {
        let length = u32::try_from(frame.len()).expect("a short frame");
        for word in [second, 0, length, length] {
            file.extend(word.to_ne_bytes());
        }
        file.extend(frame);
    }
    file
}

/// An S-BFD probe of ours in IPv4 and UDP; the socket would make the checksums, and UDP's may be left out.
fn probe() -> Vec<u8> {
    let number = |number| NonZeroU32::new(number).expect("not 0");
    let now = Instant::now();
    let mut initiator = Initiator::new(Config::new(number(7), number(golden::DISCRIMINATOR)), now);
    let payload = initiator.poll_transmit(now + Duration::from_secs(1), Round(0)).expect("the first probe is due");
    let answered = golden::table().into_iter().find(|golden| golden.name == "sbfd4").expect("a golden frame");
    let mut frame = answered.input;
    frame[14 + 20 + 6..14 + 20 + 8].copy_from_slice(&[0, 0]);
    frame[14 + 20 + 8..].copy_from_slice(&payload);
    frame
}

/// What tshark says of each frame: the protocols in it, and what it complains of.
fn dissected(name: &str, frames: &[Vec<u8>]) -> Vec<(String, Vec<String>)> {
    let file = std::env::temp_dir().join(format!("herald-tshark-{name}-{}.pcap", std::process::id()));
    fs::write(&file, capture(frames)).expect("the capture is written");
    let output = Command::new("tshark")
        .args(["-n", "-d", "udp.port==7784,bfd", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"])
        .args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"])
        .args(["-e", "frame.protocols", "-e", "_ws.expert.severity", "-e", "_ws.expert.message", "-r"])
        .arg(&file)
        .output()
        .expect("tshark runs");
    fs::remove_file(&file).expect("the capture is removed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(line).collect()
}

fn line(line: &str) -> (String, Vec<String>) {
    let mut fields = line.split('\t');
    let protocols = fields.next().unwrap_or_default().to_owned();
    let severities = fields.next().unwrap_or_default().split(';').filter(|text| !text.is_empty());
    let messages = fields.next().unwrap_or_default();
    let worst = severities.map(|text| text.parse::<u32>().expect("a number")).max();
    (protocols, worst.filter(|worst| *worst >= WARNING).map(|_| messages.to_owned()).into_iter().collect())
}

#[test]
fn every_packet_of_ours_decodes_without_complaint() {
    if need::or_skip("tshark", need::program("tshark")).is_none() {
        return;
    }
    // A probe that came damaged goes back as damaged, so that its sender drops it: tshark would too.
    let sound = golden::table().into_iter().filter(|golden| golden.name != "sbfd4-damaged");
    let mut frames: Vec<Vec<u8>> = sound.filter_map(|golden| golden.output).collect();
    assert!(frames.len() > 30, "{}", frames.len());
    let (v4, v6) = (golden::HELD4.into(), golden::HELD6.into());
    frames.push(gratuitous_arp(ArpForm::Request, golden::NODE_MAC, v4).to_vec());
    frames.push(gratuitous_arp(ArpForm::Reply, golden::NODE_MAC, v4).to_vec());
    let link_local = "fe80::ff:fe00:1".parse().expect("an address");
    frames.push(neighbour_advertisement(golden::NODE_MAC, link_local, v6).to_vec());
    frames.push(probe());

    let dissected = dissected("ours", &frames);

    assert_eq!(dissected.len(), frames.len());
    for (frame, (protocols, complaints)) in frames.iter().zip(&dissected) {
        let is_known = ["arp", "icmpv6", "bfd"].iter().any(|known| protocols.split(':').any(|found| found == *known));
        assert!(is_known, "{protocols} of {frame:02x?}");
        assert_eq!(complaints, &[] as &[String], "{protocols} of {frame:02x?}");
    }
}

/// The test above can fail: a wrong checksum and a cut packet are complained of.
#[test]
fn tshark_complains_of_what_is_wrong() {
    if need::or_skip("tshark", need::program("tshark")).is_none() {
        return;
    }
    let output = |name: &str| {
        let golden = golden::table().into_iter().find(|golden| golden.name == name).expect("a golden frame");
        golden.output.expect("it is answered")
    };
    let mut checksum = output("ns-multicast");
    checksum[14 + 40 + 2] ^= 1;
    let mut udp = output("sbfd4");
    udp[14 + 20 + 6] ^= 1;
    let mut cut = output("arp-broadcast");
    cut.truncate(30);

    for (frame, (protocols, complaints)) in
        [&checksum, &udp, &cut].iter().zip(dissected("wrong", &[checksum.clone(), udp.clone(), cut.clone()]))
    {
        assert!(!complaints.is_empty() || protocols.contains("malformed"), "{protocols} of {frame:02x?}");
    }
}
