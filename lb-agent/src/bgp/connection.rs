//! The connections of one peer: read and written without waiting.
//!
//! Invariant: at most two at a time, one of each direction, as the machine has them.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    task::Poll,
    time::{Duration, Instant},
};

use lb_bgp::{ConnId, Event, Peer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Octets of one read.
const READ: usize = 32 * 1024;
/// How long last words may take.
const FAREWELL: Duration = Duration::from_millis(500);

struct Connection {
    conn: ConnId,
    stream: TcpStream,
    /// The socket takes no more for now.
    full: bool,
}

/// Every connection of a peer.
pub(super) struct Connections {
    all: Vec<Connection>,
    buffer: Box<[u8]>,
}

impl Default for Connections {
    fn default() -> Self {
        Self { all: Vec::new(), buffer: vec![0; READ].into_boxed_slice() }
    }
}

impl Connections {
    pub(super) fn add(&mut self, conn: ConnId, stream: TcpStream) {
        self.all.push(Connection { conn, stream, full: false });
    }

    pub(super) fn take(&mut self, conn: ConnId) -> Option<TcpStream> {
        let at = self.all.iter().position(|connection| connection.conn == conn)?;
        Some(self.all.swap_remove(at).stream)
    }

    /// Our end and the peer's of the oldest connection.
    pub(super) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let stream = &self.all.first()?.stream;
        Some((stream.local_addr().ok()?, stream.peer_addr().ok()?))
    }

    /// Whether nothing waits for a socket.
    pub(super) fn all_written(&self) -> bool {
        self.all.iter().all(|connection| !connection.full)
    }

    /// Waits until something can be read, or something that waits can be written.
    pub(super) async fn ready(&self) {
        poll_fn(|cx| {
            let ready = self.all.iter().any(|connection| {
                // Both are asked, so that both wake the task.
                let read = connection.stream.poll_read_ready(cx).is_ready();
                let write = connection.full && connection.stream.poll_write_ready(cx).is_ready();
                read || write
            });
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Reads once from each connection. Whether one has more to say than fits into a read.
    pub(super) fn read(&mut self, peer: &mut Peer) -> bool {
        let mut more = false;
        let Self { all, buffer } = self;
        all.retain(|Connection { conn, stream, .. }| {
            let event = match stream.try_read(buffer) {
                Ok(0) => Event::Closed { conn: *conn },
                Ok(count) => {
                    more |= count == buffer.len();
                    Event::Received { conn: *conn, octets: buffer.get(..count).unwrap_or_default() }
                }
                Err(error) if is_patience(&error) => return true,
                Err(_reset) => Event::Closed { conn: *conn },
            };
            let is_open = !matches!(event, Event::Closed { .. });
            peer.handle(Instant::now(), event);
            is_open
        });
        more
    }

    /// Writes what sockets take. Whether anything was written or has ended: then the machine may have more to say.
    pub(super) fn write(&mut self, peer: &mut Peer) -> bool {
        let mut busy = false;
        self.all.retain_mut(|connection| {
            connection.full = false;
            let Connection { conn, stream, full } = connection;
            loop {
                let now = Instant::now();
                let output = peer.output(now, *conn);
                if output.is_empty() {
                    return true;
                }
                match stream.try_write(output) {
                    Ok(count) => {
                        busy = true;
                        peer.handle(now, Event::Written { conn: *conn, count });
                    }
                    Err(error) if is_patience(&error) => {
                        *full = true;
                        return true;
                    }
                    Err(_reset) => {
                        busy = true;
                        peer.handle(now, Event::Closed { conn: *conn });
                        return false;
                    }
                }
            }
        });
        busy
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Writes last words and waits for the peer's end: a socket that is closed with something unread would take them back.
pub(super) async fn farewell(mut stream: TcpStream, last_words: Vec<u8>) {
    let said = async {
        stream.write_all(&last_words).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Late or reset: nobody listens any more, and there is nothing else to do.
    drop(tokio::time::timeout(FAREWELL, said).await);
}
