//! Neighbour discovery (RFC 4861): judge a solicitation, and build the advertisement that answers it; notice the advertisement
//! of another station for one of our addresses.
//!
//! Every field of the packet begins on a unit of 8 bytes, and so does every option. So the packet is lent as units at
//! constant offsets, judged and rewritten in place: no copy, no index that could be out of bounds, and an address is
//! two words (ADR 0010 has the figures).
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
    abi::{Entry, Key6, Segment},
    csum::Sum,
    eth::{self, Addresses, Mac},
    event::{Kind, flag},
    filter,
    frame::Frame,
    outcome::{Done, Outcome, Pass},
    sighting::{self, Seen, Sighting},
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

/// RFC 4861 §4.6: options are counted in units of 8 bytes.
const UNIT: usize = 8;
/// Bytes of the IPv6 header.
const IP: usize = 5 * UNIT;
/// Bytes of an option-less message.
const BASE: usize = 3 * UNIT;
/// Bytes of both.
const HEADERS: usize = IP + BASE;
/// Units of options that fit the longest frame.
const OPTIONS: usize = (MAX_FRAME - eth::HEADER - HEADERS) / UNIT;

const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
/// ff02::1 (RFC 4291 §2.7.1).
const ALL_NODES: [Unit; 2] = [[0xff, 0x02, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]];

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

type Unit = [u8; UNIT];

/// Judges the IPv6 packet at `payload` and answers it if it solicits an address that we hold.
#[inline(always)]
pub fn respond<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, payload: usize) -> Outcome {
    let addresses = Addresses::parse(frame).ok_or(Pass::NdpShort)?;
    if addresses.source == segment.mac {
        return Err(Pass::OwnFrame);
    }
    let message = Message::parse(frame, payload)?;
    let key = Aligned(Key6 { segment: segment.id, address: join(message.target) });
    if message.kind == ADVERTISEMENT {
        return Err(advertised(tables, segment, &message, &addresses, &key.0));
    }
    let reply = Reply::decide(&message, &addresses, segment)?;
    let entry = tables.entry6(&key.0).ok_or(Pass::NsTarget)?;
    let duty = Duty::of(tables, segment, &entry);
    let to_us = addresses.destination == segment.mac;
    // A probe: of a station that has no address yet, or of one that asks this node alone.
    if matches!(duty, Duty::Suppress | Duty::Yielded) && (to_us || message.is_from_unspecified()) {
        let probe = message.seen_from(addresses.source, to_us, flag::REQUEST);
        sighting::tell(tables, segment, &entry, &probe, Kind::Probe);
    }
    match duty {
        Duty::Answer => {
            let outcome = reply.write(frame, segment, payload);
            if outcome == Err(Pass::Resize) {
                let asker = message.seen_from(addresses.source, to_us, flag::REQUEST);
                sighting::tell(tables, segment, &entry, &asker, Kind::Unanswered);
            }
            outcome
        }
        Duty::Suppress => Ok(Done::NsSuppressed),
        Duty::Yielded => Ok(Done::NsYielded),
        Duty::Lapsed => Ok(Done::NsLapsed),
        Duty::Pass => Err(Pass::SuppressLimit),
    }
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

/// A key on the kernel's stack, where the verifier wants words aligned.
#[repr(C, align(8))]
struct Aligned(Key6);

/// A message that passed the checks of RFC 4861 §7.1.1 and §7.1.2.
struct Message {
    kind: u8,
    source: [Unit; 2],
    destination: [Unit; 2],
    target: [Unit; 2],
    /// Whether S is set in an advertisement.
    is_solicited: bool,
    options: Options,
}

/// What the options say.
struct Options {
    /// The first source link-layer address of a solicitation, the first target link-layer address of an advertisement.
    link_layer: Option<Mac>,
    is_empty: bool,
}

impl Message {
    /// Version, length, hop limit 255, code 0, checksum, target, options.
    #[inline(always)]
    fn parse<F: Frame>(frame: &mut F, payload: usize) -> Result<Self, Pass> {
        let frame_len = frame.len();
        if frame_len > MAX_FRAME {
            return Err(Pass::NdpLong);
        }
        let headers = frame.view::<HEADERS>(payload).ok_or(Pass::NdpShort)?;
        let &mut [ip, source0, source1, destination0, destination1, icmp, target0, target1] = units(headers)?;
        let [version, _, _, _, length0, length1, _, hop_limit] = ip;
        let [kind, code, _, _, flags, ..] = icmp;
        if version >> 4 != 6 {
            return Err(Pass::NdpVersion);
        }
        let length = u16::from_be_bytes([length0, length1]) as usize;
        if length < BASE || payload + IP + length > frame_len {
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
        let sum = pseudo_header(length)
            .plus(source0)
            .plus(source1)
            .plus(destination0)
            .plus(destination1)
            .plus(icmp)
            .plus(target0)
            .plus(target1);
        let wanted = if kind == ADVERTISEMENT { TARGET_LINK_LAYER } else { SOURCE_LINK_LAYER };
        let options = Options::parse(frame, payload + HEADERS, (length - BASE) / UNIT, wanted, sum)?;
        if target0[0] == 0xff {
            return Err(Pass::NdpMulticastTarget);
        }
        Ok(Self {
            kind,
            source: [source0, source1],
            destination: [destination0, destination1],
            target: [target0, target1],
            is_solicited: flags & SOLICITED != 0,
            options,
        })
    }

    /// What the agent is told of it.
    #[inline(always)]
    fn seen_from(&self, mac: Mac, to_us: bool, flags: u8) -> Sighting {
        let flags = if to_us { flags | flag::TO_US } else { flags };
        Sighting { address: join(self.target), family: 6, mac, flags }
    }

    /// Whether it is sent to the target itself.
    #[inline(always)]
    fn is_to_target(&self) -> bool {
        words(self.destination) == words(self.target)
    }

    /// Whether it is sent to the target's solicited-node group (see [`solicited_node`]).
    #[inline(always)]
    fn is_to_group(&self) -> bool {
        const PREFIX: u64 = u64::from_ne_bytes([0xff, 0x02, 0, 0, 0, 0, 0, 0]);
        const FIXED: u64 = u64::from_ne_bytes([0, 0, 0, 1, 0xff, 0, 0, 0]);
        const LAST_THREE: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0, 0xff, 0xff, 0xff]);
        let [_, target] = words(self.target);
        words(self.destination) == [PREFIX, FIXED | (target & LAST_THREE)]
    }

    /// Whether the sender has no address yet.
    #[inline(always)]
    fn is_from_unspecified(&self) -> bool {
        words(self.source) == [0, 0]
    }
}

