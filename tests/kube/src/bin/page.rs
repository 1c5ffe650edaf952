//! `page [PORT]`: the HTTP server that stands behind Services in the tests. Every page says which Pod it is and who
//! asked; `/healthz` answers 200 until `/sick` was asked for, then 500 until `/well` was.
//!
//! Must not: need more of the client than a request's head. Ends on SIGTERM, as the first process of a container must
//! by itself.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

const PORT: u16 = 8080;
const LIMIT: Duration = Duration::from_secs(10);
static SICK: AtomicBool = AtomicBool::new(false);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).map_or(Ok(PORT), |port| port.parse()).context("the port")?;
    let mut term = signal(SignalKind::terminate())?;
    // Both families: the kernel shows IPv4 clients as mapped addresses.
    let listener = TcpListener::bind(("::", port)).await.with_context(|| format!("listen on port {port}"))?;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => drop(tokio::spawn(serve(stream, client))),
                Err(error) => tracing::warn!("accept: {error}"),
            },
            _ = term.recv() => return Ok(()),
        }
    }
}

/// One broken client is not the server's end.
async fn serve(stream: TcpStream, client: SocketAddr) {
    if let Ok(Err(error)) = timeout(LIMIT, answer(stream, client.ip().to_canonical())).await {
        tracing::debug!("{client}: {error}");
    }
}

async fn answer(mut stream: TcpStream, client: IpAddr) -> std::io::Result<()> {
    let mut lines = BufReader::new(&mut stream).lines();
    let request = lines.next_line().await?.unwrap_or_default();
    // The head is read to its end: closing with unread bytes would reset the connection.
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let (status, body) = page(request.split(' ').nth(1).unwrap_or("/"), client);
    let length = body.len();
    let head = format!("HTTP/1.0 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn page(path: &str, client: IpAddr) -> (&'static str, String) {
    match path {
        "/healthz" if SICK.load(Ordering::Relaxed) => return ("500 Internal Server Error", "sick\n".to_owned()),
        "/sick" => SICK.store(true, Ordering::Relaxed),
        "/well" => SICK.store(false, Ordering::Relaxed),
        _ => {}
    }
    let name = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
    ("200 OK", format!("pod {name}\nclient {client}\n"))
}
