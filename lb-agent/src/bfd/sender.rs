//! The socket that one session's packets leave by.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    ops::RangeInclusive,
};

use lb_common::bfd::TTL;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Path, Port, describe};
use crate::net::device;

/// RFC 5881 §4: the source port, the same for all packets of a session.
const PORTS: RangeInclusive<u16> = 49_152..=65_535;
/// CS6 in the place of the DSCP.
const NETWORK_CONTROL: u32 = 48 << 2;

#[derive(Debug)]
pub(super) struct Sender {
    socket: Socket,
    to: SocketAddr,
    source_port: u16,
}

impl Sender {
    /// `port`: the one that the session has been sent from before, if it is to be had. `seed`: where the search for another
    /// one begins.
    pub(super) fn open(path: &Path, port: Option<u16>, seed: u64) -> Result<Self, String> {
        let what = || match path.local {
            Some(local) => format!("send BFD packets from {local} to {path}"),
            None => format!("send BFD packets to {path}"),
        };
        Self::try_open(path, port, seed).map_err(|error| describe(&what(), &error))
    }

    fn try_open(path: &Path, source_port: Option<u16>, seed: u64) -> io::Result<Self> {
        let to = scoped(path.peer, Port::of(path).number(), path.device.as_deref())?;
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        device::bind(&socket, path.device.as_deref())?;
        if to.is_ipv4() {
            socket.set_ttl_v4(TTL.into())?;
            socket.set_tos_v4(NETWORK_CONTROL)?;
        } else {
            socket.set_only_v6(true)?;
            socket.set_unicast_hops_v6(TTL.into())?;
            socket.set_tclass_v6(NETWORK_CONTROL)?;
        }
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        let local = scoped(path.local.unwrap_or(any), 0, path.device.as_deref())?;
        bind(&socket, local, source_port, seed)?;
        let source_port = socket.local_addr()?.as_socket().map_or(0, |local| local.port());
        Ok(Self { socket, to, source_port })
    }

    /// Where packets are sent from.
    pub(super) const fn source_port(&self) -> u16 {
        self.source_port
    }

    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.send_to(packet, &self.to.into()).map(drop)
    }
}

/// Sends an echo packet back to where it came from, one hop less, so that it is told from one that arrives.
pub(super) fn loop_back(from: SocketAddr, packet: &[u8]) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(from), Type::DGRAM, Some(Protocol::UDP))?;
    match from {
        SocketAddr::V4(_) => socket.set_ttl_v4(u32::from(TTL) - 1)?,
        SocketAddr::V6(_) => socket.set_unicast_hops_v6(u32::from(TTL) - 1)?,
    }
    socket.set_nonblocking(true)?;
    socket.send_to(packet, &from.into()).map(drop)
}

fn bind(socket: &Socket, mut local: SocketAddr, port: Option<u16>, seed: u64) -> io::Result<()> {
    if let Some(port) = port.filter(|port| PORTS.contains(port)) {
        local.set_port(port);
        if socket.bind(&local.into()).is_ok() {
            return Ok(());
        }
    }
    let (first, last) = (u64::from(*PORTS.start()), u64::from(*PORTS.end()));
    let count = last - first + 1;
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for step in 0..count {
        let port = first + (seed % count + step) % count;
        local.set_port(u16::try_from(port).unwrap_or(*PORTS.start()));
        result = socket.bind(&local.into());
        match &result {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Ok(()) | Err(_) => break,
        }
    }
    result
}

/// A link-local address needs its interface.
fn scoped(address: IpAddr, port: u16, device: Option<&str>) -> io::Result<SocketAddr> {
    match (address, device) {
        (IpAddr::V6(address), Some(device)) if address.is_unicast_link_local() => {
            Ok(SocketAddrV6::new(address, port, 0, if_nametoindex(device)?).into())
        }
        (address, _) => Ok(SocketAddr::new(address, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_a_source_port_of_its_own_in_the_range_and_the_next_process_the_same() {
        let path = Path { peer: "127.0.0.1".parse().unwrap(), local: None, device: None, multihop: false };
        let senders: Vec<Sender> = (0..3).map(|_| Sender::open(&path, None, 70_000).unwrap()).collect();
        let ports: Vec<u16> = senders.iter().map(Sender::source_port).collect();
        assert!(ports.iter().all(|port| PORTS.contains(port)), "{ports:?}");
        assert!(ports[0] != ports[1] && ports[1] != ports[2], "{ports:?}");

        assert!(!ports.contains(&Sender::open(&path, Some(ports[0]), 70_000).unwrap().source_port()), "it is taken");
        drop(senders);
        assert_eq!(Sender::open(&path, Some(ports[2]), 70_000).unwrap().source_port(), ports[2]);
        assert!(PORTS.contains(&Sender::open(&path, Some(179), 70_000).unwrap().source_port()));
    }
}
