//! Listening on every address of a host, of whichever families its kernel has.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::TcpListener;

/// Listens on `address`. `[::]` means every address; on a kernel without IPv6 (`ipv6.disable=1`) these are the IPv4 ones.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if is_everywhere(address) && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

fn is_everywhere(address: SocketAddr) -> bool {
    address.ip() == Ipv6Addr::UNSPECIFIED
}