impl Options {
    /// Walks `count` units of options (RFC 4861 §4.6) and adds them to `sum`, which must then be right. Takes the first link-layer
    /// address of type `wanted`.
    #[inline(always)]
    fn parse<F: Frame>(frame: &mut F, start: usize, count: usize, wanted: u8, sum: Sum) -> Result<Self, Pass> {
        let mut sum = sum;
        let mut link_layer = None;
        let mut inside = 0; // units of the current option still to come
        let mut is_whole = true;
        for index in 0..OPTIONS {
            if index >= count {
                break;
            }
            let unit = *frame.view::<UNIT>(start + index * UNIT).ok_or(Pass::NdpShort)?;
            sum = sum.plus(unit);
            if inside > 0 {
                inside -= 1;
                continue;
            }
            let [kind, length, m0, m1, m2, m3, m4, m5] = unit;
            let length = length as usize;
            is_whole &= length != 0 && length <= count - index;
            if kind == wanted && link_layer.is_none() {
                link_layer = Some([m0, m1, m2, m3, m4, m5]);
            }
            inside = length.saturating_sub(1);
        }
        if sum.fold() != 0xffff {
            return Err(Pass::NdpChecksum);
        }
        if !is_whole {
            return Err(Pass::NdpOption);
        }
        Ok(Self { link_layer, is_empty: count == 0 })
    }
}

/// The advertisement that answers a solicitation (RFC 4861 §7.2.4).
struct Reply {
    destination_mac: Mac,
    destination: [Unit; 2],
    target: [Unit; 2],
    flags: u8,
    /// Whether it carries the target link-layer option.
    option: bool,
    done: Done,
}

impl Reply {
    /// What to answer, or why this is not a solicitation to answer.
    #[inline(always)]
    fn decide(message: &Message, addresses: &Addresses, segment: &Segment) -> Result<Self, Pass> {
        if !eth::is_station(&addresses.source) || message.source[0][0] == 0xff {
            return Err(Pass::NsSender);
        }
        let [group0, group1, ..] = addresses.destination;
        if addresses.destination != segment.mac && (group0 != 0x33 || group1 != 0x33) {
            return Err(Pass::NsDestination);
        }
        let to_group = message.is_to_group();
        if message.is_from_unspecified() {
            return Self::to_all_nodes(message, to_group);
        }
        if !to_group && !message.is_to_target() {
            return Err(Pass::NsDestination);
        }
        let destination_mac = message.options.link_layer.unwrap_or(addresses.source);
        if !eth::is_station(&destination_mac) {
            return Err(Pass::NsSender);
        }
        Ok(Self {
            destination_mac,
            destination: message.source,
            target: message.target,
            flags: SOLICITED | OVERRIDE,
            // §7.2.4: the option MUST be there when the solicitation was multicast, and MAY be left out otherwise.
            option: to_group || !message.options.is_empty,
            done: Done::NsAnswered,
        })
    }

