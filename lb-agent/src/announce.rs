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
use nix::sys::socket::{setsockopt, sockopt::SndBufForce};
use socket2::{Domain, Socket, Type};

/// Room for the frames of a round, which a slow device has not sent yet when the next ones come.
const SEND_BUFFER: usize = 4 << 20;

/// The socket. Receives nothing: its protocol is 0.
#[derive(Debug)]
pub(crate) struct Announcer {
    socket: Socket,
}

/// Frames that go out by one call to the kernel.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    frames: Vec<Outgoing>,
}

#[derive(Debug, Clone, Copy)]
struct Outgoing {
    ifindex: u32,
    bytes: [u8; frame::ADVERTISEMENT_LEN],
    length: usize,
}

impl Batch {
    /// Announces `address` once at `station`: both forms of gratuitous ARP, or one advertisement.
    pub(crate) fn announce(&mut self, station: &Station, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                for form in [ArpForm::Request, ArpForm::Reply] {
                    self.push(station.index, &frame::gratuitous_arp(form, station.mac, address));
                }
            }
            IpAddr::V6(address) => {
                // RFC 4861 §4.4: an address of the interface. Without a link-local one the target itself is one.
                let source: Ipv6Addr = station.link_local.unwrap_or(address);
                self.push(station.index, &frame::neighbour_advertisement(station.mac, source, address));
            }
        }
    }

    /// How many frames there are.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    fn push(&mut self, ifindex: u32, frame: &[u8]) {
        let mut bytes = [0; frame::ADVERTISEMENT_LEN];
        let room = bytes.get_mut(..frame.len()).expect("an advertisement is the longest of them");
        room.copy_from_slice(frame);
        self.frames.push(Outgoing { ifindex, bytes, length: frame.len() });
    }
}

impl Announcer {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        if let Err(error) = setsockopt(&socket, SndBufForce, &SEND_BUFFER) {
            tracing::debug!(%error, "the packet socket keeps the system's send buffer");
        }
        Ok(Self { socket })
    }

    /// Sends the frames in their order. How many went out, and why the next one did not.
    pub(crate) fn send(&self, batch: &Batch) -> (usize, Option<io::Error>) {
        let mut sent = 0;
        while let Some(rest) = batch.frames.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.send_some(rest) {
                Ok(count) => sent += count,
                Err(error) => return (sent, Some(error)),
            }
        }
        (sent, None)
    }

    /// Asks `to`, or everybody, who has `address`.
    pub(crate) fn probe(&self, station: &Station, to: Option<Mac>, address: IpAddr) -> io::Result<()> {
        let mut batch = Batch::default();
        match address {
            IpAddr::V4(address) => batch.push(station.index, &frame::arp_probe(station.mac, to, address)),
            IpAddr::V6(address) => {
                let source = station.link_local.ok_or_else(|| io::Error::other("no link-local address to ask from"))?;
                batch.push(station.index, &frame::neighbour_solicitation(station.mac, to, source, address));
            }
        }
        self.send(&batch).1.map_or(Ok(()), Err)
    }

    /// At least one, or an error.
    fn send_some(&self, frames: &[Outgoing]) -> io::Result<usize> {
        let mut to: Vec<libc::sockaddr_ll> = frames.iter().map(|frame| link_address(frame.ifindex)).collect();
        let mut parts: Vec<libc::iovec> = frames
            .iter()
            .map(|frame| libc::iovec { iov_base: frame.bytes.as_ptr().cast_mut().cast(), iov_len: frame.length })
            .collect();
        let mut messages: Vec<libc::mmsghdr> =
            to.iter_mut().zip(&mut parts).map(|(to, part)| message(to, part)).collect();
        let count = libc::c_uint::try_from(messages.len()).map_err(io::Error::other)?;
        // SAFETY: each message points into `to`, `parts` and `frames`, which outlive the call and do not move meanwhile,
        // with their own lengths; the kernel reads what they point at, and writes into the messages alone.
        let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_negative| io::Error::last_os_error())
    }
}

fn link_address(ifindex: u32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).expect("a small constant"),
        sll_protocol: 0,
        // What is too large for the kernel is no interface's, and is refused as that.
        sll_ifindex: i32::try_from(ifindex).unwrap_or(i32::MAX),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

fn message(to: &mut libc::sockaddr_ll, part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: all zeroes are a message with no address, no data, no control data and no flags.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_name = std::ptr::from_mut(to).cast();
    message.msg_hdr.msg_namelen = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("a small constant");
    message.msg_hdr.msg_iov = std::ptr::from_mut(part);
    message.msg_hdr.msg_iovlen = 1;
    message
}
