//! The frames that announce an address: gratuitous ARP in both forms, and the unsolicited neighbour advertisement; and
//! those that ask who has one: ARP probe and neighbour solicitation.
//!
//! Pure: bytes from values. Spec: RFC 826 (layout), RFC 5227 §2.1.1 (ARP probe) and §2.3 (announcement), RFC 4861 §4.3,
//! §4.4 and §7.2.6.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::plan::solicited_node;

/// An Ethernet hardware address.
pub type Mac = [u8; 6];

/// Ethernet header and ARP packet.
pub const ARP_LEN: usize = 14 + 28;
/// Ethernet, IPv6 and ICMPv6 headers, target, one option: an advertisement or a solicitation.
pub const ADVERTISEMENT_LEN: usize = 14 + 40 + ICMP_LEN;

const ICMP_LEN: usize = 32;
const BROADCAST: Mac = [0xff; 6];
/// ff02::1 (RFC 4291 §2.7.1) and the hardware address it maps to (RFC 2464 §7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ICMPV6: u8 = 58;

/// The two forms of a gratuitous ARP. Stacks differ in which one they heed, so both are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpForm {
    /// RFC 5227 §2.3: a request for the own address.
    Request,
    /// A reply that names the sender as target: Linux ignores one to ff:ff… while its entry is younger than 1 s.
    Reply,
}

/// A gratuitous ARP for `address` at `mac`, broadcast.
pub fn gratuitous_arp(form: ArpForm, mac: Mac, address: Ipv4Addr) -> [u8; ARP_LEN] {
    let (operation, target_mac) = match form {
        ArpForm::Request => (1, [0; 6]),
        ArpForm::Reply => (2, mac),
    };
    arp(Arp { to: BROADCAST, operation, mac, sender: address, target_mac, target: address })
}

/// Asks who has `address` without telling anybody an address of ours: sender 0.0.0.0, so no cache learns from it.
/// `None` asks everybody, otherwise only the station with that hardware address hears it.
pub fn arp_probe(mac: Mac, to: Option<Mac>, address: Ipv4Addr) -> [u8; ARP_LEN] {
    let to = to.unwrap_or(BROADCAST);
    arp(Arp { to, operation: 1, mac, sender: Ipv4Addr::UNSPECIFIED, target_mac: [0; 6], target: address })
}

struct Arp {
    to: Mac,
    operation: u8,
    mac: Mac,
    sender: Ipv4Addr,
    target_mac: Mac,
    target: Ipv4Addr,
}

fn arp(arp: Arp) -> [u8; ARP_LEN] {
    let mut frame = [0; ARP_LEN];
    let mut out = Writer::new(&mut frame);
    out.put(&arp.to);
    out.put(&arp.mac);
    out.put(&[0x08, 0x06]);
    // Ethernet, IPv4, their address lengths.
    out.put(&[0, 1, 0x08, 0, 6, 4, 0, arp.operation]);
    out.put(&arp.mac);
    out.put(&arp.sender.octets());
    out.put(&arp.target_mac);
    out.put(&arp.target.octets());
    frame
}

