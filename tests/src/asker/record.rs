//! What was asked, what was answered, and what that says.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    ops::{Range, Sub},
    time::Duration,
};

use anyhow::ensure;

use crate::{mac::Mac, packet_socket::wall_clock};

/// A request without a reply for this long is unanswered.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The least share of its rate that a run must have kept, in percent.
const KEPT: u128 = 95;

/// A moment on the clock that the kernel stamps frames with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp(pub(crate) Duration);

impl Stamp {
    /// Later than everything.
    pub(crate) const END: Self = Self(Duration::MAX);

    /// Now.
    pub fn now() -> anyhow::Result<Self> {
        Ok(Self(wall_clock()?))
    }

    /// This much later.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0 + span)
    }

    /// This much earlier.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }

    /// The moment `to` of another clock that shows `now` at this moment.
    pub(crate) fn moved(self, to: Duration, now: Duration) -> Self {
        if to >= now { self.after(to - now) } else { self.before(now - to) }
    }
}

impl Sub for Stamp {
    type Output = Duration;

    /// The time between the two, whichever came first.
    fn sub(self, other: Self) -> Duration {
        self.0.abs_diff(other.0)
    }
}

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// When it arrived.
    pub at: Stamp,
    /// Whom it names for the address.
    pub mac: Mac,
}

/// One question with all answers to it.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it was sent.
    pub at: Stamp,
    /// What was asked for.
    pub address: IpAddr,
    /// In the order of their arrival.
    pub replies: Vec<Reply>,
}

impl Request {
    /// The first reply, if it came in time.
    pub fn reply(&self) -> Option<Reply> {
        self.replies.first().copied().filter(|reply| reply.at - self.at <= ANSWER_WITHIN)
    }
}

/// A whole run.
#[derive(Debug)]
pub struct Record {
    rate: u32,
    families: usize,
    start: Stamp,
    end: Stamp,
    requests: Vec<Request>,
    strays: Vec<(IpAddr, Reply)>,
}

/// The requests sent in a span of time.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    requests: &'a [Request],
}

impl Record {
    pub(super) fn new(rate: u32, families: usize, start: Stamp) -> Self {
        Self { rate, families, start, end: start, requests: Vec::new(), strays: Vec::new() }
    }

    pub(super) fn asked(&mut self, address: IpAddr, at: Stamp) -> usize {
        self.requests.push(Request { at, address, replies: Vec::new() });
        self.requests.len() - 1
    }

    pub(super) fn answered(&mut self, question: Option<usize>, address: IpAddr, reply: Reply) {
        match question.and_then(|index| self.requests.get_mut(index)).filter(|request| request.address == address) {
            Some(request) => request.replies.push(reply),
            None => self.strays.push((address, reply)),
        }
    }

    pub(super) fn end(&mut self, at: Stamp) {
        self.end = at;
    }

    /// A run that did not ask as often as it says is void.
    pub(super) fn check_rate(&self) -> anyhow::Result<()> {
        let span = self.end - self.start;
        let wanted = span.as_millis() * u128::from(self.rate) / 1000 * self.families as u128;
        let sent = self.requests.len() as u128;
        ensure!(
            sent * 100 >= wanted * KEPT,
            "the run is void: {sent} of {wanted} requests sent in {span:?}, under {KEPT} %"
        );
        Ok(())
    }

    /// Everything that was asked.
    pub fn all(&self) -> View<'_> {
        View { requests: &self.requests }
    }

    /// What was asked in `span`.
    pub fn between(&self, span: Range<Stamp>) -> View<'_> {
        let first = self.requests.partition_point(|request| request.at < span.start);
        let last = self.requests.partition_point(|request| request.at < span.end);
        View { requests: &self.requests[first..last.max(first)] }
    }

    /// What was asked from `start` on.
    pub fn since(&self, start: Stamp) -> View<'_> {
        self.between(start..self.end.after(ANSWER_WITHIN))
    }

    /// Answers to a question that its asker did not have in flight. None are expected, ever.
    pub fn strays(&self) -> &[(IpAddr, Reply)] {
        &self.strays
    }

    /// The first reply that arrived from `start` on.
    pub fn first_reply_since(&self, start: Stamp) -> Option<Reply> {
        let replies = self.requests.iter().flat_map(|request| &request.replies);
        replies.filter(|reply| reply.at >= start).min_by_key(|reply| reply.at).copied()
    }
}

