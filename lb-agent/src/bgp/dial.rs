//! One attempt to connect.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use lb_bgp::{ConnId, NextHops};
use tokio::net::TcpStream;

use super::{endpoint::Remote, local, neighbour::Neighbour, peer::chain, socket, wanted::Session};

/// Shorter than the machine's own patience, so that the reason is the better one.
const NEIGHBOUR: Duration = Duration::from_secs(9);

/// An attempt that is under way. It ends with its value.
pub(super) struct Dial {
    conn: ConnId,
    attempt: Pin<Box<dyn Future<Output = Result<TcpStream, String>> + Send>>,
}

impl Dial {
    pub(super) fn begin(conn: ConnId, session: Arc<Session>, neighbour: Option<Arc<Neighbour>>) -> Self {
        Self { conn, attempt: Box::pin(attempt(session, neighbour)) }
    }

    pub(super) const fn conn(&self) -> ConnId {
        self.conn
    }
}

/// Waits for the end of the attempt; for ever, if there is none.
pub(super) async fn done(dial: &mut Option<Dial>) -> Result<TcpStream, String> {
    match dial {
        Some(dial) => dial.attempt.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn attempt(session: Arc<Session>, neighbour: Option<Arc<Neighbour>>) -> Result<TcpStream, String> {
    let endpoint = &session.endpoint;
    let address = match &endpoint.remote {
        Remote::Address(address) => *address,
        Remote::Interface(name) => match neighbour {
            Some(neighbour) => IpAddr::V6(neighbour.find(NEIGHBOUR).await?),
            None => return Err(format!("nobody listens on {name}")),
        },
    };
    let peer = socket::at(address, endpoint.port, endpoint.bound_to()).map_err(|error| error.to_string())?;
    socket::connect(endpoint, peer).await.map_err(|error| chain(&error))
}

/// The next hops of a connection between these ends: as configured, else this node's own.
pub(super) fn next_hops(session: &Session, local: SocketAddr, remote: SocketAddr) -> NextHops {
    let configured = session.config.next_hops;
    let mut own = local::next_hops(&local::addresses(), local.ip(), remote.ip());
    if matches!(session.endpoint.remote, Remote::Interface(_)) {
        // RFC 8950: an IPv4 address that the interface may have is not what the peer resolves there.
        own.v4 = None;
    }
    NextHops {
        v4: configured.v4.or(own.v4),
        v6: configured.v6.or(own.v6),
        link_local: configured.link_local.or(own.link_local),
    }
}
