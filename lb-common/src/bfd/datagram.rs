//! What every BFD packet over UDP has in common: whose frame it is, and a header of IP in front of a datagram of 32 bytes.
//!
//! The words of 4 bytes that all fields begin on are lent at constant offsets and rewritten in place, as in
//! [`crate::ndp`].
//!
//! Spec: RFC 791 §3.1, RFC 8200 §3, RFC 768, RFC 1122 §3.2.1.3 (addresses).

use super::LENGTH;
use crate::{
    abi::Segment,
    eth::{self, Addresses},
    frame::Frame,
    outcome::Pass,
};

/// Bytes of an IPv4 header without options.
pub(super) const IP4: usize = 20;
/// Bytes of the IPv6 header.
pub(super) const IP6: usize = 40;
/// Bytes of the UDP header.
const UDP_HEADER: usize = 8;
/// Bytes of the UDP datagram.
pub(super) const DATAGRAM: usize = UDP_HEADER + LENGTH;
/// UDP's length field.
pub(super) const LENGTH_FIELD: [u8; 2] = [0, 32];
/// Protocol number of UDP.
pub(super) const UDP: u8 = 17;
/// More Fragments, and the offset (RFC 791 §3.1).
const FRAGMENT: u16 = 0x3fff;

/// Four bytes as they stand on the wire.
pub(super) type Word = [u8; 4];

const _: () = assert!(u16::from_be_bytes(LENGTH_FIELD) as usize == DATAGRAM);

/// Why a frame is no datagram of 32 bytes from a neighbour to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Shorter than its headers.
    Short,
    /// The IP version is not that of the EtherType.
    IpVersion,
    /// An IPv4 header with options.
    Options,
    /// An IPv4 fragment.
    Fragment,
    /// The length of IP is not that of the datagram.
    Length,
    /// An IP address that no host can have.
    Address,
    /// Our own frame.
    OwnFrame,
    /// To another hardware address than ours.
    Destination,
    /// From a hardware address that is zero or a group.
    Sender,
}

/// What of the IP header matters. An address of IPv4 is mapped (RFC 4291 §2.5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ip {
    pub(super) ttl: u8,
    pub(super) source: [Word; 4],
    pub(super) destination: [Word; 4],
}

/// The UDP port that an IPv4 packet is for: the only question asked of foreign IPv4 traffic. `None`: it is not UDP.
#[inline(always)]
pub fn port4<F: Frame>(frame: &mut F, payload: usize) -> Option<u16> {
    let &mut [protocol] = frame.view::<1>(payload + 9)?;
    if protocol != UDP {
        return None;
    }
    let &mut [first] = frame.view::<1>(payload)?;
    frame.view::<2>(payload + (first & 0x0f) as usize * 4 + 2).map(|port| u16::from_be_bytes(*port))
}

/// The UDP port that an IPv6 packet is for.
#[inline(always)]
pub fn port6<F: Frame>(frame: &mut F, payload: usize) -> Option<u16> {
    let &mut [next_header] = frame.view::<1>(payload + 6)?;
    if next_header != UDP {
        return None;
    }
    frame.view::<2>(payload + IP6 + 2).map(|port| u16::from_be_bytes(*port))
}

/// From a station, to us.
#[inline(always)]
pub(super) fn judge_addresses<F: Frame>(frame: &mut F, segment: &Segment) -> Result<(), Fault> {
    let addresses = Addresses::parse(frame).ok_or(Fault::Short)?;
    if addresses.source == segment.mac {
        return Err(Fault::OwnFrame);
    }
    if addresses.destination != segment.mac {
        return Err(Fault::Destination);
    }
    if !eth::is_station(&addresses.source) {
        return Err(Fault::Sender);
    }
    Ok(())
}

/// No options, no fragment, and room for the datagram and nothing else. The TTL is the caller's.
#[inline(always)]
pub(super) fn judge_ip4<F: Frame>(frame: &mut F, payload: usize) -> Result<Ip, Fault> {
    let header = frame.view::<IP4>(payload).ok_or(Fault::Short)?;
    let [[first, _, l0, l1], [_, _, f0, f1], [ttl, ..], source, destination] =
        *words::<5>(header).map_err(|_short| Fault::Short)?;
    if first >> 4 != 4 {
        return Err(Fault::IpVersion);
    }
    if first != 0x45 {
        return Err(Fault::Options);
    }
    if u16::from_be_bytes([f0, f1]) & FRAGMENT != 0 {
        return Err(Fault::Fragment);
    }
    if u16::from_be_bytes([l0, l1]) as usize != IP4 + DATAGRAM {
        return Err(Fault::Length);
    }
    if !is_host4(source) || !is_host4(destination) {
        return Err(Fault::Address);
    }
    Ok(Ip { ttl, source: mapped(source), destination: mapped(destination) })
}