/// An unsolicited neighbour advertisement for `target` at `mac`: R=0 S=0 O=1 with the target option, to all nodes.
///
/// `source` must be an address of the sending interface (RFC 4861 §4.4).
pub fn neighbour_advertisement(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> [u8; ADVERTISEMENT_LEN] {
    // Type 136, code 0, checksum, Override alone.
    icmp(Icmp { to: ALL_NODES_MAC, mac, source, destination: ALL_NODES, kind: [136, 0, 0, 0, 0x20], target, option: 2 })
}

/// Asks who has `target`. `None` asks the solicited-node group, otherwise only the station with that hardware address
/// hears it.
///
/// `source` must be an address of the sending interface, never the unspecified one: that would be duplicate address
/// detection, which a node that holds the address answers to everybody.
pub fn neighbour_solicitation(
    mac: Mac,
    to: Option<Mac>,
    source: Ipv6Addr,
    target: Ipv6Addr,
) -> [u8; ADVERTISEMENT_LEN] {
    let (to, destination) = match to {
        Some(to) => (to, target),
        None => {
            let group = solicited_node(target);
            let [.., a, b, c, d] = group.octets();
            // RFC 2464 §7.
            ([0x33, 0x33, a, b, c, d], group)
        }
    };
    icmp(Icmp { to, mac, source, destination, kind: [135, 0, 0, 0, 0], target, option: 1 })
}

struct Icmp {
    to: Mac,
    mac: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    /// Type, code, checksum (0), flags.
    kind: [u8; 5],
    target: Ipv6Addr,
    /// Of the option with our hardware address (RFC 4861 §4.6.1).
    option: u8,
}

fn icmp(icmp: Icmp) -> [u8; ADVERTISEMENT_LEN] {
    let mut body = [0; ICMP_LEN];
    let mut out = Writer::new(&mut body);
    out.put(&icmp.kind);
    out.put(&[0; 3]);
    out.put(&icmp.target.octets());
    // One unit of 8 bytes.
    out.put(&[icmp.option, 1]);
    out.put(&icmp.mac);
    let checksum = icmp_checksum(icmp.source, icmp.destination, &body).to_be_bytes();
    let [_, _, high, low, ..] = &mut body;
    [*high, *low] = checksum;
    let mut frame = [0; ADVERTISEMENT_LEN];
    let mut out = Writer::new(&mut frame);
    out.put(&icmp.to);
    out.put(&icmp.mac);
    out.put(&[0x86, 0xdd]);
    // Version 6, payload length, next header, hop limit 255 (RFC 4861 §7.1.1 and §7.1.2: anything else is discarded).
    out.put(&[0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
    out.put(&icmp.source.octets());
    out.put(&icmp.destination.octets());
    out.put(&body);
    frame
}

/// RFC 4443 §2.3 over the pseudo-header of RFC 8200 §8.1. The checksum field of `body` is zero.
fn icmp_checksum(source: Ipv6Addr, destination: Ipv6Addr, body: &[u8; ICMP_LEN]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum()
    };
    let mut sum = words(&source.octets()) + words(&destination.octets()) + words(body);
    sum += 32 + u32::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded above")
}

/// Fills an array front to back.
struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    fn new(frame: &'a mut [u8]) -> Self {
        Self { rest: frame }
    }

    fn put(&mut self, bytes: &[u8]) {
        let rest = std::mem::take(&mut self.rest);
        let (head, tail) = rest.split_at_mut_checked(bytes.len()).expect("the array has the length of its parts");
        head.copy_from_slice(bytes);
        self.rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x02, 0, 0, 0, 0, 0x01];

    #[test]
    fn gratuitous_request_is_the_arp_announcement_of_rfc_5227() {
        // RFC 5227 §2.3: broadcast request, sender and target address equal, target hardware address zero.
        let golden = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, // Ethernet
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, 6, 4, request
            0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0xc0, 0x00, 0x02, 0x64, // sender
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x64, // target
        ];

        assert_eq!(gratuitous_arp(ArpForm::Request, MAC, Ipv4Addr::new(192, 0, 2, 100)), golden);
    }

    #[test]
    fn gratuitous_reply_names_the_sender_as_target() {
        // RFC 826 with ar$op = ares_op$REPLY; the target hardware address is the sender's.
        let golden = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, // Ethernet
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, // Ethernet, IPv4, 6, 4, reply
            0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0xc0, 0x00, 0x02, 0x64, // sender
            0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0xc0, 0x00, 0x02, 0x64, // target
        ];

        assert_eq!(gratuitous_arp(ArpForm::Reply, MAC, Ipv4Addr::new(192, 0, 2, 100)), golden);
    }

    #[test]
    fn advertisement_is_unsolicited_overriding_and_to_all_nodes() {
        // RFC 4861 §4.4 and §7.2.6. Checksum by hand (RFC 1071): pseudo-header source fe80 + 0001 = fe81,
        // destination ff02 + 0001 = ff03, length 0020, next header 003a; body 8800 + 2000 + target
        // 2001 + 0db8 + 0002 + 0100 = 2ebb, option 0201 + 0200 + 0000 + 0001 = 0402. Sum 2d89b, folded d89d,
        // complement 2762.
        let golden: [u8; ADVERTISEMENT_LEN] = [
            0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, // Ethernet
            0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, // IPv6, 32 bytes, ICMPv6, hop limit 255
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // source
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // all nodes
            0x88, 0x00, 0x27, 0x62, 0x20, 0x00, 0x00, 0x00, // advertisement, Override
            0x20, 0x01, 0x0d, 0xb8, 0x00, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, // target
            0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, // target link-layer address
        ];
        let source = "fe80::1".parse().expect("an address");
        let target = "2001:db8:2::100".parse().expect("an address");

        assert_eq!(neighbour_advertisement(MAC, source, target), golden);
    }

    #[test]
    fn arp_probe_names_no_sender_and_goes_to_one_station_or_to_all() {
        // RFC 5227 §2.1.1: sender address all zero, target hardware address zero.
        let golden = [
            0x02, 0x00, 0x00, 0x00, 0x00, 0x09, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, // Ethernet
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, 6, 4, request
            0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, // sender
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x64, // target
        ];
        let address = Ipv4Addr::new(192, 0, 2, 100);

        assert_eq!(arp_probe(MAC, Some([2, 0, 0, 0, 0, 9]), address), golden);
        assert_eq!(arp_probe(MAC, None, address)[..6], BROADCAST);
    }

    #[test]
    fn solicitation_goes_to_one_station_or_to_the_solicited_node_group() {
        // RFC 4861 §4.3, §7.2.2. Checksum by hand (RFC 1071): source fe80 + 0001 = fe81; destination = target
        // 2001 + 0db8 + 0002 + 0100 = 2ebb; length 0020, next header 003a; body 8700 + target 2ebb, option
        // 0101 + 0200 + 0000 + 0001 = 0302. Sum fe81 + 2ebb + 005a + 8700 + 2ebb + 0302 = 1e653, folded e654,
        // complement 19ab.
        let golden: [u8; ADVERTISEMENT_LEN] = [
            0x02, 0x00, 0x00, 0x00, 0x00, 0x09, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, // Ethernet
            0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, // IPv6, 32 bytes, ICMPv6, hop limit 255
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // source
            0x20, 0x01, 0x0d, 0xb8, 0x00, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, // destination
            0x87, 0x00, 0x19, 0xab, 0x00, 0x00, 0x00, 0x00, // solicitation
            0x20, 0x01, 0x0d, 0xb8, 0x00, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, // target
            0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, // source link-layer address
        ];
        let source = "fe80::1".parse().expect("an address");
        let target = "2001:db8:2::100".parse().expect("an address");

        assert_eq!(neighbour_solicitation(MAC, Some([2, 0, 0, 0, 0, 9]), source, target), golden);
        let to_all = neighbour_solicitation(MAC, None, source, target);
        assert_eq!(to_all[..6], [0x33, 0x33, 0xff, 0, 0x01, 0]);
        assert_eq!(to_all[38..54], "ff02::1:ff00:100".parse::<Ipv6Addr>().expect("a group").octets());
    }
}
