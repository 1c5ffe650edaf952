//! What the program tells: who else speaks for an address of the table, as typed events.
//!
//! Events are hints: [`Events::lost`] says that some are missing, and then the agent asks again, or looks for itself
//! ([`super::tables::Tables::yields`]). The ring buffer is pinned, so a new agent reads what its predecessor left.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::Context;
use aya::maps::{MapData, PerCpuArray, RingBuf};
use lb_common::{
    event::{self, Budget, flag},
    lease::Nanos,
};
use lb_plan::agent::{EntryKey, Mac};
use tokio::io::{Interest, unix::AsyncFd};

pub(crate) use lb_common::event::Kind;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// When the frame was judged, on the clock of [`crate::clock::monotonic`].
    pub(crate) at: Duration,
    /// The address and its segment.
    pub(crate) key: EntryKey,
    /// The interface that the frame came in by.
    pub(crate) ifindex: u32,
    /// Whose frame it was.
    pub(crate) mac: Mac,
    pub(crate) kind: Kind,
    /// The frame was sent to this node alone.
    pub(crate) to_us: bool,
    /// It asked; otherwise it answered or announced.
    pub(crate) is_request: bool,
    /// It announced the address to everybody.
    pub(crate) is_announcement: bool,
    /// What the program did about it.
    pub(crate) reaction: Reaction,
    /// The generation of the entry by which the frame was judged. A claim against an older one is out of date.
    pub(crate) generation: u32,
    /// The epoch of that entry.
    pub(crate) epoch: u16,
}

/// What the program did about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing: the address was not answered, or not any more.
    None,
    /// It gave way: the entry does not answer any more, whatever its action says.
    Yielded,
    /// It did not give way, because the address was claimed a moment ago and our hardware address is the lower one.
    Kept,
}

/// Why bytes are no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it has {0} bytes")]
    Length(usize),
    #[error("its kind is {0}")]
    Kind(u8),
    #[error("its address family is {0}")]
    Family(u8),
}

/// The reader. There is one: what it has read is gone.
pub(crate) struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
    budgets: PerCpuArray<MapData, Budget>,
    lost: Lost,
}

/// How many events of each kind were not sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lost([u64; Kind::ALL.len()]);

impl Lost {
    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.0.get(kind as usize).copied().unwrap_or_default()
    }

    fn since(&self, before: &Self) -> Self {
        let mut lost = *self;
        lost.0.iter_mut().zip(before.0).for_each(|(lost, before)| *lost = lost.saturating_sub(before));
        lost
    }
}

impl Events {
    /// Watches the ring buffer. Needs a runtime.
    pub(crate) fn open(ring: RingBuf<MapData>, budgets: PerCpuArray<MapData, Budget>) -> anyhow::Result<Self> {
        // SAFETY: the ring buffer owns its descriptor, which stays the same and open until it is dropped.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        let mut events =
            Self { ring: ring.context("watch the kernel program's events")?, budgets, lost: Lost::default() };
        events.lost = events.total_lost()?;
        Ok(events)
    }

    /// The next event. Safe to cancel: nothing is lost.
    pub(crate) async fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.take() {
                return Ok(event);
            }
            let mut ready = self.ring.readable_mut().await?;
            // Readiness goes only when nothing is left: the kernel wakes nobody while there is something to read.
            if let Some(event) = take(ready.get_inner_mut()) {
                return Ok(event);
            }
            ready.clear_ready();
        }
    }

    /// What has come so far, without waiting: to be called before an address is answered again.
    pub(crate) fn take(&mut self) -> Option<Event> {
        take(self.ring.get_mut())
    }

    /// How many events were not sent since the last call: over their budget, or the ring buffer was full.
    pub(crate) fn lost(&mut self) -> anyhow::Result<Lost> {
        let total = self.total_lost()?;
        Ok(total.since(&std::mem::replace(&mut self.lost, total)))
    }

    fn total_lost(&self) -> anyhow::Result<Lost> {
        let mut total = Lost::default();
        for (lost, kind) in total.0.iter_mut().zip(Kind::ALL) {
            let budgets = self.budgets.get(&(kind as u32), 0).context("read how many events were lost")?;
            *lost = budgets.iter().map(|budget| budget.lost).sum();
        }
        Ok(total)
    }
}