/// Room for the datagram and nothing else. Extension headers never come here.
#[inline(always)]
pub(super) fn judge_ip6<F: Frame>(frame: &mut F, payload: usize) -> Result<Ip, Fault> {
    let header = frame.view::<IP6>(payload).ok_or(Fault::Short)?;
    let [[first, ..], [l0, l1, _, ttl], s0, s1, s2, s3, d0, d1, d2, d3] =
        *words::<10>(header).map_err(|_short| Fault::Short)?;
    if first >> 4 != 6 {
        return Err(Fault::IpVersion);
    }
    if u16::from_be_bytes([l0, l1]) as usize != DATAGRAM {
        return Err(Fault::Length);
    }
    let (source, destination) = ([s0, s1, s2, s3], [d0, d1, d2, d3]);
    if !is_host6(source) || !is_host6(destination) {
        return Err(Fault::Address);
    }
    Ok(Ip { ttl, source, destination })
}

/// Back to where it came from.
#[inline(always)]
pub(super) fn swap_ip4<F: Frame>(frame: &mut F, payload: usize) -> Option<()> {
    let [.., s, d] = words_mut::<5>(frame.view::<IP4>(payload)?).ok()?;
    core::mem::swap(s, d);
    Some(())
}

/// Back to where it came from.
#[inline(always)]
pub(super) fn swap_ip6<F: Frame>(frame: &mut F, payload: usize) -> Option<()> {
    let [_, _, s0, s1, s2, s3, d0, d1, d2, d3] = words_mut::<10>(frame.view::<IP6>(payload)?).ok()?;
    core::mem::swap(s0, d0);
    core::mem::swap(s1, d1);
    core::mem::swap(s2, d2);
    core::mem::swap(s3, d3);
    Some(())
}

/// Back to the station that it came from.
#[inline(always)]
pub(super) fn turn<F: Frame>(frame: &mut F, segment: &Segment) -> Option<()> {
    let asker = Addresses::parse(frame)?.source;
    Addresses { destination: asker, source: segment.mac }.write(frame)
}

/// An IPv4 address as IPv6 writes it.
#[inline(always)]
fn mapped(address: Word) -> [Word; 4] {
    [[0; 4], [0; 4], [0, 0, 0xff, 0xff], address]
}

/// Not 0/8, not a group, not reserved, not broadcast (RFC 1122 §3.2.1.3).
#[inline(always)]
fn is_host4([first, ..]: Word) -> bool {
    first != 0 && first < 224
}

/// Neither a group nor unspecified.
#[inline(always)]
fn is_host6([a, b, c, d]: [Word; 4]) -> bool {
    let any = u32::from_ne_bytes(a) | u32::from_ne_bytes(b) | u32::from_ne_bytes(c) | u32::from_ne_bytes(d);
    a[0] != 0xff && any != 0
}

/// The word's one's complement.
#[inline(always)]
pub(super) fn complement(word: Word) -> Word {
    (!u32::from_ne_bytes(word)).to_ne_bytes()
}

/// Two words as a unit of [`crate::csum::Sum`].
#[inline(always)]
pub(super) fn pair([a, b, c, d]: Word, [e, f, g, h]: Word) -> [u8; 8] {
    [a, b, c, d, e, f, g, h]
}

/// `N` words as they begin.
#[inline(always)]
pub(super) fn words<const N: usize>(bytes: &[u8]) -> Result<&[Word; N], Pass> {
    bytes.as_chunks().0.first_chunk().ok_or(Pass::Access)
}

/// The same, to be written.
#[inline(always)]
pub(super) fn words_mut<const N: usize>(bytes: &mut [u8]) -> Result<&mut [Word; N], Pass> {
    bytes.as_chunks_mut().0.first_chunk_mut().ok_or(Pass::Access)
}
