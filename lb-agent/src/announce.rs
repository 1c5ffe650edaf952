//! Sends announcements and questions: one packet socket for all interfaces. What and when is `lb_plan`'s.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    os::fd::AsRawFd,
};

use lb_plan::agent::{
    Mac, Station,
    frame::{self, ArpForm},
};
use socket2::{Domain, Socket, Type};

/// The socket. Receives nothing: its protocol is 0.
#[derive(Debug)]
pub(crate) struct Announcer {
    socket: Socket,
}

impl Announcer {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Announces `address` once at `station`: both forms of gratuitous ARP, or one advertisement.
    pub(crate) fn send(&self, station: &Station, address: IpAddr) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => {
                self.frame(station.index, &frame::gratuitous_arp(ArpForm::Request, station.mac, address))?;
                self.frame(station.index, &frame::gratuitous_arp(ArpForm::Reply, station.mac, address))
            }
            IpAddr::V6(address) => {
                // RFC 4861 §4.4: an address of the interface. Without a link-local one the target itself is one.
                let source: Ipv6Addr = station.link_local.unwrap_or(address);
                self.frame(station.index, &frame::neighbour_advertisement(station.mac, source, address))
            }
        }
    }

    /// Asks `to`, or everybody, who has `address`.
    pub(crate) fn probe(&self, station: &Station, to: Option<Mac>, address: IpAddr) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => self.frame(station.index, &frame::arp_probe(station.mac, to, address)),
            IpAddr::V6(address) => {
                let source = station.link_local.ok_or_else(|| io::Error::other("no link-local address to ask from"))?;
                self.frame(station.index, &frame::neighbour_solicitation(station.mac, to, source, address))
            }
        }
    }

    fn frame(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let to = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).expect("a small constant"),
            sll_protocol: 0,
            sll_ifindex: i32::try_from(ifindex).map_err(io::Error::other)?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("a small constant");
        // SAFETY: the pointers are to `frame` and `to`, which outlive the call, with their own lengths; the kernel
        // copies both and keeps neither.
        let sent = unsafe {
            libc::sendto(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, (&raw const to).cast(), length)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
