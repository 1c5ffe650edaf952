//! The socket from which one node is asked on one segment.
//!
//! One for each: what is sent to a node that is gone waits for its hardware address and counts against the socket's send
//! buffer meanwhile (Linux keeps up to 200 KB for each neighbour). A handful of dead nodes would keep a shared socket from
//! asking those that live, which would then look dead as well.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

use lb_common::bfd::{SBFD_PORT, TTL};
use lb_plan::agent::peers::Path;
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::net::datagram::{self, Datagram};

/// See the module.
#[derive(Debug)]
pub(super) struct Prober {
    socket: UdpSocket,
    path: Path,
}

impl Prober {
    /// Bound to the interface, so that a probe never takes another way than the address that it stands for; TTL 255
    /// (RFC 7881 §4).
    pub(super) fn open(path: Path, device: &str) -> io::Result<Self> {
        let address = path.ours;
        let socket = Socket::new(Domain::for_address((address, 0).into()), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(device.as_bytes()))?;
        match address {
            IpAddr::V4(_) => socket.set_ttl_v4(TTL.into())?,
            IpAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_unicast_hops_v6(TTL.into())?;
            }
        }
        socket.bind(&SockAddr::from(with_scope(address, 0, path.ifindex)))?;
        socket.set_nonblocking(true)?;
        datagram::ask(&socket, address)?;
        Ok(Self { socket: socket.into(), path })
    }

    /// Sends a probe with its whole UDP checksum in it. A device that computes checksums itself, as virtual ones say they
    /// do, hands the peer's kernel program a frame with half of one, which the program cannot make whole. Linux leaves it
    /// to no device when a datagram is made of several pieces (`MSG_MORE`).
    pub(super) fn ask(&self, probe: &[u8]) -> io::Result<()> {
        let to = SockaddrStorage::from(with_scope(self.path.theirs, SBFD_PORT, self.path.ifindex));
        let fd = self.socket.as_raw_fd();
        sendto(fd, probe, &to, MsgFlags::from_bits_retain(libc::MSG_MORE))?;
        sendto(fd, &[], &to, MsgFlags::empty())?;
        Ok(())
    }

    /// The next answer, if one has come.
    pub(super) fn take(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        datagram::receive(&self.socket, buffer)
    }
}

impl AsFd for Prober {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A link-local address means nothing without its interface.
fn with_scope(address: IpAddr, port: u16, ifindex: u32) -> SocketAddr {
    let mut socket = SocketAddr::new(address, port);
    if let SocketAddr::V6(v6) = &mut socket
        && v6.ip().is_unicast_link_local()
    {
        v6.set_scope_id(ifindex);
    }
    socket
}
