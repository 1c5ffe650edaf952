//! One family's half of an asker: its socket, its pretended askers, and which question each of them has in flight.
//!
//! 128 hardware addresses times 32 protocol addresses would do; the hardware address carries the whole number, so the
//! switch learns 4,096 of them: well within what a bridge keeps.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::Context as _;

use super::record::{Record, Reply, Stamp};
use crate::{
    frames::{self, Station},
    mac::Mac,
    packet_socket::{FRAME, PacketSocket},
};

/// Hardware addresses of the pretended askers.
const MACS: usize = 128;
/// Protocol addresses of the pretended askers: few, since a kernel that answers keeps an entry for each.
const ADDRESSES: usize = 32;
/// The last byte of the first IPv4 address: 192.0.2.160 to 191, which the lab gives to nobody.
const FIRST_V4: u8 = 160;

/// What an answer says.
struct Answer {
    asker: usize,
    address: IpAddr,
    mac: Mac,
}

/// One family.
#[derive(Debug)]
pub(super) struct Lane {
    socket: PacketSocket,
    station: u8,
    addresses: Vec<IpAddr>,
    encode: fn(u8, usize, IpAddr) -> Vec<u8>,
    decode: fn(u8, &[u8]) -> Option<Answer>,
    /// By asker: the index in the record of what it asked last.
    in_flight: Vec<Option<usize>>,
    asked: usize,
}

impl Lane {
    pub(super) fn arp(interface: &str, station: u8, addresses: Vec<Ipv4Addr>) -> anyhow::Result<Self> {
        let addresses = addresses.into_iter().map(IpAddr::from).collect();
        Self::open(interface, station, frames::ARP, addresses, encode_arp, decode_arp)
    }

    pub(super) fn ndp(interface: &str, station: u8, addresses: Vec<Ipv6Addr>) -> anyhow::Result<Self> {
        let addresses = addresses.into_iter().map(IpAddr::from).collect();
        Self::open(interface, station, frames::IPV6, addresses, encode_ndp, decode_ndp)
    }

    fn open(
        interface: &str,
        station: u8,
        ethertype: u16,
        addresses: Vec<IpAddr>,
        encode: fn(u8, usize, IpAddr) -> Vec<u8>,
        decode: fn(u8, &[u8]) -> Option<Answer>,
    ) -> anyhow::Result<Self> {
        let socket = PacketSocket::open(interface, ethertype)?;
        Ok(Self { socket, station, addresses, encode, decode, in_flight: vec![None; MACS * ADDRESSES], asked: 0 })
    }

    /// Sends the next question and notes it.
    pub(super) fn ask(&mut self, record: &mut Record) -> anyhow::Result<()> {
        let address = self.addresses[self.asked % self.addresses.len()];
        let asker = self.asked % self.in_flight.len();
        let frame = (self.encode)(self.station, asker, address);
        self.in_flight[asker] = Some(record.asked(address, Stamp::now()?));
        self.asked += 1;
        self.socket.send(&frame).with_context(|| format!("ask for {address}"))
    }

    /// Notes every answer that is there, and says how many.
    pub(super) fn take(&mut self, record: &mut Record) -> anyhow::Result<u64> {
        let mut frame = [0; FRAME];
        let mut taken = 0;
        while let Some(received) = self.socket.receive(&mut frame)? {
            let Some(answer) = (self.decode)(self.station, &frame[..received.length.min(FRAME)]) else { continue };
            let question = self.in_flight.get(answer.asker).copied().flatten();
            record.answered(question, answer.address, Reply { at: Stamp(received.at), mac: answer.mac });
            taken += 1;
        }
        Ok(taken)
    }

    pub(super) fn drops(&self) -> anyhow::Result<u32> {
        self.socket.drops()
    }
}

