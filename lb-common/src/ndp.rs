//! Neighbour discovery (RFC 4861): judge a solicitation, and build the advertisement that answers it.
//!
//! The IPv6 packet is copied to a fixed buffer, judged and rebuilt there, and stored back: the kernel's verifier
//! refuses variable slices of the packet itself. Every field of it begins on a unit of 8 bytes, and so does every
//! option, so the buffer is an array of units: no index can be out of bounds, and an address is two loads.
//!
//! ```text
//! unit  0        version, class, flow label | payload length | next header | hop limit
//!       1, 2     source
//!       3, 4     destination
//!       5        type | code | checksum | flags or reserved
//!       6, 7     target
//!       8 …      options: type | length in units | …
//! ```

use crate::{
    abi::{Key6, Segment},
    csum::Sum,
    eth::{self, Addresses, Mac},
    filter,
    frame::Frame,
    outcome::{Done, Outcome, Pass},
    tables::{Duty, Tables},
};

/// An IPv6 address.
pub type Ip6 = [u8; 16];

/// No frame of neighbour discovery of a host is longer.
pub const MAX_FRAME: usize = 128;
/// Next header of ICMPv6.
pub const ICMPV6: u8 = 58;
/// ICMPv6 type of a neighbour solicitation.
pub const SOLICITATION: u8 = 135;
/// ICMPv6 type of a neighbour advertisement.
pub const ADVERTISEMENT: u8 = 136;

/// Bytes of the IPv6 header.
const IP: usize = 5 * UNIT;
/// Bytes of an option-less message.
const BASE: usize = 3 * UNIT;
/// Bytes of a message with the one option that an answer has.
const WITH_OPTION: usize = BASE + UNIT;
/// RFC 4861 §4.6: options are counted in units of 8 bytes.
const UNIT: usize = 8;
/// Units of the longest IPv6 packet we look at; the last is only begun.
const UNITS: usize = (MAX_FRAME - eth::HEADER).div_ceil(UNIT);

/// ff02::1 (RFC 4291 §2.7.1).
const ALL_NODES: [Unit; 2] = [[0xff, 0x02, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]];
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Judges the IPv6 packet at `payload` and answers it if it solicits an address that we hold.
#[inline(always)]
pub fn respond<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, payload: usize) -> Outcome {
    let addresses = Addresses::parse(frame).ok_or(Pass::NdpShort)?;
    if addresses.source == segment.mac {
        return Err(Pass::OwnFrame);
    }
    let frame_len = frame.len();
    let mut packet = Buffer([[0; UNIT]; UNITS]);
    let present = packet.fill(frame, payload, frame_len)?;
    let message = packet.judge(present)?;
    if message.kind == ADVERTISEMENT {
        return Err(sighting(tables, &packet.key(segment)));
    }
    let reply = Reply::decide(&packet, &message, &addresses, segment)?;
    let entry = tables.entry6(&packet.key(segment)).ok_or(Pass::NsTarget)?;
    match Duty::of(tables, segment, &entry) {
        Duty::Answer => {}
        Duty::Suppress => return Ok(Done::NsSuppressed),
        Duty::Lapsed => return Ok(Done::NsLapsed),
        Duty::Pass => return Err(Pass::SuppressLimit),
    }
    reply.write(&mut packet, segment);
    reply.send(frame, &mut packet, segment, payload, frame_len)
}

/// Whether a frame is neighbour discovery of the kinds we look at: the only question asked of foreign IPv6 traffic.
#[inline(always)]
pub fn is_neighbour_discovery<F: Frame>(frame: &mut F, payload: usize) -> bool {
    let Some(&mut [next_header]) = frame.view::<1>(payload + 6) else { return false };
    if next_header != ICMPV6 {
        return false;
    }
    let Some(&mut [kind]) = frame.view::<1>(payload + IP) else { return false };
    kind == SOLICITATION || kind == ADVERTISEMENT
}

/// ff02::1:ffXX:XXXX with the last three bytes of `address` (RFC 4291 §2.7.1).
pub const fn solicited_node(address: &Ip6) -> Ip6 {
    [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, address[13], address[14], address[15]]
}

type Unit = [u8; UNIT];

/// The packet from the IPv6 header on; what the frame does not fill is zero.
#[repr(C, align(8))]
struct Buffer([Unit; UNITS]);

/// What the checks that RFC 4861 §7.1.1 and §7.1.2 share found.
struct Message {
    kind: u8,
    /// The first source link-layer option.
    source_link_layer: Option<Mac>,
    has_options: bool,
}