/// The next event that is one; others are logged and skipped.
fn take(ring: &mut RingBuf<MapData>) -> Option<Event> {
    while let Some(item) = ring.next() {
        match Event::decode(&item) {
            Ok(event) => return Some(event),
            Err(error) => tracing::warn!("an event of the kernel program is not understood: {error}"),
        }
    }
    None
}

impl Event {
    /// Reads an event as it lies in the ring buffer.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let whole: &[u8; size_of::<event::Event>()] =
            bytes.try_into().map_err(|_wrong_length| Malformed::Length(bytes.len()))?;
        // SAFETY: the array has the length of an `Event`, and any bytes are one: `repr(C)`, integers only.
        let raw = unsafe { whole.as_ptr().cast::<event::Event>().read_unaligned() };
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == raw.kind).ok_or(Malformed::Kind(raw.kind))?;
        let has = |flag| raw.flags & flag != 0;
        Ok(Self {
            at: moment(raw.at),
            key: EntryKey { segment: raw.segment, address: address(&raw)? },
            ifindex: raw.ifindex,
            mac: raw.mac,
            kind,
            to_us: has(flag::TO_US),
            is_request: has(flag::REQUEST),
            is_announcement: has(flag::ANNOUNCEMENT),
            reaction: match (has(flag::YIELDED), has(flag::KEPT)) {
                (true, _) => Reaction::Yielded,
                (false, true) => Reaction::Kept,
                (false, false) => Reaction::None,
            },
            generation: raw.generation,
            epoch: raw.epoch,
        })
    }
}

fn address(raw: &event::Event) -> Result<IpAddr, Malformed> {
    match (raw.family, raw.address) {
        (4, [a, b, c, d, ..]) => Ok(Ipv4Addr::new(a, b, c, d).into()),
        (6, address) => Ok(Ipv6Addr::from(address).into()),
        (family, _) => Err(Malformed::Family(family)),
    }
}

fn moment(at: Nanos) -> Duration {
    Duration::from_nanos(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(event: &event::Event) -> Vec<u8> {
        // SAFETY: `repr(C)`, integers only, no padding (its size is asserted where it is declared).
        unsafe { std::slice::from_raw_parts((&raw const *event).cast::<u8>(), size_of::<event::Event>()) }.to_vec()
    }

    fn claim() -> event::Event {
        event::Event {
            at: 1_500_000_000,
            address: [192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            segment: 2,
            ifindex: 3,
            slot: 9,
            generation: 4,
            epoch: 7,
            mac: [2, 0, 0, 0, 0, 3],
            kind: Kind::Claim as u8,
            family: 4,
            flags: flag::ANNOUNCEMENT | flag::REQUEST | flag::YIELDED,
            pad: [0; 5],
        }
    }

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let expected = Event {
            at: Duration::from_millis(1_500),
            key: EntryKey { segment: 2, address: [192, 0, 2, 10].into() },
            ifindex: 3,
            mac: [2, 0, 0, 0, 0, 3],
            kind: Kind::Claim,
            to_us: false,
            is_request: true,
            is_announcement: true,
            reaction: Reaction::Yielded,
            generation: 4,
            epoch: 7,
        };

        assert_eq!(Event::decode(&bytes(&claim())), Ok(expected));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        assert_eq!(Event::decode(&bytes(&claim())[1..]), Err(Malformed::Length(55)));
        assert_eq!(Event::decode(&bytes(&event::Event { kind: 5, ..claim() })), Err(Malformed::Kind(5)));
        assert_eq!(Event::decode(&bytes(&event::Event { family: 0, ..claim() })), Err(Malformed::Family(0)));
    }
}
