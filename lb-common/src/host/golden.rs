//! The golden table: frames with the outcome and the bytes they must have, and the tables they are judged by.
//!
//! One table, three runs: on the host (`lb-common/tests/golden.rs`), in the kernel and over a veth
//! (`tests/packet/tests/golden.rs`). The files are under `lb-common/golden/`.

use super::{Maps, entry, segment};
use crate::{
    abi::{Action, BfdSession, BfdWord, Entry, Key4, Key6, Reflector, Role, Station, StationKey},
    bfd::{Diagnostic, MULTIHOP_PORT, PORT, Packet, State},
    eth::Mac,
    event::{Event, Kind, flag},
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
/// An address the node has just claimed, and keeps against a claim by a higher hardware address.
pub const KEPT4: [u8; 4] = [192, 0, 2, 12];
/// An address the node has just claimed, and keeps against a claim by a higher hardware address.
pub const KEPT6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12];
/// An address the node held until another node claimed it.
pub const YIELDED4: [u8; 4] = [192, 0, 2, 13];
/// An address the node held until another node claimed it.
pub const YIELDED6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x13];
/// A hardware address of another node, higher than the node's.
pub const OTHER_NODE_MAC: Mac = [2, 0, 0, 0, 0, 3];
/// A hardware address of another node, lower than the node's.
pub const LOWER_NODE_MAC: Mac = [0, 0x16, 0x3e, 0, 0, 3];
/// The hardware address of another interface of the node on the same segment.
pub const SECOND_MAC: Mac = [2, 0, 0, 0, 0, 4];
/// The discriminator of the node.
pub const DISCRIMINATOR: u32 = 0xc0ff_ee01;
/// The discriminator of a router in all of its BFD sessions.
pub const ROUTER: u32 = 0x1122_3344;
/// Our discriminator in a session over IPv4 that the agent is away from.
pub const AWAY4: u32 = 0xbfd0_0001;
/// The same over IPv6.
pub const AWAY6: u32 = 0xbfd0_0002;
/// The same over several hops.
pub const FAR4: u32 = 0xbfd0_0003;
/// Our discriminator in a session that the agent's own packets keep up.
pub const PRESENT4: u32 = 0xbfd0_0004;
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
    /// What the agent is told: kind and flags.
    pub event: Option<(Kind, u8)>,
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
        include_str!("../../golden/sightings.frames"),
        include_str!("../../golden/bfd.frames"),
        include_str!("../../golden/stand_in.frames"),
    ];
    files.iter().flat_map(|file| parse(file)).collect()
}

/// The tables the frames are judged by: four addresses of each family on three VLANs, two other nodes, the reflector Up, four
/// BFD sessions with a router, the lease held.
pub fn maps() -> Maps {
    let mut maps = Maps { suppress_until: 20_000, now: 5_000, ..Maps::default() };
    maps.latch.set(Latch::new(EPOCH, 10_000).0);
    maps.reflector = Reflector::up(DISCRIMINATOR, EPOCH);
    maps.bfd = (0..).zip(bfd_sessions()).map(|(slot, (key, session))| (key, BfdSession { slot, ..session })).collect();
    let present = maps.bfd.get(&PRESENT4.to_be_bytes()).map(|session| BfdWord::Until.index(session.slot));
    maps.bfd_moments.borrow_mut().extend(present.map(|index| (index, u64::MAX)));
    for (id, vlans) in (1..).zip(VLANS) {
        maps.segments.insert(vlans, segment(id, NODE_MAC, Role::Holds));
        for (slot, (address4, address6, entry)) in (id * 8..).step_by(2).zip(entries()) {
            maps.insert4(Key4 { segment: id, address: address4 }, Entry { slot, ..entry });
            maps.insert6(Key6 { segment: id, address: address6 }, Entry { slot: slot + 1, ..entry });
            if address4 == YIELDED4 {
                maps.yielded.borrow_mut().extend([(slot, 1), (slot + 1, 1)]);
            }
        }
        let of = |mac| StationKey { segment: id, mac, pad: [0; 2] };
        maps.stations.insert(of(OTHER_NODE_MAC), Station::Node);
        maps.stations.insert(of(LOWER_NODE_MAC), Station::Node);
        maps.stations.insert(of(SECOND_MAC), Station::Ours);
    }
    maps
}