impl Buffer {
    /// Copies the packet; how many bytes there are.
    #[inline(always)]
    fn fill<F: Frame>(&mut self, frame: &F, payload: usize, frame_len: usize) -> Result<usize, Pass> {
        if frame_len > MAX_FRAME {
            return Err(Pass::NdpLong);
        }
        if frame_len < payload + IP + BASE {
            return Err(Pass::NdpShort);
        }
        let present = frame_len - payload;
        frame.load(payload, &mut self.0, present).ok_or(Pass::Access)?;
        Ok(present)
    }

    /// The checks: version, length, hop limit 255, code 0, whole options, checksum, target, options.
    #[inline(always)]
    fn judge(&mut self, present: usize) -> Result<Message, Pass> {
        let [[version, _, _, _, length0, length1, _, hop_limit], _, _, _, _, [kind, code, ..], [target0, ..], ..] =
            self.0;
        if version >> 4 != 6 {
            return Err(Pass::NdpVersion);
        }
        let length = u16::from_be_bytes([length0, length1]) as usize;
        if length < BASE || length + IP > present {
            return Err(Pass::NdpShort);
        }
        if hop_limit != 255 {
            return Err(Pass::NdpHopLimit);
        }
        if code != 0 {
            return Err(Pass::NdpCode);
        }
        if !length.is_multiple_of(UNIT) {
            return Err(Pass::NdpOption); // options come in whole units, so one of them ends beyond the packet
        }
        let options = (length - BASE) / UNIT;
        self.clear_options_from(options);
        if self.sum().fold() != 0xffff {
            return Err(Pass::NdpChecksum);
        }
        if target0 == 0xff {
            return Err(Pass::NdpMulticastTarget);
        }
        let source_link_layer = self.source_link_layer(options)?;
        Ok(Message { kind, source_link_layer, has_options: options != 0 })
    }

    /// The table's key of the target.
    #[inline(always)]
    fn key(&self, segment: &Segment) -> Key6 {
        let [a, b, c, d, e, f, g, h] = self.0[6];
        let [i, j, k, l, m, n, o, p] = self.0[7];
        Key6 { segment: segment.id, address: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] }
    }

    /// A unit in native order, for comparison.
    #[inline(always)]
    fn word<const INDEX: usize>(&self) -> u64 {
        u64::from_ne_bytes(self.0[INDEX])
    }

    /// Whether the packet is sent to the target itself.
    #[inline(always)]
    fn is_to_target(&self) -> bool {
        self.word::<3>() == self.word::<6>() && self.word::<4>() == self.word::<7>()
    }

    /// Whether the packet is sent to the target's solicited-node group (see [`solicited_node`]).
    #[inline(always)]
    fn is_to_group(&self) -> bool {
        const PREFIX: u64 = u64::from_ne_bytes([0xff, 0x02, 0, 0, 0, 0, 0, 0]);
        const FIXED: u64 = u64::from_ne_bytes([0, 0, 0, 1, 0xff, 0, 0, 0]);
        const LAST_THREE: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0, 0xff, 0xff, 0xff]);
        self.word::<3>() == PREFIX && self.word::<4>() == FIXED | (self.word::<7>() & LAST_THREE)
    }

    /// Whether the sender has no address yet.
    #[inline(always)]
    fn is_from_unspecified(&self) -> bool {
        self.word::<1>() | self.word::<2>() == 0
    }

    /// Zeroes the options from `first` on: Ethernet padding does not belong to the checksum.
    #[inline(always)]
    fn clear_options_from(&mut self, first: usize) {
        let [_, _, _, _, _, _, _, _, options @ ..] = &mut self.0;
        for (index, unit) in options.iter_mut().enumerate() {
            if index >= first {
                *unit = [0; UNIT];
            }
        }
    }

    /// The sum of the ICMPv6 message and its pseudo-header (RFC 8200 §8.1). What is beyond the message is zero.
    #[inline(always)]
    fn sum(&self) -> Sum {
        let [[_, _, _, _, length0, length1, ..], rest @ ..] = &self.0;
        let pseudo = [0, 0, *length0, *length1, 0, 0, 0, ICMPV6];
        rest.iter().fold(Sum::default().plus(pseudo), |sum, unit| sum.plus(*unit))
    }

    /// Walks `units` units of options (RFC 4861 §4.6) for the first source link-layer address.
    #[inline(always)]
    fn source_link_layer(&self, units: usize) -> Result<Option<Mac>, Pass> {
        let [_, _, _, _, _, _, _, _, options @ ..] = &self.0;
        let mut found = None;
        let mut inside = 0; // units of the current option still to come
        for (index, &[kind, length, m0, m1, m2, m3, m4, m5]) in options.iter().enumerate() {
            if index >= units {
                break;
            }
            if inside > 0 {
                inside -= 1;
                continue;
            }
            let length = length as usize;
            if length == 0 || length > units - index {
                return Err(Pass::NdpOption);
            }
            if kind == SOURCE_LINK_LAYER && found.is_none() {
                found = Some([m0, m1, m2, m3, m4, m5]);
            }
            inside = length - 1;
        }
        Ok(found)
    }
}

