//! The golden table: frames with the outcome and the bytes they must have, and the tables they are judged by.
//!
//! One table, three runs: on the host (`lb-common/tests/golden.rs`), in the kernel and over a veth
//! (`tests/packet/tests/golden.rs`). The files are under `lb-common/golden/`.

use super::{Maps, entry, segment};
use crate::{
    abi::{Action, Key4, Key6, Reflector, Role},
    eth::Mac,
    lease::Latch,
    outcome::{Done, Outcome, Pass},
};

/// The hardware address of the interface under test.
pub const NODE_MAC: Mac = [2, 0, 0, 0, 0, 1];
/// An address the node holds.
pub const HELD4: [u8; 4] = [192, 0, 2, 10];
/// An address another node is ranked for.
pub const SUPPRESSED4: [u8; 4] = [192, 0, 2, 11];
/// An address the node holds.
pub const HELD6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
/// An address another node is ranked for.
pub const SUPPRESSED6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
/// The discriminator of the node.
pub const DISCRIMINATOR: u32 = 0xc0ff_ee01;
/// The epoch of the entries.
pub const EPOCH: u16 = 1;

/// The VLANs with a segment, in the order of the segments' numbers.
const VLANS: [(u16, u16); 3] = [(0, 0), (100, 0), (100, 200)];

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Golden {
    /// A name in words.
    pub name: String,
    /// Where the expected bytes come from.
    pub origin: String,
    /// What must become of the frame; names its counter.
    pub outcome: Outcome,
    /// The frame.
    pub input: Vec<u8>,
    /// The answer; `None`: the frame stays as it is.
    pub output: Option<Vec<u8>>,
}

impl Golden {
    /// The bytes after the program.
    pub fn expected(&self) -> &[u8] {
        self.output.as_deref().unwrap_or(&self.input)
    }

    /// Whether Linux itself gives this answer for an ordinary address, byte for byte.
    pub fn is_linux(&self) -> bool {
        self.origin.starts_with("linux") && !self.origin.contains("without the tag")
    }
}

/// Reads the whole table.
///
/// # Panics
/// When the table is not well formed: it is part of the tests.
pub fn table() -> Vec<Golden> {
    let files = [
        include_str!("../../golden/arp.frames"),
        include_str!("../../golden/ndp.frames"),
        include_str!("../../golden/bfd.frames"),
    ];
    files.iter().flat_map(|file| parse(file)).collect()
}

/// The tables the frames are judged by: two addresses of each family on three VLANs, the reflector Up, the lease held.
pub fn maps() -> Maps {
    let mut maps = Maps { suppress_until: 20_000, now: 5_000, ..Maps::default() };
    maps.latch.set(Latch::new(EPOCH, 10_000).0);
    maps.reflector = Reflector::up(DISCRIMINATOR, EPOCH);
    for (id, vlans) in (1..).zip(VLANS) {
        maps.segments.insert(vlans, segment(id, NODE_MAC, Role::Holds));
        maps.insert4(Key4 { segment: id, address: HELD4 }, entry(Action::Answer, EPOCH));
        maps.insert4(Key4 { segment: id, address: SUPPRESSED4 }, entry(Action::Suppress, EPOCH));
        maps.insert6(Key6 { segment: id, address: HELD6 }, entry(Action::Answer, EPOCH));
        maps.insert6(Key6 { segment: id, address: SUPPRESSED6 }, entry(Action::Suppress, EPOCH));
    }
    maps
}

/// The outcome of that name.
pub fn outcome_of(name: &str) -> Option<Outcome> {
    let done = Done::ALL.iter().find(|done| done.name() == name).map(|done| Ok(*done));
    done.or_else(|| Pass::ALL.iter().find(|pass| pass.name() == name).map(|pass| Err(*pass)))
}

fn parse(file: &str) -> Vec<Golden> {
    let without_comments: String =
        file.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    without_comments.split("\nframe: ").skip(1).map(parse_row).collect()
}

fn parse_row(row: &str) -> Golden {
    let (name, rest) = row.split_once("\norigin: ").expect("a frame has an origin");
    let (origin, rest) = rest.split_once("\noutcome: ").expect("a frame has an outcome");
    let (outcome, rest) = rest.split_once("\nin:").expect("a frame has bytes");
    let (input, output) = match rest.split_once("\nout:") {
        Some((input, output)) => (input, Some(unhex(output))),
        None => (rest, None),
    };
    Golden {
        name: name.to_owned(),
        origin: origin.to_owned(),
        outcome: outcome_of(outcome).unwrap_or_else(|| panic!("{name}: no outcome is called {outcome}")),
        input: unhex(input),
        output,
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("hex")).expect("a digit"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "whole bytes: {text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
