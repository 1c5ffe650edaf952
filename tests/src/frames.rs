//! ARP and NDP frames as a station sends and reads them: plain bytes, by the text of the RFCs.
//!
//! Shares nothing with the code under test: an encoder that judges itself proves nothing.
//! Spec: RFC 826 (ARP over Ethernet), RFC 4861 §4.3, §4.4 (NS, NA), RFC 4291 §2.7.1 (solicited-node groups),
//! RFC 2464 §7 (their hardware addresses), RFC 1071 (the checksum).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::mac::Mac;

/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const ICMPV6: u8 = 58;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// One station: its hardware address and its address of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station<A> {
    /// Hardware address.
    pub mac: Mac,
    /// Protocol address.
    pub ip: A,
}

/// A question or an answer that a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<A> {
    /// Whether it answers.
    pub answer: bool,
    /// Who sends.
    pub from: Station<A>,
    /// Whom it is for: of a question only the address counts.
    pub to: Station<A>,
    /// The address in question. Of an answer it is what `from.mac` is claimed for.
    pub target: A,
}

/// "Who has `target`? Tell `from`", to everybody.
pub fn arp_request(from: Station<Ipv4Addr>, target: Ipv4Addr) -> Vec<u8> {
    let nobody = Station { mac: Mac([0; 6]), ip: target };
    arp(REQUEST, Mac::BROADCAST, from, nobody)
}

/// "`from.ip` is at `from.mac`", to the one who asked.
pub fn arp_reply(from: Station<Ipv4Addr>, to: Station<Ipv4Addr>) -> Vec<u8> {
    arp(REPLY, to.mac, from, to)
}

/// Reads an ARP frame for IPv4 over Ethernet, untagged.
pub fn read_arp(frame: &[u8]) -> Option<Message<Ipv4Addr>> {
    let body = frame.get(14..42)?;
    if frame.get(12..14)? != ARP.to_be_bytes() || body.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let from = Station { mac: mac_at(body, 8)?, ip: v4_at(body, 14)? };
    let to = Station { mac: mac_at(body, 18)?, ip: v4_at(body, 24)? };
    let answer = match u16::from_be_bytes(body.get(6..8)?.try_into().ok()?) {
        REQUEST => false,
        REPLY => true,
        _ => return None,
    };
    Some(Message { answer, from, to, target: if answer { from.ip } else { to.ip } })
}

/// A neighbour solicitation for `target` to its solicited-node group, with the source's hardware address.
pub fn solicitation(from: Station<Ipv6Addr>, target: Ipv6Addr) -> Vec<u8> {
    let group = solicited_node(target);
    let octets = group.octets();
    let group_mac = Mac([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]]);
    ndp(SOLICITATION, 0, from, Station { mac: group_mac, ip: group }, target, SOURCE_LINK_LAYER)
}

/// A solicited advertisement that claims `target` for `from.mac`.
pub fn advertisement(from: Station<Ipv6Addr>, to: Station<Ipv6Addr>, target: Ipv6Addr) -> Vec<u8> {
    ndp(ADVERTISEMENT, SOLICITED | OVERRIDE, from, to, target, TARGET_LINK_LAYER)
}

/// Reads a solicitation or an advertisement, untagged, with its link-layer option; without one, the frame's own
/// source counts.
pub fn read_ndp(frame: &[u8]) -> Option<Message<Ipv6Addr>> {
    let (ip, icmp) = (frame.get(14..54)?, frame.get(54..)?);
    if frame.get(12..14)? != IPV6.to_be_bytes() || *ip.get(6)? != ICMPV6 || *ip.get(7)? != 255 {
        return None;
    }
    let answer = match *icmp.first()? {
        SOLICITATION => false,
        ADVERTISEMENT => true,
        _ => return None,
    };
    let wanted = if answer { TARGET_LINK_LAYER } else { SOURCE_LINK_LAYER };
    let option = icmp.get(24..32).filter(|option| option.starts_with(&[wanted, 1]));
    let mac = match option {
        Some(option) => mac_at(option, 2)?,
        None => mac_at(frame, 6)?,
    };
    let from = Station { mac, ip: v6_at(ip, 8)? };
    let to = Station { mac: mac_at(frame, 0)?, ip: v6_at(ip, 24)? };
    Some(Message { answer, from, to, target: v6_at(icmp, 8)? })
}