/// The advertisement that answers a solicitation (RFC 4861 §7.2.4). Its addresses stay in the packet.
struct Reply {
    destination_mac: Mac,
    /// Whether it carries the target link-layer option.
    option: bool,
    kind: ReplyKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReplyKind {
    /// To the sender.
    Solicited,
    /// To all nodes: the sender probes for a duplicate of an address it has not got yet (RFC 4862 §5.4.3).
    Duplicate,
}

impl Reply {
    /// What to answer, or why this is not a solicitation to answer.
    #[inline(always)]
    fn decide(packet: &Buffer, message: &Message, addresses: &Addresses, segment: &Segment) -> Result<Self, Pass> {
        if !eth::is_station(&addresses.source) || packet.0[1][0] == 0xff {
            return Err(Pass::NsSender);
        }
        let [group0, group1, ..] = addresses.destination;
        if addresses.destination != segment.mac && (group0 != 0x33 || group1 != 0x33) {
            return Err(Pass::NsDestination);
        }
        let to_group = packet.is_to_group();
        if packet.is_from_unspecified() {
            if !to_group {
                return Err(Pass::NsDestination); // RFC 4861 §7.1.1
            }
            if message.source_link_layer.is_some() {
                return Err(Pass::NsDadOption); // RFC 4861 §7.1.1
            }
            return Ok(Self { destination_mac: ALL_NODES_MAC, option: true, kind: ReplyKind::Duplicate });
        }
        if !to_group && !packet.is_to_target() {
            return Err(Pass::NsDestination);
        }
        let destination_mac = message.source_link_layer.unwrap_or(addresses.source);
        if !eth::is_station(&destination_mac) {
            return Err(Pass::NsSender);
        }
        // §7.2.4: the option MUST be there when the solicitation was multicast, and MAY be left out otherwise.
        Ok(Self { destination_mac, option: to_group || message.has_options, kind: ReplyKind::Solicited })
    }

    /// Bytes of ICMPv6.
    #[inline(always)]
    fn length(&self) -> usize {
        if self.option { WITH_OPTION } else { BASE }
    }

    /// Writes the packet over the solicitation: source is the target, destination the sender or all nodes.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the length is 24 or 32")]
    fn write(&self, packet: &mut Buffer, segment: &Segment) {
        let flags = match self.kind {
            ReplyKind::Solicited => SOLICITED | OVERRIDE,
            ReplyKind::Duplicate => OVERRIDE,
        };
        packet.clear_options_from(0);
        let [ip, source0, source1, destination0, destination1, icmp, target0, target1, option, ..] = &mut packet.0;
        *ip = [0x60, 0, 0, 0, 0, self.length() as u8, ICMPV6, 255];
        [*destination0, *destination1] = match self.kind {
            ReplyKind::Solicited => [*source0, *source1],
            ReplyKind::Duplicate => ALL_NODES,
        };
        [*source0, *source1] = [*target0, *target1];
        *icmp = [ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
        if self.option {
            let [m0, m1, m2, m3, m4, m5] = segment.mac;
            *option = [TARGET_LINK_LAYER, 1, m0, m1, m2, m3, m4, m5];
        }
        let [high, low] = packet.sum().checksum();
        packet.0[5] = [ADVERTISEMENT, 0, high, low, flags, 0, 0, 0];
    }

    /// Puts the packet into the frame, which grows or shrinks to its length.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "both lengths are at most 128")]
    fn send<F: Frame>(
        &self,
        frame: &mut F,
        packet: &mut Buffer,
        segment: &Segment,
        payload: usize,
        frame_len: usize,
    ) -> Outcome {
        let length = IP + self.length();
        let delta = (payload + length) as i32 - frame_len as i32;
        if delta != 0 {
            frame.resize(delta).ok_or(Pass::Resize)?;
        }
        frame.store(payload, &mut packet.0, length).ok_or(Pass::Access)?;
        let addresses = Addresses { destination: self.destination_mac, source: segment.mac };
        addresses.write(frame).ok_or(Pass::Access)?;
        Ok(match self.kind {
            ReplyKind::Solicited => Done::NsAnswered,
            ReplyKind::Duplicate => Done::DadAnswered,
        })
    }
}

/// An advertisement for one of our addresses that another station sent.
#[inline(always)]
fn sighting<T: Tables>(tables: &T, key: &Key6) -> Pass {
    let bit = filter::bit6(key);
    if tables.filter_word(bit.word) & bit.mask == 0 || tables.entry6(key).is_none() {
        return Pass::NaTarget;
    }
    Pass::NaSighting
}
