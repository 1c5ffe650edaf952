//! The few lines of HTTP that the lab needs: one GET to a program's loopback listener, and a page that names a node.
//!
//! A socket belongs to the namespace of the thread that opens it, so a request is made on a thread inside.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use crate::lab::Namespace;

const LIMIT: Duration = Duration::from_secs(5);

/// The body of a `200` answer; any other status is an error with the body in it.
pub fn get(netns: &Namespace, server: SocketAddr, path: &str) -> anyhow::Result<String> {
    netns.run(|| request(server, path))?.with_context(|| format!("GET http://{server}{path} in {}", netns.name()))
}

fn request(server: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split_whitespace().nth(1).context("an answer without a status")?;
    ensure!(status == "200", "status {status}: {body}");
    Ok(body.to_owned())
}

/// A server that answers every GET with the same page. It ends when dropped.
#[derive(Debug)]
pub struct PageServer {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    netns: Namespace,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl PageServer {
    /// Binds to `address` in the namespace and serves `page`.
    pub fn start(netns: &Namespace, address: SocketAddr, page: String) -> anyhow::Result<Self> {
        let listener = netns
            .run(|| TcpListener::bind(address))?
            .with_context(|| format!("bind to {address} in {}", netns.name()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = netns.spawn("page", move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::Acquire) {
                    return Ok(());
                }
                // One broken client is not the server's end.
                if let Err(error) = stream.and_then(|stream| serve(stream, &page)) {
                    tracing::debug!("a client of {address}: {error}");
                }
            }
            Ok(())
        })?;
        Ok(Self { stop, address, netns: netns.clone(), thread: Some(thread) })
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A connection wakes the thread from its wait.
        let woken = self.netns.run(|| TcpStream::connect_timeout(&self.address, LIMIT));
        match (woken, self.thread.take()) {
            (Ok(Ok(_)), Some(thread)) => drop(thread.join()),
            // Joining a thread that could not be woken would wait for ever; it ends with the process.
            (woken, _) => tracing::warn!("the page server on {} was not stopped: {woken:?}", self.address),
        }
    }
}

fn serve(mut stream: TcpStream, page: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut lines = BufReader::new(&stream).lines();
    // The head is read to its end: closing with unread bytes would reset the connection.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let length = page.len();
    let head = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(page.as_bytes())
}