    /// Duplicate address detection (RFC 4862 §5.4.3): the sender has no address yet, so all nodes are told.
    #[inline(always)]
    fn to_all_nodes(message: &Message, to_group: bool) -> Result<Self, Pass> {
        if !to_group {
            return Err(Pass::NsDestination); // RFC 4861 §7.1.1
        }
        if message.options.link_layer.is_some() {
            return Err(Pass::NsDadOption); // RFC 4861 §7.1.1
        }
        Ok(Self {
            destination_mac: ALL_NODES_MAC,
            destination: ALL_NODES,
            target: message.target,
            flags: OVERRIDE,
            option: true,
            done: Done::DadAnswered,
        })
    }

    /// Writes the advertisement over the solicitation; the frame grows or shrinks to its length.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "lengths are at most 128")]
    fn write<F: Frame>(&self, frame: &mut F, segment: &Segment, payload: usize) -> Outcome {
        let length = if self.option { BASE + UNIT } else { BASE };
        let delta = (payload + IP + length) as i32 - frame.len() as i32;
        if delta != 0 {
            frame.resize(delta).ok_or(Pass::Resize)?;
        }
        let [m0, m1, m2, m3, m4, m5] = segment.mac;
        let option = [TARGET_LINK_LAYER, 1, m0, m1, m2, m3, m4, m5];
        let [source0, source1] = self.target;
        let [destination0, destination1] = self.destination;
        let icmp = [ADVERTISEMENT, 0, 0, 0, self.flags, 0, 0, 0];
        let mut sum = pseudo_header(length)
            .plus(source0)
            .plus(source1)
            .plus(destination0)
            .plus(destination1)
            .plus(icmp)
            .plus(source0)
            .plus(source1);
        if self.option {
            *frame.view::<UNIT>(payload + HEADERS).ok_or(Pass::Access)? = option;
            sum = sum.plus(option);
        }
        let [high, low] = sum.checksum();
        let headers = frame.view::<HEADERS>(payload).ok_or(Pass::Access)?;
        *units(headers)? = [
            [0x60, 0, 0, 0, 0, length as u8, ICMPV6, 255],
            source0,
            source1,
            destination0,
            destination1,
            [ADVERTISEMENT, 0, high, low, self.flags, 0, 0, 0],
            source0,
            source1,
        ];
        let addresses = Addresses { destination: self.destination_mac, source: segment.mac };
        addresses.write(frame).ok_or(Pass::Access)?;
        Ok(self.done)
    }
}

/// An advertisement that another station sent: whether it is for an address of the table, and what that means.
#[inline(always)]
fn advertised<T: Tables>(tables: &T, segment: &Segment, message: &Message, addresses: &Addresses, key: &Key6) -> Pass {
    let Some(entry) = target_entry(tables, key) else { return Pass::NaTarget };
    let mac = message.options.link_layer.unwrap_or(addresses.source);
    if mac == segment.mac {
        return Pass::OwnFrame;
    }
    if !eth::is_station(&mac) {
        return Pass::NaSender;
    }
    let flags = if message.is_solicited { 0 } else { flag::ANNOUNCEMENT };
    let sighting = message.seen_from(mac, addresses.destination == segment.mac, flags);
    match sighting::judge(tables, segment, &entry, &sighting) {
        Seen::Ours => Pass::OwnFrame,
        Seen::Sighting => Pass::NaSighting,
        Seen::Claim => Pass::NaClaim,
        Seen::Yielded => Pass::NaClaimYielded,
        Seen::Kept => Pass::NaClaimKept,
    }
}

/// The entry of an advertised address. The filter spares almost every advertisement the hash.
#[inline(always)]
fn target_entry<T: Tables>(tables: &T, key: &Key6) -> Option<Entry> {
    let bit = filter::bit6(key);
    if tables.filter_word(bit.word) & bit.mask == 0 {
        return None;
    }
    tables.entry6(key)
}

/// The pseudo-header but for its addresses (RFC 8200 §8.1).
#[inline(always)]
fn pseudo_header(length: usize) -> Sum {
    let [.., length0, length1] = length.to_be_bytes();
    Sum::default().plus([0, 0, length0, length1, 0, 0, 0, ICMPV6])
}

/// The headers as units.
#[inline(always)]
fn units(headers: &mut [u8; HEADERS]) -> Result<&mut [Unit; HEADERS / UNIT], Pass> {
    let (units, _) = headers.as_chunks_mut::<UNIT>();
    units.first_chunk_mut().ok_or(Pass::Access)
}

/// An address as words in native order, for comparison.
#[inline(always)]
fn words([high, low]: [Unit; 2]) -> [u64; 2] {
    [u64::from_ne_bytes(high), u64::from_ne_bytes(low)]
}

/// An address in one piece.
#[inline(always)]
fn join([high, low]: [Unit; 2]) -> Ip6 {
    let [a, b, c, d, e, f, g, h] = high;
    let [i, j, k, l, m, n, o, p] = low;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}
