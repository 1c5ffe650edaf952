//! Asks for addresses at a fixed rate over ARP and NDP, and records every answer with who gave it and when.
//!
//! **Which answer belongs to which question.** An ARP request carries no number. So each question in flight has an
//! asker of its own: one of 128 hardware addresses with one of 32 protocol addresses (`lane`), and an answer names
//! both. A pair comes again after 4,096 questions, over 4 s at 1,000/s: longer than the second in which an answer
//! counts. Neither set holds an address of the machine's, so the kernel's own neighbour traffic is never counted, and
//! the few protocol addresses keep a kernel that answers from filling its neighbour table.
//!
//! **Void.** A run that did not keep 95 in 100 of its rate, lost frames on the way to the recorder or saw the clock
//! jump says nothing, and [`Asker::finish`] fails. After a delay it catches up at most a tenth of a second.

mod lane;
mod record;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, ppoll};

use lane::Lane;
pub use record::{ANSWER_WITHIN, Record, Reply, Request, Stamp, View};

use crate::{lab::Namespace, packet_socket::wall_clock, urgent};

/// A clock step this small is a second of a slow adjustment, not a jump.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(20);

/// What to ask.
#[derive(Debug, Clone)]
pub struct Questions {
    /// Questions a second, for each family that has addresses.
    pub rate: u32,
    /// Addresses asked for in turn.
    pub addresses: Vec<IpAddr>,
    /// How many questions of each family to ask; `None` is until [`Asker::finish`].
    pub count: Option<u64>,
    /// Two askers on one segment have different numbers: it is part of their hardware addresses.
    pub station: u8,
    /// Whether its thread goes before everything else on the machine (SCHED_FIFO).
    pub urgent: bool,
}

impl Questions {
    /// 1,000 questions a second of each family, until told to end.
    pub fn steady(addresses: Vec<IpAddr>) -> Self {
        Self { rate: 1000, addresses, count: None, station: 0, urgent: false }
    }
}

/// A run in progress.
#[derive(Debug)]
pub struct Asker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<anyhow::Result<Record>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answers: AtomicU64,
}

impl Asker {
    /// Starts to ask from `interface` of a namespace.
    pub fn start(netns: &Namespace, interface: &str, questions: Questions) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (seen, interface) = (Arc::clone(&shared), interface.to_owned());
        let thread = netns.spawn("asker", move || {
            if questions.urgent {
                urgent::this_thread()?;
            }
            Run::open(&interface, &questions)?.run(&seen)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many answers came so far.
    pub fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::Acquire)
    }

    /// Asks no more, waits for the answers to what was asked, and returns the record; an error if the run is void.
    pub fn finish(self) -> anyhow::Result<Record> {
        self.shared.stop.store(true, Ordering::Release);
        let record = self.complete()?;
        record.check_rate()?;
        Ok(record)
    }

    /// Waits until the last of a number of questions is asked and its time is over. How fast does not matter.
    fn complete(mut self) -> anyhow::Result<Record> {
        let thread = self.thread.take().expect("taken here or in `drop` only");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Asks each address once and waits up to a second for the answer.
pub fn ask_once(netns: &Namespace, interface: &str, addresses: Vec<IpAddr>) -> anyhow::Result<Record> {
    let of = |v4: bool| addresses.iter().filter(|address| address.is_ipv4() == v4).count();
    let count = Some(u64::try_from(of(true).max(of(false)))?);
    Asker::start(netns, interface, Questions { rate: 500, count, ..Questions::steady(addresses) })?.complete()
}

struct Run {
    rate: u32,
    count: u64,
    lanes: Vec<Lane>,
    record: Record,
}

impl Run {
    fn open(interface: &str, questions: &Questions) -> anyhow::Result<Self> {
        let v4: Vec<Ipv4Addr> = questions.addresses.iter().filter_map(|address| as_v4(*address)).collect();
        let v6: Vec<Ipv6Addr> = questions.addresses.iter().filter_map(|address| as_v6(*address)).collect();
        let mut lanes = Vec::new();
        if !v4.is_empty() {
            lanes.push(Lane::arp(interface, questions.station, v4)?);
        }
        if !v6.is_empty() {
            lanes.push(Lane::ndp(interface, questions.station, v6)?);
        }
        anyhow::ensure!(!lanes.is_empty(), "there is no address to ask for");
        let record = Record::new(questions.rate, lanes.len(), Stamp::now()?);
        Ok(Self { rate: questions.rate, count: questions.count.unwrap_or(u64::MAX), lanes, record })
    }

    fn run(mut self, shared: &Shared) -> anyhow::Result<Record> {
        let (start, wall_start) = (Instant::now(), wall_clock()?);
        let (mut due, mut skipped) = (0_u64, 0_u64);
        while due < self.count && !shared.stop.load(Ordering::Acquire) {
            let now = self.due_at(start.elapsed());
            // What is owed for longer than a tenth of a second is lost to the rate, not sent in a burst.
            let owed = now.saturating_sub(due + skipped);
            skipped += owed.saturating_sub(u64::from(self.rate / 10).max(1));
            while due < self.count && due + skipped < now {
                self.lanes.iter_mut().try_for_each(|lane| lane.ask(&mut self.record))?;
                due += 1;
            }
            let next = Duration::from_secs(1).mul_f64((now + 1) as f64 / f64::from(self.rate));
            self.listen(next.saturating_sub(start.elapsed()), shared)?;
        }
        self.record.end(Stamp::now()?);
        let end = start.elapsed() + ANSWER_WITHIN;
        while start.elapsed() < end {
            self.listen(end.saturating_sub(start.elapsed()), shared)?;
        }
        for lane in &self.lanes {
            let drops = lane.drops()?;
            anyhow::ensure!(drops == 0, "the run is void: {drops} frames were lost on the way to the recorder");
        }
        let drift = (wall_clock()?.saturating_sub(wall_start)).abs_diff(start.elapsed());
        anyhow::ensure!(drift < CLOCK_TOLERANCE, "the run is void: the wall clock jumped by {drift:?}");
        Ok(self.record)
    }

    /// How many questions should have been asked by now.
    fn due_at(&self, elapsed: Duration) -> u64 {
        (elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000).try_into().unwrap_or(u64::MAX)
    }

    /// Takes what came, or waits for something for at most `limit`.
    fn listen(&mut self, limit: Duration, shared: &Shared) -> anyhow::Result<()> {
        let mut taken = 0;
        for lane in &mut self.lanes {
            taken += lane.take(&mut self.record)?;
        }
        if taken > 0 {
            shared.answers.fetch_add(taken, Ordering::Release);
            return Ok(());
        }
        let mut fds: Vec<_> = self.lanes.iter().map(|lane| PollFd::new(lane.as_fd(), PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, Some(limit.into()), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error).context("wait for answers"),
        }
    }
}

fn as_v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}

fn as_v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => Some(v6),
    }
}
