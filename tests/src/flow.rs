//! What an unmodified client has of an address: a UDP flow and a TCP stream that are answered, and new connections that
//! come about. The client's kernel keeps its neighbour entry warm and has nothing but announcements to follow.
//!
//! The server is a station behind the nodes ([`Backend`]): a node forwards to it and translates nothing, so that a stream
//! does not end with the node that it went through.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{lab::Namespace, wait};

/// Port of the server.
const PORT: u16 = 7;
/// Between two questions of a flow.
const EVERY: Duration = Duration::from_millis(5);
/// A new connection that takes longer has failed.
const CONNECT: Duration = Duration::from_secs(1);
/// How soon a thread notices that it should end.
const NOTICE: Duration = Duration::from_millis(20);

/// What a flow is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A datagram every 5 ms, each sent back.
    Udp,
    /// A byte every 5 ms on one connection, each sent back.
    Tcp,
    /// A new connection every 10 ms, with a byte sent back.
    Connect,
}

/// What came of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flowed {
    /// Questions, or connections tried.
    pub asked: usize,
    /// Of these answered.
    pub answered: usize,
    /// The longest time between two answers.
    pub gap: Duration,
    /// The stream was reset or closed.
    pub broken: bool,
}

/// A flow in progress.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Flowed>>,
}

impl Flow {
    /// Starts a flow from a namespace to a server's address, and waits for nothing.
    pub fn start(client: &Namespace, address: IpAddr, kind: Kind) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, server) = (Arc::clone(&stop), SocketAddr::new(address, PORT));
        let thread = client.spawn("flow", move || {
            match kind {
                Kind::Udp => udp(server, &seen),
                Kind::Tcp => tcp(server, &seen),
                Kind::Connect => connect(server, &seen),
            }
            .with_context(|| format!("the {kind:?} flow to {server}"))
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it, and says how it went.
    pub fn finish(self) -> anyhow::Result<Flowed> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().ok().context("a flow's thread has panicked")?
    }
}

/// A server of both protocols on one address. It ends when dropped.
#[derive(Debug)]
pub struct Backend {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Backend {
    /// Serves an address from a namespace in which it is local.
    pub fn start(netns: &Namespace, address: IpAddr) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let at = SocketAddr::new(address, PORT);
        let (datagrams, streams) = netns
            .run(|| Ok::<_, io::Error>((UdpSocket::bind(at)?, TcpListener::bind(at)?)))?
            .with_context(|| format!("serve {at}"))?;
        datagrams.set_read_timeout(Some(NOTICE))?;
        streams.set_nonblocking(true)?;
        let (seen, other) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            netns.spawn("datagrams", move || echo_datagrams(&datagrams, &seen))?,
            netns.spawn("streams", move || echo_streams(&streams, &other))?,
        ];
        Ok(Self { stop, threads })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Measures from answer to answer.
struct Meter {
    flowed: Flowed,
    last: Option<Instant>,
}

impl Meter {
    fn new() -> Self {
        Self { flowed: Flowed::default(), last: None }
    }

    fn answered(&mut self) {
        let now = Instant::now();
        self.flowed.answered += 1;
        self.flowed.gap = self.flowed.gap.max(self.last.map_or(Duration::ZERO, |last| now - last));
        self.last = Some(now);
    }

    /// Silence up to the end is a gap, too.
    fn end(mut self) -> Flowed {
        self.flowed.gap = self.flowed.gap.max(self.last.map_or(Duration::MAX, |last| last.elapsed()));
        self.flowed
    }
}

fn udp(server: SocketAddr, stop: &AtomicBool) -> anyhow::Result<Flowed> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    let mut meter = Meter::new();
    let mut buffer = [0; 8];
    let started = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let due = EVERY * u32::try_from(meter.flowed.asked)?;
        if started.elapsed() >= due {
            meter.flowed.asked += 1;
            // A route or a neighbour may be missing for a moment: then this one is lost.
            drop(socket.send(&[0; 8]));
        }
        let left = (due + EVERY).saturating_sub(started.elapsed()).max(Duration::from_micros(100));
        socket.set_read_timeout(Some(left))?;
        if socket.recv(&mut buffer).is_ok() {
            meter.answered();
        }
    }
    Ok(meter.end())
}

fn tcp(server: SocketAddr, stop: &AtomicBool) -> anyhow::Result<Flowed> {
    let mut stream = TcpStream::connect_timeout(&server, CONNECT)?;
    stream.set_nodelay(true)?;
    let mut meter = Meter::new();
    let mut byte = [0];
    while !stop.load(Ordering::Acquire) {
        meter.flowed.asked += 1;
        if stream.write_all(&[0]).is_err() {
            meter.flowed.broken = true;
            break;
        }
        stream.set_read_timeout(Some(NOTICE))?;
        loop {
            match stream.read(&mut byte) {
                Ok(1..) => meter.answered(),
                Err(error) if is_pause(&error) && !stop.load(Ordering::Acquire) => continue,
                Err(error) if is_pause(&error) => {}
                Ok(0) | Err(_) => meter.flowed.broken = true,
            }
            break;
        }
        if meter.flowed.broken {
            break;
        }
        wait::observe(EVERY);
    }
    Ok(meter.end())
}

fn connect(server: SocketAddr, stop: &AtomicBool) -> anyhow::Result<Flowed> {
    let mut meter = Meter::new();
    while !stop.load(Ordering::Acquire) {
        meter.flowed.asked += 1;
        if once(server).is_ok() {
            meter.answered();
        }
        wait::observe(EVERY * 2);
    }
    Ok(meter.end())
}

fn once(server: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, CONNECT)?;
    stream.set_read_timeout(Some(CONNECT))?;
    stream.write_all(&[0])?;
    stream.read_exact(&mut [0])
}

fn echo_datagrams(socket: &UdpSocket, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut buffer = [0; 64];
    while !stop.load(Ordering::Acquire) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // Who asked asks again.
            drop(socket.send_to(&buffer[..length], from));
        }
    }
    Ok(())
}

/// One thread for all streams: each is looked at every few milliseconds.
fn echo_streams(listener: &TcpListener, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut streams: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::Acquire) {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        streams.retain_mut(echo);
        wait::observe(Duration::from_millis(1));
    }
    Ok(())
}

/// Sends back what is there, and says whether the stream goes on.
fn echo(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 64];
    match stream.read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => stream.write_all(&buffer[..length]).is_ok(),
        Err(error) => is_pause(&error),
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
