//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227): notice who else speaks for one of our addresses, then recognise a request
//! for one and answer it in place.
//!
//! ```text
//! 0        2        4    5    6         8                 14           18                24          28
//! | htype  | ptype  | hl | pl | opcode  | sender hardware | sender IP  | target hardware | target IP |
//! ```

use crate::{
    abi::{Entry, Key4, Segment},
    eth::{self, Addresses, Mac},
    event::{Kind, flag},
    filter,
    frame::Frame,
    outcome::{Done, Outcome, Pass},
    sighting::{self, Seen, Sighting},
    tables::{Duty, Tables},
};

/// Length of the packet. Ethernet pads it; the padding is left as it came.
pub const PACKET: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, their address lengths.
const FORMAT: [u8; 6] = [0x00, 0x01, 0x08, 0x00, 6, 4];
const REQUEST: [u8; 2] = [0x00, 0x01];
const REPLY: [u8; 2] = [0x00, 0x02];

/// The fields of a packet that judge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packet {
    opcode: [u8; 2],
    sender_mac: Mac,
    sender: [u8; 4],
    target: [u8; 4],
}

/// Judges the ARP packet at `payload` and answers it if it asks for an address that we hold.
#[inline(always)]
pub fn respond<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, payload: usize) -> Outcome {
    let addresses = Addresses::parse(frame).ok_or(Pass::ArpShort)?;
    let packet = Packet::parse(frame.view::<PACKET>(payload).ok_or(Pass::ArpShort)?)?;

    if packet.sender_mac == segment.mac {
        return Err(Pass::OwnFrame);
    }
    if !eth::is_station(&packet.sender_mac) {
        return Err(Pass::ArpSender);
    }
    if let Some(entry) = sender_entry(tables, segment, packet.sender) {
        let sighting = packet.seen_from(packet.sender, addresses.destination == segment.mac);
        return Err(match sighting::judge(tables, segment, &entry, &sighting) {
            Seen::Ours => Pass::OwnFrame,
            Seen::Sighting => Pass::ArpSighting,
            Seen::Claim => Pass::ArpClaim,
            Seen::Yielded => Pass::ArpClaimYielded,
            Seen::Kept => Pass::ArpClaimKept,
        });
    }
    if packet.opcode == REPLY {
        return Err(Pass::ArpReply);
    }
    if addresses.destination != segment.mac && addresses.destination != eth::BROADCAST {
        return Err(Pass::ArpDestination);
    }
    let key = Key4 { segment: segment.id, address: packet.target };
    let entry = tables.entry4(&key).ok_or(Pass::ArpTarget)?;
    let duty = Duty::of(tables, segment, &entry);
    // RFC 5227 §2.1.1: a probe is a request without a sender.
    if matches!(duty, Duty::Suppress | Duty::Yielded) && packet.sender == [0; 4] {
        let probe = packet.seen_from(packet.target, addresses.destination == segment.mac);
        sighting::tell(tables, segment, &entry, &probe, Kind::Probe);
    }
    match duty {
        Duty::Answer => answer(frame, segment, payload, &packet),
        Duty::Suppress => Ok(Done::ArpSuppressed),
        Duty::Yielded => Ok(Done::ArpYielded),
        Duty::Lapsed => Ok(Done::ArpLapsed),
        Duty::Pass => Err(Pass::SuppressLimit),
    }
}

impl Packet {
    #[inline(always)]
    fn parse(bytes: &[u8; PACKET]) -> Result<Self, Pass> {
        let &[f0, f1, f2, f3, f4, f5, o0, o1, m0, m1, m2, m3, m4, m5, s0, s1, s2, s3, .., t0, t1, t2, t3] = bytes;
        if [f0, f1, f2, f3, f4, f5] != FORMAT {
            return Err(Pass::ArpFormat);
        }
        let opcode = [o0, o1];
        if opcode != REQUEST && opcode != REPLY {
            return Err(Pass::ArpOpcode);
        }
        Ok(Self { opcode, sender_mac: [m0, m1, m2, m3, m4, m5], sender: [s0, s1, s2, s3], target: [t0, t1, t2, t3] })
    }

    /// What the agent is told of it.
    #[inline(always)]
    fn seen_from(&self, [a, b, c, d]: [u8; 4], to_us: bool) -> Sighting {
        let mut flags = if to_us { flag::TO_US } else { 0 };
        if self.opcode == REQUEST {
            flags |= flag::REQUEST;
        }
        if self.sender == self.target {
            flags |= flag::ANNOUNCEMENT;
        }
        let address = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Sighting { address, family: 4, mac: self.sender_mac, flags }
    }
}

/// The entry of a sender's address. The filter spares almost every sender the hash.
#[inline(always)]
fn sender_entry<T: Tables>(tables: &T, segment: &Segment, address: [u8; 4]) -> Option<Entry> {
    let key = Key4 { segment: segment.id, address };
    let bit = filter::bit4(&key);
    if tables.filter_word(bit.word) & bit.mask == 0 {
        return None;
    }
    tables.entry4(&key)
}

/// Turns the request into its reply: RFC 826, "swap hardware and protocol fields, putting the local ones in".
#[inline(always)]
fn answer<F: Frame>(frame: &mut F, segment: &Segment, payload: usize, request: &Packet) -> Outcome {
    Addresses { destination: request.sender_mac, source: segment.mac }.write(frame).ok_or(Pass::Access)?;
    let bytes = frame.view::<PACKET>(payload).ok_or(Pass::Access)?;
    let [.., o0, o1, m0, m1, m2, m3, m4, m5, s0, s1, s2, s3, n0, n1, n2, n3, n4, n5, t0, t1, t2, t3] = bytes;
    [*o0, *o1] = REPLY;
    [*m0, *m1, *m2, *m3, *m4, *m5] = segment.mac;
    [*s0, *s1, *s2, *s3] = request.target;
    [*n0, *n1, *n2, *n3, *n4, *n5] = request.sender_mac;
    [*t0, *t1, *t2, *t3] = request.sender;
    Ok(Done::ArpAnswered)
}
