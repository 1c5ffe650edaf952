//! The router on the other end of an interface: found by its router advertisements, and told of us by ours.
//!
//! An unnumbered peer has no address in the configuration. Both sides advertise themselves as routers that are no default
//! router (lifetime 0), and each takes the link-local address that it hears as the other's. Spec: RFC 4861 §4.1, §4.2, §6.1.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{io::Interest, net::UdpSocket, sync::watch, task::AbortHandle};

use super::option;
use crate::net::datagram;

/// Between two advertisements, as FRR has it for unnumbered peers.
const INTERVAL: Duration = Duration::from_secs(10);
/// Between two attempts to open the socket: the interface may not be there yet.
const AGAIN: Duration = Duration::from_secs(2);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Type 134, code 0, checksum by the kernel; no hop limit, no flags, lifetime 0, no timers.
const ADVERTISEMENT: [u8; 16] = [134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const TYPE_SOLICITATION: u8 = 133;
const TYPE_ADVERTISEMENT: u8 = 134;

/// Who was heard, or why nobody can be.
type Heard = Result<Option<Ipv6Addr>, String>;

/// Listens on one interface as long as the value lives.
#[derive(Debug)]
pub(super) struct Neighbour {
    interface: String,
    heard: watch::Receiver<Heard>,
    task: AbortHandle,
}

impl Neighbour {
    /// Begins to listen. Needs a runtime.
    pub(super) fn listen(interface: &str) -> Self {
        let (sender, heard) = watch::channel(Ok(None));
        let task = tokio::spawn(run(interface.to_owned(), sender)).abort_handle();
        Self { interface: interface.to_owned(), heard, task }
    }

    /// The router's address, if it is heard within `limit`.
    pub(super) async fn find(&self, limit: Duration) -> Result<Ipv6Addr, String> {
        let mut heard = self.heard.clone();
        let found = tokio::time::timeout(limit, heard.wait_for(|heard| matches!(heard, Ok(Some(_)))));
        if let Ok(Ok(heard)) = found.await
            && let Ok(Some(address)) = *heard
        {
            return Ok(address);
        }
        match &*self.heard.borrow() {
            Ok(Some(address)) => Ok(*address),
            Ok(None) => {
                Err(format!("no router advertisement was heard on {}: the peer must send them there", self.interface))
            }
            Err(error) => Err(format!("listen for routers on {}: {error}", self.interface)),
        }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(interface: String, heard: watch::Sender<Heard>) {
    loop {
        let failed = match open(&interface) {
            Ok((socket, index)) => follow(&socket, index, &heard).await,
            Err(error) => error,
        };
        heard.send_if_modified(|heard| {
            let text = failed.to_string();
            let is_news = heard.as_ref().err() != Some(&text);
            *heard = Err(text);
            is_news
        });
        tokio::time::sleep(AGAIN).await;
    }
}

/// A raw socket in the clothes of the runtime's datagram socket, which asks no more of it than to be read and written.
fn open(interface: &str) -> io::Result<(UdpSocket, u32)> {
    let index = if_nametoindex(interface)?;
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    option::hear_routers(&socket)?;
    socket.set_multicast_hops_v6(255)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_loop_v6(false)?;
    // A forwarding host is in the routers' group by itself; one that does not forward hears solicitations so.
    socket.join_multicast_v6(&Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2), index)?;
    datagram::ask(&socket, IpAddr::V6(ALL_NODES))?;
    Ok((UdpSocket::from_std(socket.into())?, index))
}

/// Until the socket fails: the interface is gone.
async fn follow(socket: &UdpSocket, index: u32, heard: &watch::Sender<Heard>) -> io::Error {
    let to: SocketAddr = SocketAddrV6::new(ALL_NODES, 0, 0, index).into();
    let mut due = tokio::time::interval(INTERVAL);
    let mut buffer = [0; 1500];
    heard.send_if_modified(|heard| heard.is_err() && std::mem::replace(heard, Ok(None)).is_err());
    loop {
        let advertise = tokio::select! {
            _ = due.tick() => true,
            ready = socket.readable() => {
                let receive = || datagram::receive(socket, &mut buffer);
                match ready.and_then(|()| socket.try_io(Interest::READABLE, receive)) {
                    Ok(datagram) => take(&datagram, &buffer, heard),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                    Err(error) => return error,
                }
            }
        };
        // A link that is down says so once more with the next one.
        if advertise && let Err(error) = socket2::SockRef::from(socket).send_to(&ADVERTISEMENT, &to.into()) {
            tracing::debug!("send a router advertisement: {error}");
        }
    }
}

/// Whether it asks for an advertisement.
fn take(datagram: &datagram::Datagram, buffer: &[u8], heard: &watch::Sender<Heard>) -> bool {
    // RFC 4861 §6.1.1, §6.1.2: nothing from behind a router.
    let (Some(255), SocketAddr::V6(from)) = (datagram.ttl, datagram.from) else { return false };
    match buffer.get(..datagram.length).and_then(<[u8]>::first) {
        Some(&TYPE_SOLICITATION) => true,
        Some(&TYPE_ADVERTISEMENT) if datagram.length >= 16 && from.ip().is_unicast_link_local() => {
            let now = Ok(Some(*from.ip()));
            heard.send_if_modified(|heard| std::mem::replace(heard, now.clone()) != now)
        }
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(from: &str, ttl: u8, length: usize) -> datagram::Datagram {
        datagram::Datagram { length, from: from.parse().unwrap(), to: None, ttl: Some(ttl), interface: Some(2) }
    }

    #[test]
    fn only_an_advertisement_from_the_link_counts() {
        let (sender, heard) = watch::channel(Ok(None));
        for (from, ttl, length) in [("[2001:db8::1]:0", 255, 16), ("[fe80::1]:0", 64, 16), ("[fe80::1]:0", 255, 15)] {
            assert!(!take(&datagram(from, ttl, length), &ADVERTISEMENT, &sender));
            assert_eq!(*heard.borrow(), Ok(None), "{from} {ttl} {length}");
        }
        // A new neighbour is told of us at once, a known one is not.
        assert!(take(&datagram("[fe80::1]:0", 255, 16), &ADVERTISEMENT, &sender));
        assert!(!take(&datagram("[fe80::1]:0", 255, 16), &ADVERTISEMENT, &sender));
        assert_eq!(*heard.borrow(), Ok(Some("fe80::1".parse().unwrap())));
        assert!(take(&datagram("[::]:0", 255, 8), &[TYPE_SOLICITATION, 0, 0, 0, 0, 0, 0, 0], &sender));
    }
}
