//! Web servers of the lab's nodes: each page names its node, and connections that say nothing keep no other waiting.

use std::{net::SocketAddr, thread::JoinHandle, time::Duration};

use anyhow::Context as _;
use lb_tests::lab::Host;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// A connection that is kept open this long without a request is not kept for longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a node. Dropped, it and all of its connections end.
#[derive(Debug)]
pub struct Pages {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Pages {
    /// Serves at `address`, which the node has.
    pub fn start(host: &Host, address: SocketAddr) -> anyhow::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let page = host.name.clone();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let listener = TcpListener::bind(address).await.with_context(|| format!("bind to {address}"))?;
                ready.send(()).context("nobody waits for the server")?;
                tokio::select! {
                    ended = accept(listener, page) => ended,
                    _ = stopped => Ok(()),
                }
            })
        };
        let thread = host.netns.spawn("pages", serve)?;
        let pages = Self { stop: Some(stop), thread: Some(thread) };
        is_ready.recv_timeout(PATIENCE).with_context(|| format!("serve at {address} on {}", host.name))?;
        Ok(pages)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(listener: TcpListener, page: String) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let page = page.clone();
        tokio::spawn(async move {
            // One broken client is not the server's end.
            drop(tokio::time::timeout(PATIENCE, answer(stream, &page)).await);
        });
    }
}

async fn answer(stream: TcpStream, page: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // The head is read to its end: closing with unread bytes would reset the connection.
    while stream.read_line(&mut line).await? > 0 && !line.trim().is_empty() {
        line.clear();
    }
    let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    stream.get_mut().write_all(answer.as_bytes()).await
}
