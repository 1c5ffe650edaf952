//! Makes the sockets of sessions: password, TTL, source, device and DSCP as the peer asks for.
//!
//! Everything is set before the first segment leaves. What cannot be set is an error that names it: a session without its
//! password or its GTSM would be worse than none.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{
    endpoint::{Authentication, Endpoint, Hops},
    option,
};
use crate::net::device;

/// CS6, network control (RFC 4594 §3.1), in the place of the DSCP.
const NETWORK_CONTROL: u32 = 48 << 2;
/// What waits unsent in the kernel for one peer. The rest waits in the routes themselves.
const UNSENT: u32 = 128 * 1024;
/// Connections that nobody has looked at yet.
const BACKLOG: i32 = 64;

/// Why a socket could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// One of its settings.
    #[error("{what}")]
    Set {
        /// Which.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// Both addresses are given, and of different families.
    #[error("the source address {source_address} and the peer's, {peer}, are of different families")]
    Families {
        /// Ours.
        source_address: IpAddr,
        /// The peer's.
        peer: IpAddr,
    },
    /// RFC 5925.
    #[error(
        "TCP-AO was asked for, and this kernel or this version of the agent cannot do it: use a password (TCP MD5)"
    )]
    TcpAo,
    /// The connection.
    #[error(transparent)]
    Connect(io::Error),
}

fn set<T>(what: &str, result: io::Result<T>) -> Result<T, SocketError> {
    result.map_err(|source| SocketError::Set { what: what.to_owned(), source })
}

/// Connects to the peer.
pub(super) async fn connect(endpoint: &Endpoint, peer: SocketAddr) -> Result<TcpStream, SocketError> {
    let socket = new(peer, endpoint.bound_to())?;
    prepare(&socket, peer, endpoint.hops)?;
    match &endpoint.authentication {
        Authentication::None => {}
        Authentication::Md5(password) => {
            set("set the TCP MD5 password", option::set_password(&socket, peer.ip(), Some(password)))?;
        }
        Authentication::TcpAo => return Err(SocketError::TcpAo),
    }
    if let Some(source) = endpoint.source {
        let local = local(source, peer, endpoint.bound_to())?;
        set(&format!("use the source address {source}"), socket.bind(&local.into()))?;
    }
    TcpSocket::from_std_stream(socket.into()).connect(peer).await.map_err(SocketError::Connect)
}

/// Takes a connection that a listener accepted for this peer.
pub(super) fn accepted(stream: &TcpStream, peer: SocketAddr, hops: Hops) -> Result<(), SocketError> {
    let socket = socket2::SockRef::from(stream);
    prepare(&socket, peer, hops)
}

/// Listens on one family, on every address of one device or of all.
pub(super) fn listen(family: IpAddr, port: u16, device: Option<&str>) -> Result<TcpListener, SocketError> {
    let any = SocketAddr::new(family, port);
    let socket = new(any, device)?;
    set("share the port with connections that linger", socket.set_reuse_address(true))?;
    // The answer to a first segment must reach, and be taken by, a peer that wants 255.
    ttl(&socket, any, 255)?;
    set(&format!("listen on {any}"), socket.bind(&any.into()))?;
    set(&format!("listen on {any}"), socket.listen(BACKLOG))?;
    set("hand the listener to the runtime", TcpListener::from_std(socket.into()))
}

/// The address that the kernel would reach `peer` from. Sends nothing.
pub(super) fn route_to(peer: SocketAddr, device: Option<&str>) -> io::Result<IpAddr> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    device::bind(&socket, device)?;
    socket.connect(&peer.into())?;
    let local = socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("no IP address"))?;
    Ok(local.ip())
}

/// A peer's address as a socket takes it: a link-local one needs its interface.
pub(super) fn at(address: IpAddr, port: u16, device: Option<&str>) -> io::Result<SocketAddr> {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            let device = device.ok_or_else(|| io::Error::other("a link-local address needs an interface"))?;
            Ok(SocketAddrV6::new(address, port, 0, if_nametoindex(device)?).into())
        }
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(SocketAddr::new(address, port)),
    }
}

fn new(family: SocketAddr, device: Option<&str>) -> Result<Socket, SocketError> {
    let socket = set("make a socket", Socket::new(Domain::for_address(family), Type::STREAM, Some(Protocol::TCP)))?;
    set("make the socket non-blocking", socket.set_nonblocking(true))?;
    if family.is_ipv6() {
        set("keep IPv4 off an IPv6 socket", socket.set_only_v6(true))?;
    }
    if let Some(name) = device {
        set(&format!("bind the socket to {name}"), device::bind(&socket, device))?;
    }
    Ok(socket)
}

/// What connections of both directions have in common.
fn prepare(socket: &Socket, peer: SocketAddr, hops: Hops) -> Result<(), SocketError> {
    ttl(socket, peer, hops.ttl())?;
    set("set the least TTL (GTSM)", option::set_least_ttl(socket, peer, hops.least()))?;
    set(
        "set the DSCP",
        match peer {
            SocketAddr::V4(_) => socket.set_tos_v4(NETWORK_CONTROL),
            SocketAddr::V6(_) => socket.set_tclass_v6(NETWORK_CONTROL),
        },
    )?;
    set("send without delay", socket.set_tcp_nodelay(true))?;
    set("bound what waits unsent", socket.set_tcp_notsent_lowat(UNSENT))?;
    // The session notices by itself; this ends what the kernel would go on sending for a quarter of an hour.
    set("bound what waits unacknowledged", socket.set_tcp_user_timeout(Some(Duration::from_secs(600))))
}

fn ttl(socket: &Socket, family: SocketAddr, ttl: u8) -> Result<(), SocketError> {
    set(
        "set the TTL",
        match family {
            SocketAddr::V4(_) => socket.set_ttl_v4(ttl.into()),
            SocketAddr::V6(_) => socket.set_unicast_hops_v6(ttl.into()),
        },
    )
}

fn local(source: IpAddr, peer: SocketAddr, device: Option<&str>) -> Result<SocketAddr, SocketError> {
    if source.is_ipv4() != peer.is_ipv4() {
        return Err(SocketError::Families { source_address: source, peer: peer.ip() });
    }
    set(&format!("use the source address {source}"), at(source, 0, device))
}
