//! Requests over new connections at a fixed pace, each with its fate: what a user of the address sees.
//!
//! A connection whose first packet is lost has failed: the kernel's second attempt after a second is not waited for.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use lb_tests::lab::Host;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

/// Shorter than the second after which a lost SYN is sent again.
const LOST: Duration = Duration::from_millis(800);
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// One request.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When its connection was begun.
    pub began: Instant,
    /// When its fate was known.
    pub ended: Instant,
    /// The node that answered, or what went wrong.
    pub answer: Result<String, Failure>,
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection.
    NotConnected(String),
    /// There was one, and it ended or went silent.
    Cut(String),
}

/// Requests that go on. Dropped, they end.
#[derive(Debug)]
pub struct Traffic {
    stop: Option<oneshot::Sender<()>>,
    seen: Arc<Mutex<Vec<Attempt>>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Traffic {
    /// A request every `pace` from a host to an address.
    pub fn start(client: &Host, to: SocketAddr, pace: Duration) -> anyhow::Result<Self> {
        let (stop, mut stopped) = oneshot::channel::<()>();
        let seen = Arc::<Mutex<Vec<Attempt>>>::default();
        let record = Arc::clone(&seen);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut attempts = tokio::task::JoinSet::new();
                let mut ticks = tokio::time::interval(pace);
                // A late thread does not make up for it by a burst.
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        _ = &mut stopped => break,
                        _ = ticks.tick() => drop(attempts.spawn(attempt(to, Arc::clone(&record)))),
                        Some(_) = attempts.join_next() => {}
                    }
                }
                while attempts.join_next().await.is_some() {}
            });
            Ok(())
        };
        let thread = client.netns.spawn("traffic", work)?;
        Ok(Self { stop: Some(stop), seen, thread: Some(thread) })
    }

    /// Requests whose fate is known, from the one that began at `since`.
    pub fn since(&self, since: Instant) -> Vec<Attempt> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|attempt| attempt.began >= since).cloned().collect()
    }

    /// Ends it: every request in the order of their beginnings.
    pub fn finish(mut self) -> anyhow::Result<Vec<Attempt>> {
        self.end()?;
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.sort_by_key(|attempt| attempt.began);
        Ok(seen)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself; its result says why.
            stop.send(()).ok();
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => bail!("the thread of the traffic panicked"),
            None => Ok(()),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // Dropped before its end, by a failure that says more.
        drop(self.end());
    }
}

/// The nodes that answered.
pub fn answered(attempts: &[Attempt]) -> BTreeSet<String> {
    attempts.iter().filter_map(|attempt| attempt.answer.clone().ok()).collect()
}

/// What went wrong.
pub fn failures(attempts: &[Attempt]) -> Vec<&Attempt> {
    attempts.iter().filter(|attempt| attempt.answer.is_err()).collect()
}

/// Connections that are open and have asked nothing yet.
#[derive(Debug)]
pub struct Waiting(Vec<std::net::TcpStream>);

impl Waiting {
    /// Opens so many.
    pub fn open(client: &Host, to: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let open = || (0..count).map(|_| std::net::TcpStream::connect_timeout(&to, LOST)).collect::<Result<_, _>>();
        Ok(Self(client.netns.run(open)?.with_context(|| format!("open connections to {to}"))?))
    }

    /// Asks on each: how many are answered.
    pub fn ask(self) -> usize {
        let ask = |mut stream: std::net::TcpStream| -> std::io::Result<bool> {
            use std::io::{Read as _, Write as _};
            stream.set_read_timeout(Some(LOST))?;
            stream.write_all(REQUEST)?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text.contains("200 OK"))
        };
        self.0.into_iter().filter_map(|stream| ask(stream).ok()).filter(|answered| *answered).count()
    }
}

async fn attempt(to: SocketAddr, record: Arc<Mutex<Vec<Attempt>>>) {
    let began = Instant::now();
    let answer = match in_time(async { Ok(TcpStream::connect(to).await?) }).await {
        Ok(stream) => in_time(fetch(stream)).await.map_err(Failure::Cut),
        Err(error) => Err(Failure::NotConnected(error)),
    };
    let attempt = Attempt { began, ended: Instant::now(), answer };
    record.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
}

async fn in_time<T>(step: impl Future<Output = anyhow::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(LOST, step).await {
        Ok(done) => done.map_err(|error| format!("{error:#}")),
        Err(_) => Err("silence".to_owned()),
    }
}

async fn fetch(mut stream: TcpStream) -> anyhow::Result<String> {
    stream.write_all(REQUEST).await.context("ask")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.context("read")?;
    let (_, page) = text.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    Ok(page.to_owned())
}
