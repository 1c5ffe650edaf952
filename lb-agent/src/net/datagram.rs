//! Receives one datagram with what the kernel knows of its way: TTL, interface, destination.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsFd, AsRawFd as _},
};

use nix::{
    cmsg_space,
    sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
        sockopt::{Ipv4PacketInfo, Ipv4RecvTtl, Ipv6RecvHopLimit, Ipv6RecvPacketInfo},
    },
};

/// A datagram's way; its octets are in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) length: usize,
    pub(crate) from: SocketAddr,
    pub(crate) to: Option<IpAddr>,
    /// TTL or hop limit.
    pub(crate) ttl: Option<u8>,
    /// The kernel's index of the interface that it came in by.
    pub(crate) interface: Option<u32>,
}

/// Asks the kernel to tell the way of what `socket` receives.
pub(crate) fn ask(socket: &impl AsFd, family: IpAddr) -> io::Result<()> {
    match family {
        IpAddr::V4(_) => {
            setsockopt(socket, Ipv4RecvTtl, &true)?;
            setsockopt(socket, Ipv4PacketInfo, &true)?;
        }
        IpAddr::V6(_) => {
            setsockopt(socket, Ipv6RecvHopLimit, &true)?;
            setsockopt(socket, Ipv6RecvPacketInfo, &true)?;
        }
    }
    Ok(())
}

/// Takes the next datagram, and does not wait for one.
pub(crate) fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = cmsg_space!(i32, libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let from = message.address.as_ref().and_then(address).ok_or_else(|| io::Error::other("no source address"))?;
    let mut datagram = Datagram { length: message.bytes, from, to: None, ttl: None, interface: None };
    for control in message.cmsgs()? {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only what was asked for matters")]
        match control {
            ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => {
                datagram.ttl = u8::try_from(ttl).ok();
            }
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                datagram.interface = u32::try_from(info.ipi_ifindex).ok();
                datagram.to = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                datagram.interface = Some(info.ipi6_ifindex);
                datagram.to = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            _ => {}
        }
    }
    Ok(datagram)
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6))))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn the_way_of_a_datagram_is_told_in_both_families() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let receiver = UdpSocket::bind(local).unwrap();
            ask(&receiver, receiver.local_addr().unwrap().ip()).unwrap();
            let sender = UdpSocket::bind(local).unwrap();
            match local.starts_with('[') {
                true => socket2::SockRef::from(&sender).set_unicast_hops_v6(255).unwrap(),
                false => socket2::SockRef::from(&sender).set_ttl_v4(255).unwrap(),
            }
            assert_eq!(receive(&receiver, &mut [0; 9]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            sender.send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
            let mut buffer = [0; 9];
            let datagram = receive(&receiver, &mut buffer).unwrap();
            assert_eq!(datagram.from, sender.local_addr().unwrap());
            assert_eq!(datagram.to, Some(receiver.local_addr().unwrap().ip()));
            assert_eq!((datagram.length, datagram.ttl, datagram.interface), (5, Some(255), Some(1)));
        }
    }
}
