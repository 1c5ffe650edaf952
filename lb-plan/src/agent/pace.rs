//! How often this node writes its `LoadBalancerNode`.
//!
//! Others find this node by what it publishes: a changed hardware address is written at once. What only people read
//! waits, and all of it together is at most one write in [`EVERY`] in the long run. Pure.

use std::time::Duration;

/// Between two writes, in the long run.
pub const EVERY: Duration = Duration::from_secs(10);
/// So many of what others need may follow each other faster.
const BURST: u32 = 5;
/// But not faster than this.
const LEAST: Duration = Duration::from_millis(200);

/// How much a change matters to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// People read it.
    News,
    /// Others need it to reach this node, or to know it.
    Needed,
}

/// The writes so far (the virtual scheduling form of a leaky bucket, ITU-T I.371 annex A).
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    wrote_at: Option<Duration>,
    /// When the next write would be due if all came evenly.
    even: Duration,
}

impl Pace {
    /// When a change may be written.
    pub fn due(&self, urgency: Urgency) -> Duration {
        let Some(wrote_at) = self.wrote_at else { return Duration::ZERO };
        match urgency {
            Urgency::News => (wrote_at + EVERY).max(self.even),
            Urgency::Needed => (wrote_at + LEAST).max(self.even.saturating_sub(EVERY * (BURST - 1))),
        }
    }

    /// It is being written, with whatever outcome.
    pub fn wrote(&mut self, now: Duration) {
        self.wrote_at = Some(now);
        self.even = self.even.max(now) + EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// When each of these changes, which come at once, is written.
    fn writes(urgency: Urgency, count: usize) -> Vec<Duration> {
        let (mut pace, mut now) = (Pace::default(), millis(100_000));
        let mut at = Vec::new();
        for _ in 0..count {
            now = now.max(pace.due(urgency));
            pace.wrote(now);
            at.push(now - millis(100_000));
        }
        at
    }

    #[test]
    fn what_others_need_is_written_at_once_and_a_flapping_link_does_not_press_the_server() {
        let at = writes(Urgency::Needed, 7);

        assert_eq!(at[..5], [0, 200, 400, 600, 800].map(millis));
        assert_eq!(at[5..], [10_000, 20_000].map(millis));
    }

    #[test]
    fn what_people_read_is_written_every_ten_seconds() {
        assert_eq!(writes(Urgency::News, 3), [0, 10_000, 20_000].map(millis));
    }

    #[test]
    fn what_others_need_does_not_wait_for_what_people_read() {
        let mut pace = Pace::default();
        pace.wrote(millis(50_000));

        assert_eq!(pace.due(Urgency::Needed), millis(50_200));
        assert_eq!(pace.due(Urgency::News), millis(60_000));
    }
}
