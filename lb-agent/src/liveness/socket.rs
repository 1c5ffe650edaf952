//! The socket of an address on an interface, from which all nodes of that segment are asked.

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

/// Where probes leave: our address and the kernel index of its interface.
pub(super) type Place = (IpAddr, u32);

/// See the module.
#[derive(Debug)]
pub(super) struct Prober {
    socket: UdpSocket,
}

impl Prober {
    /// Bound to the interface, so that a probe never takes another way than the address that it stands for; TTL 255
    /// (RFC 7881 §4).
    pub(super) fn open((address, ifindex): Place, device: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address((address, 0).into()), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(device.as_bytes()))?;
        match address {
            IpAddr::V4(_) => socket.set_ttl_v4(TTL.into())?,
            IpAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_unicast_hops_v6(TTL.into())?;
            }
        }
        socket.bind(&SockAddr::from(with_scope(address, 0, ifindex)))?;
        socket.set_nonblocking(true)?;
        datagram::ask(&socket, address)?;
        Ok(Self { socket: socket.into() })
    }

    /// Sends a probe with its whole UDP checksum in it. A device that computes checksums itself, as virtual ones say they
    /// do, hands the peer's kernel program a frame with half of one, which the program cannot make whole. Linux leaves it
    /// to no device when a datagram is made of several pieces (`MSG_MORE`).
    pub(super) fn ask(&self, path: Path, probe: &[u8]) -> io::Result<()> {
        let to = SockaddrStorage::from(with_scope(path.theirs, SBFD_PORT, path.ifindex));
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