impl<'a> View<'a> {
    /// The requests.
    pub fn requests(self) -> &'a [Request] {
        self.requests
    }

    /// How many were sent.
    pub fn sent(self) -> usize {
        self.requests.len()
    }

    /// How many got no reply within a second.
    pub fn unanswered(self) -> usize {
        self.requests.iter().filter(|request| request.reply().is_none()).count()
    }

    /// How many got any reply at all, however late.
    pub fn answered(self) -> usize {
        self.requests.iter().filter(|request| !request.replies.is_empty()).count()
    }

    /// Only requests for one address.
    pub fn of(self, address: IpAddr) -> impl Iterator<Item = &'a Request> {
        self.requests.iter().filter(move |request| request.address == address)
    }

    /// How many replies each hardware address was named in, by address asked for.
    pub fn holders(self) -> BTreeMap<IpAddr, BTreeMap<Mac, usize>> {
        let mut holders: BTreeMap<IpAddr, BTreeMap<Mac, usize>> = BTreeMap::new();
        for request in self.requests {
            let macs = holders.entry(request.address).or_default();
            for reply in &request.replies {
                *macs.entry(reply.mac).or_default() += 1;
            }
        }
        holders
    }

    /// How many requests got more than one reply.
    pub fn answered_twice(self) -> usize {
        self.requests.iter().filter(|request| request.replies.len() > 1).count()
    }

    /// The time within which `percent` in 100 of the answered requests were answered.
    pub fn answer_time(self, percent: usize) -> Option<Duration> {
        let mut times: Vec<_> = self.requests.iter().filter_map(|r| Some(r.reply()?.at - r.at)).collect();
        times.sort_unstable();
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 100));

    fn at(ms: u64) -> Stamp {
        Stamp(Duration::from_millis(ms))
    }

    fn reply(ms: u64) -> Reply {
        Reply { at: at(ms), mac: Mac([2, 0, 0, 0, 0, 1]) }
    }

    #[test]
    fn a_reply_after_a_second_leaves_its_request_unanswered_but_seen() {
        let mut record = Record::new(1, 1, at(0));
        let question = record.asked(VIP, at(0));
        record.answered(Some(question), VIP, reply(1001));
        assert_eq!((record.all().unanswered(), record.all().answered()), (1, 1));
    }

    #[test]
    fn a_run_under_95_percent_of_its_rate_is_void() {
        let mut record = Record::new(100, 1, at(0));
        for n in 0..94 {
            record.asked(VIP, at(n * 10));
        }
        record.end(at(1000));
        assert!(record.check_rate().is_err());
        record.asked(VIP, at(999));
        assert!(record.check_rate().is_ok());
    }

    #[test]
    fn a_reply_for_another_address_than_asked_is_a_stray() {
        let mut record = Record::new(1, 1, at(0));
        let question = record.asked(VIP, at(0));
        record.answered(Some(question), "192.0.2.101".parse().unwrap(), reply(1));
        assert_eq!((record.strays().len(), record.all().answered()), (1, 0));
    }

    #[test]
    fn a_span_holds_what_was_sent_in_it() {
        let mut record = Record::new(1, 1, at(0));
        for ms in [10, 20, 30, 40] {
            record.asked(VIP, at(ms));
        }
        record.end(at(50));
        assert_eq!((record.between(at(20)..at(40)).sent(), record.since(at(40)).sent()), (2, 1));
    }
}
