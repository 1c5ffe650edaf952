//! When to announce which address: a schedule with time as a value.
//!
//! Each newly held address is announced at 0, 20, 60 and 200 ms, then every 1.1 s up to 5 s. First copies of all
//! addresses go before any repeat, at most [`FIRSTS_PER_SECOND`] firsts and [`REPEATS_PER_SECOND`] repeats a second.
//!
//! A holder's refresh is one copy, and waits for both.
//!
//! A repeat that had to wait replaces those that became due meanwhile: with very many addresses each is still
//! repeated at least once, and the announcing ends.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// First copies a second: a switch and its stations must learn all addresses of a failed node quickly.
pub const FIRSTS_PER_SECOND: u32 = 10_000;
/// Repeats a second: they only help against loss.
pub const REPEATS_PER_SECOND: u32 = 1_000;

/// When copies are due, counted from the first one.
const OFFSETS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(60),
    Duration::from_millis(200),
    Duration::from_millis(1_300),
    Duration::from_millis(2_400),
    Duration::from_millis(3_500),
    Duration::from_millis(4_600),
];

/// How long unused permission to send may pile up: a sender that was kept busy for so long by what it has to do besides
/// loses nothing of the rate, and a station's receive ring holds the frames of one round.
const FIRSTS_BURST: Duration = Duration::from_millis(30);
/// The same for repeats.
const REPEATS_BURST: Duration = Duration::from_millis(10);

/// What is announced: an address, out of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Kernel index of the interface that sends.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
}

/// The schedule. All times are on one monotonic clock of the caller's choice.
#[derive(Debug, Default)]
pub struct Schedule {
    firsts: VecDeque<Target>,
    /// Ordered by due time.
    repeats: BTreeSet<(Duration, Target)>,
    running: BTreeMap<Target, Progress>,
    /// To be announced once, after the repeats.
    singles: BTreeSet<Target>,
    first_bucket: Bucket,
    repeat_bucket: Bucket,
}

#[derive(Debug, Clone, Copy)]
enum Progress {
    /// Waits for its first copy.
    Queued,
    /// The same, and that will be all.
    Only,
    /// The next copy is at `due`.
    Repeating { first_sent: Duration, due: Duration },
}

impl Schedule {
    /// Starts announcing `target` from the first copy. One that still waits for its first copy keeps its place.
    pub fn start(&mut self, target: Target) {
        self.singles.remove(&target);
        match self.running.insert(target, Progress::Queued) {
            Some(Progress::Queued | Progress::Only) => return,
            Some(Progress::Repeating { due, .. }) => drop(self.repeats.remove(&(due, target))),
            None => {}
        }
        self.firsts.push_back(target);
    }

    /// Announces `target` once, when there is time; not beside a whole series.
    pub fn once(&mut self, target: Target) {
        if !self.running.contains_key(&target) {
            self.singles.insert(target);
        }
    }

    /// Announces `target` no more, but for a first copy that still waits.
    pub fn hush(&mut self, target: Target) {
        match self.running.get_mut(&target) {
            Some(progress @ Progress::Queued) => *progress = Progress::Only,
            Some(Progress::Only) => {}
            Some(Progress::Repeating { .. }) | None => self.stop(target),
        }
    }

    /// Stops announcing `target`: the node does not hold it there any more.
    pub fn stop(&mut self, target: Target) {
        self.singles.remove(&target);
        match self.running.remove(&target) {
            Some(Progress::Queued | Progress::Only) => self.firsts.retain(|queued| *queued != target),
            Some(Progress::Repeating { due, .. }) => drop(self.repeats.remove(&(due, target))),
            None => {}
        }
    }

    /// Stops everything that `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(&Target) -> bool) {
        self.running.retain(|target, _| keep(target));
        self.singles.retain(&keep);
        self.firsts.retain(&keep);
        self.repeats.retain(|(_, target)| keep(target));
    }

    /// The copies to send at `now`.
    pub fn poll(&mut self, now: Duration) -> Vec<Target> {
        let mut due = Vec::new();
        self.first_bucket.refill(now, FIRSTS_PER_SECOND, FIRSTS_BURST);
        self.repeat_bucket.refill(now, REPEATS_PER_SECOND, REPEATS_BURST);
        while !self.firsts.is_empty() && self.first_bucket.take() {
            due.extend(self.firsts.pop_front());
        }
        for &target in &due {
            match self.running.get(&target) {
                Some(Progress::Only) => drop(self.running.remove(&target)),
                Some(Progress::Queued | Progress::Repeating { .. }) | None => self.repeat_after(now, now, target),
            }
        }
        while self.firsts.is_empty()
            && self.repeats.first().is_some_and(|(at, _)| *at <= now)
            && self.repeat_bucket.take()
        {
            let Some((_, target)) = self.repeats.pop_first() else { break };
            due.push(target);
            if let Some(Progress::Repeating { first_sent, .. }) = self.running.get(&target).copied() {
                self.repeat_after(first_sent, now, target);
            }
        }
        let repeats_wait = self.repeats.first().is_some_and(|(at, _)| *at <= now);
        while self.firsts.is_empty() && !repeats_wait && !self.singles.is_empty() && self.repeat_bucket.take() {
            due.extend(self.singles.pop_first());
        }
        due
    }

    /// When [`Self::poll`] has something to send again; `None` while nothing is announced.
    pub fn next(&self) -> Option<Duration> {
        if !self.firsts.is_empty() {
            return Some(self.first_bucket.ready_at(FIRSTS_PER_SECOND));
        }
        let single = (!self.singles.is_empty()).then_some(Duration::ZERO);
        let due = self.repeats.first().map(|(due, _)| *due).into_iter().chain(single).min()?;
        Some(due.max(self.repeat_bucket.ready_at(REPEATS_PER_SECOND)))
    }

    /// How many addresses are being announced.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether nothing is being announced.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && self.singles.is_empty()
    }

    /// Queues the first offset that is still ahead, or ends.
    fn repeat_after(&mut self, first_sent: Duration, now: Duration, target: Target) {
        match OFFSETS.iter().map(|offset| first_sent + *offset).find(|due| *due > now) {
            Some(due) => {
                self.running.insert(target, Progress::Repeating { first_sent, due });
                self.repeats.insert((due, target));
            }
            None => drop(self.running.remove(&target)),
        }
    }
}

/// A token bucket in whole copies.
#[derive(Debug, Default)]
struct Bucket {
    tokens: u32,
    /// Up to when permission has been handed out.
    filled_to: Duration,
}

impl Bucket {
    fn refill(&mut self, now: Duration, per_second: u32, burst: Duration) {
        let interval = Duration::from_secs(1) / per_second;
        self.filled_to = self.filled_to.max(now.saturating_sub(burst));
        let earned = now.saturating_sub(self.filled_to).as_nanos() / interval.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.filled_to += interval * earned;
        let most = u32::try_from(burst.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX).max(1);
        self.tokens = self.tokens.saturating_add(earned).min(most);
    }

    fn take(&mut self) -> bool {
        let had = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        had
    }

    fn ready_at(&self, per_second: u32) -> Duration {
        if self.tokens > 0 { Duration::ZERO } else { self.filled_to + Duration::from_secs(1) / per_second }
    }
}

#[cfg(test)]
mod tests;