/// The solicited-node group of an address.
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

fn arp(operation: u16, to_mac: Mac, from: Station<Ipv4Addr>, to: Station<Ipv4Addr>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend(to_mac.0);
    frame.extend(from.mac.0);
    frame.extend(ARP.to_be_bytes());
    frame.extend([0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(from.mac.0);
    frame.extend(from.ip.octets());
    frame.extend(to.mac.0);
    frame.extend(to.ip.octets());
    frame
}

fn ndp(kind: u8, flags: u8, from: Station<Ipv6Addr>, to: Station<Ipv6Addr>, target: Ipv6Addr, option: u8) -> Vec<u8> {
    let mut icmp = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    icmp.extend(target.octets());
    icmp.extend([option, 1]);
    icmp.extend(from.mac.0);
    let sum = checksum(from.ip, to.ip, &icmp).to_be_bytes();
    icmp.splice(2..4, sum);

    let mut frame = Vec::with_capacity(86);
    frame.extend(to.mac.0);
    frame.extend(from.mac.0);
    frame.extend(IPV6.to_be_bytes());
    frame.extend([0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
    frame.extend(from.ip.octets());
    frame.extend(to.ip.octets());
    frame.extend(icmp);
    frame
}

/// RFC 4443 §2.3 over the pseudo-header of RFC 8200 §8.1. `icmp` has an even length.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, icmp: &[u8]) -> u16 {
    let length = u32::try_from(icmp.len()).expect("an ICMPv6 message is short").to_be_bytes();
    let pseudo = [&from.octets()[..], &to.octets(), &length, &[0, 0, 0, ICMPV6], icmp].concat();
    let mut sum: u32 = pseudo.chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to 16 bits")
}

fn mac_at(bytes: &[u8], at: usize) -> Option<Mac> {
    Some(Mac(bytes.get(at..at + 6)?.try_into().ok()?))
}

fn v4_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?.into())
}

fn v6_at(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const HOLDER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    #[test]
    fn a_reply_is_read_as_its_sender_meant_it() {
        let (from, to) = ("192.0.2.100".parse().unwrap(), "192.0.2.160".parse().unwrap());
        let (from, to) = (Station { mac: HOLDER, ip: from }, Station { mac: ASKER, ip: to });
        assert_eq!(read_arp(&arp_reply(from, to)), Some(Message { answer: true, from, to, target: from.ip }));
        assert!(!read_arp(&arp_request(to, from.ip)).unwrap().answer);
    }

    #[test]
    fn an_advertisement_is_read_as_its_sender_meant_it() {
        let (vip, asker) = ("2001:db8:2::100".parse().unwrap(), "2001:db8:2::a5:1".parse().unwrap());
        let (from, to) = (Station { mac: HOLDER, ip: vip }, Station { mac: ASKER, ip: asker });
        assert_eq!(read_ndp(&advertisement(from, to, vip)), Some(Message { answer: true, from, to, target: vip }));
    }

    #[test]
    fn a_solicitation_goes_to_the_group_of_its_target() {
        let target = "2001:db8:2::1234:5678".parse().unwrap();
        let from = Station { mac: ASKER, ip: "2001:db8:2::1".parse().unwrap() };
        let frame = solicitation(from, target);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x34, 0x56, 0x78]);
        assert_eq!(read_ndp(&frame).unwrap().to.ip, "ff02::1:ff34:5678".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn a_message_with_its_checksum_sums_to_zero() {
        let from = Station { mac: ASKER, ip: "2001:db8:2::1".parse().unwrap() };
        let frame = solicitation(from, "2001:db8:2::2".parse().unwrap());
        let group = read_ndp(&frame).unwrap().to.ip;
        assert_eq!(checksum(from.ip, group, &frame[54..]), 0);
    }
}