/// How many slots [`maps`] uses, from 0 on.
pub const SLOTS: u32 = 8 * 4;

/// 3 × 50 ms in both directions, as a router on the link has it, and one behind five others.
fn bfd_sessions() -> [([u8; 4], BfdSession); 4] {
    let mapped = |address: [u8; 4]| std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets();
    let session = |discriminator: u32| {
        let packet = Packet {
            diagnostic: Diagnostic::NONE,
            state: State::Up,
            poll: false,
            finish: false,
            control_plane_independent: true,
            demand: false,
            detect_mult: 3,
            my_discriminator: discriminator,
            your_discriminator: ROUTER,
            desired_min_tx: 50_000,
            required_min_rx: 50_000,
            required_min_echo_rx: 0,
        };
        let session = BfdSession {
            peer: mapped([192, 0, 2, 2]),
            local: mapped([192, 0, 2, 1]),
            packet: packet.to_bytes(),
            source_port: 50_001_u16.to_be_bytes(),
            port: PORT.to_be_bytes(),
            slot: 0,
            epoch: EPOCH,
            least_ttl: 255,
            pad: 0,
        };
        (discriminator.to_be_bytes(), session)
    };
    let ((away6, over6), (far, behind)) = (session(AWAY6), session(FAR4));
    let peer = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let local = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    [
        session(AWAY4),
        (away6, BfdSession { peer, local, ..over6 }),
        (
            far,
            BfdSession { peer: mapped([198, 51, 100, 2]), port: MULTIHOP_PORT.to_be_bytes(), least_ttl: 250, ..behind },
        ),
        session(PRESENT4),
    ]
}

fn entries() -> [([u8; 4], [u8; 16], Entry); 4] {
    let answer = entry(Action::Answer, EPOCH);
    [
        (HELD4, HELD6, answer),
        (SUPPRESSED4, SUPPRESSED6, entry(Action::Suppress, EPOCH)),
        (KEPT4, KEPT6, Entry { keep_until: u64::MAX, ..answer }),
        (YIELDED4, YIELDED6, answer),
    ]
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
    let (outcome, event) = match outcome.split_once("\nevent: ") {
        Some((outcome, event)) => (outcome, Some(parse_event(event))),
        None => (outcome, None),
    };
    let (input, output) = match rest.split_once("\nout:") {
        Some((input, output)) => (input, Some(unhex(output))),
        None => (rest, None),
    };
    Golden {
        name: name.to_owned(),
        origin: origin.to_owned(),
        outcome: outcome_of(outcome).unwrap_or_else(|| panic!("{name}: no outcome is called {outcome}")),
        event,
        input: unhex(input),
        output,
    }
}

fn parse_event(event: &str) -> (Kind, u8) {
    let mut words = event.split(' ');
    let kind = words.next().and_then(|word| Kind::ALL.into_iter().find(|kind| kind.name() == word));
    let flags = words.map(|word| FLAGS.iter().find(|(name, _)| *name == word).expect("a flag of an event").1);
    (kind.expect("a kind of event"), flags.fold(0, |all, flag| all | flag))
}

const FLAGS: [(&str, u8); 5] = [
    ("to_us", flag::TO_US),
    ("request", flag::REQUEST),
    ("announcement", flag::ANNOUNCEMENT),
    ("yielded", flag::YIELDED),
    ("kept", flag::KEPT),
];

/// Kind and flags of an event, as [`Golden::event`] has them.
///
/// # Panics
/// When the event has no known kind.
pub fn essence(event: &Event) -> (Kind, u8) {
    (*Kind::ALL.get(usize::from(event.kind)).expect("a known kind"), event.flags)
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
