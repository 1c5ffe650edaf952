//! Sockets that packets arrive at: one for each port, family and device that a session needs.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Path, Port, describe};
use crate::net::{
    datagram::{self, Datagram},
    device,
};

/// A flood is taken in portions, so that timers come to their turn.
const PORTION: usize = 64;

/// Which packets a socket takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) port: Port,
    pub(super) is_ipv4: bool,
    pub(super) device: Option<String>,
}

impl Place {
    /// Where a session's packets arrive.
    pub(super) fn of(path: &Path, port: Port) -> Self {
        Self { port, is_ipv4: path.peer.is_ipv4(), device: path.device.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Receiver {
    socket: Socket,
}

impl Receiver {
    pub(super) fn open(place: &Place) -> Result<Self, String> {
        let any: IpAddr = if place.is_ipv4 { [0; 4].into() } else { [0_u16; 8].into() };
        let address = SocketAddr::new(any, place.port.number());
        let open = || {
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            // One socket for a VRF stands beside the one for the rest.
            socket.set_reuse_address(true)?;
            if !place.is_ipv4 {
                socket.set_only_v6(true)?;
            }
            device::bind(&socket, place.device.as_deref())?;
            datagram::ask(&socket, any)?;
            socket.bind(&address.into())?;
            Ok(socket)
        };
        let socket =
            open().map_err(|error: io::Error| describe(&format!("receive BFD packets on {address}"), &error))?;
        Ok(Self { socket })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes what has arrived, in bounds.
    pub(super) fn take(&self, mut each: impl FnMut(&Datagram, &[u8])) {
        let mut buffer = [0; 512];
        for _ in 0..PORTION {
            match datagram::receive(&self.socket, &mut buffer) {
                Ok(datagram) => each(&datagram, buffer.get(..datagram.length).unwrap_or_default()),
                // An error of an earlier packet is told once and then gone.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }
}