impl AsFd for Lane {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn encode_arp(station: u8, asker: usize, address: IpAddr) -> Vec<u8> {
    let IpAddr::V4(address) = address else { unreachable!("an ARP lane is made of IPv4 addresses") };
    frames::arp_request(Station { mac: mac(station, asker), ip: v4(asker) }, address)
}

fn decode_arp(station: u8, frame: &[u8]) -> Option<Answer> {
    let message = frames::read_arp(frame).filter(|message| message.answer)?;
    let asker = asker_of(station, message.to.mac)?;
    (v4(asker) == message.to.ip).then(|| Answer { asker, address: message.target.into(), mac: message.from.mac })
}

fn encode_ndp(station: u8, asker: usize, address: IpAddr) -> Vec<u8> {
    let IpAddr::V6(address) = address else { unreachable!("an NDP lane is made of IPv6 addresses") };
    frames::solicitation(Station { mac: mac(station, asker), ip: v6(asker) }, address)
}

fn decode_ndp(station: u8, frame: &[u8]) -> Option<Answer> {
    let message = frames::read_ndp(frame).filter(|message| message.answer)?;
    let asker = asker_of(station, message.to.mac)?;
    (v6(asker) == message.to.ip).then(|| Answer { asker, address: message.target.into(), mac: message.from.mac })
}

/// The asker's number stands in its hardware address, so that pairs are found without a table.
fn mac(station: u8, asker: usize) -> Mac {
    let [high, low] = number(asker).to_be_bytes();
    Mac([0x02, 0xa5, 0, station, high, low])
}

fn asker_of(station: u8, mac: Mac) -> Option<usize> {
    match mac.0 {
        [0x02, 0xa5, 0, of, high, low] if of == station => Some(usize::from(u16::from_be_bytes([high, low]))),
        _ => None,
    }
}

fn v4(asker: usize) -> Ipv4Addr {
    let [_, low] = number(asker % ADDRESSES).to_be_bytes();
    Ipv4Addr::new(192, 0, 2, FIRST_V4 + low)
}

fn v6(asker: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0xa5, number(asker % ADDRESSES))
}

fn number(asker: usize) -> u16 {
    u16::try_from(asker % (MACS * ADDRESSES)).expect("4,096 askers fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_asker_of_its_question() {
        for asker in [0, 1, 31, 32, 4095] {
            let (vip, holder) = (Ipv4Addr::new(192, 0, 2, 100), Mac([2, 0, 0, 0, 0, 9]));
            let asked = frames::read_arp(&encode_arp(7, asker, vip.into())).unwrap();
            let reply = frames::arp_reply(Station { mac: holder, ip: vip }, asked.from);
            let answer = decode_arp(7, &reply).unwrap();
            assert_eq!((answer.asker, answer.address, answer.mac), (asker, vip.into(), holder));
            assert!(decode_arp(8, &reply).is_none(), "it is for another station");
        }
    }

    #[test]
    fn an_advertisement_names_the_asker_of_its_question() {
        let (vip, holder) = ("2001:db8:2::100".parse().unwrap(), Mac([2, 0, 0, 0, 0, 9]));
        let asked = frames::read_ndp(&encode_ndp(7, 4095, IpAddr::V6(vip))).unwrap();
        let reply = frames::advertisement(Station { mac: holder, ip: vip }, asked.from, vip);
        let answer = decode_ndp(7, &reply).unwrap();
        assert_eq!((answer.asker, answer.address, answer.mac), (4095, vip.into(), holder));
    }

    #[test]
    fn traffic_between_real_stations_is_no_answer() {
        let real = Station { mac: Mac([2, 0x48, 0x4c, 0, 0, 201]), ip: Ipv4Addr::new(192, 0, 2, 201) };
        let reply = frames::arp_reply(Station { mac: Mac([2, 0, 0, 0, 0, 9]), ip: Ipv4Addr::new(192, 0, 2, 11) }, real);
        assert!(decode_arp(7, &reply).is_none());
    }
}
