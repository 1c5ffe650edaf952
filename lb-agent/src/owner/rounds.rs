//! Which entries are looked up when for what gave way to a claim.
//!
//! All at once while events are being lost. Else by and by, each once in [`AUDIT`]: to look up 10,000 at once takes
//! 5 ms, and a change that comes meanwhile would wait for it.
//!
//! Pure.

use std::{ops::Bound, time::Duration};

use lb_plan::agent::EntryKey;

use super::AUDIT;
use crate::xdp::tables::Look;

/// Between two times that all are looked up.
const AGAIN: Duration = Duration::from_millis(100);
/// How many are looked up at a time.
const SHARE: usize = 250;

/// Where the rounds are.
#[derive(Debug)]
pub(super) struct Rounds {
    /// When all are looked up, if they are to be.
    all_at: Option<Duration>,
    /// The last time that they were.
    all_were_at: Option<Duration>,
    share_at: Duration,
    behind: Bound<EntryKey>,
}

impl Default for Rounds {
    /// Begins with all.
    fn default() -> Self {
        Self { all_at: Some(Duration::ZERO), all_were_at: None, share_at: Duration::ZERO, behind: Bound::Unbounded }
    }
}

impl Rounds {
    /// An event is missing, or an entry could not be read.
    pub(super) fn all_again(&mut self, now: Duration) {
        let soonest = self.all_were_at.map_or(now, |last| last + AGAIN);
        self.all_at = Some(self.all_at.unwrap_or(soonest).min(soonest));
    }

    /// What is to be looked up now.
    pub(super) fn due(&self, now: Duration) -> Option<Look> {
        if self.all_at.is_some_and(|at| now >= at) {
            return Some(Look::ALL);
        }
        (now >= self.share_at).then_some(Look { behind: self.behind, most: SHARE })
    }

    /// A look is done; its `last` entry, if there was one, of `entries` in all.
    pub(super) fn done(&mut self, now: Duration, look: Look, last: Option<EntryKey>, entries: usize) {
        if look == Look::ALL {
            (self.all_at, self.all_were_at) = (None, Some(now));
            self.share_at = now + AUDIT;
            self.behind = Bound::Unbounded;
            return;
        }
        self.behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        let shares = u32::try_from(entries.div_ceil(SHARE)).unwrap_or(u32::MAX).max(1);
        self.share_at = now + AUDIT / shares;
    }

    /// When something is due.
    pub(super) fn next(&self) -> Duration {
        self.all_at.map_or(self.share_at, |at| at.min(self.share_at))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::Ipv4Addr};

    use super::*;

    /// Looks up what is due until `end`, and says when each entry was.
    fn drive(
        rounds: &mut Rounds,
        entries: &[EntryKey],
        from: Duration,
        end: Duration,
    ) -> BTreeMap<EntryKey, Vec<Duration>> {
        let mut seen: BTreeMap<EntryKey, Vec<Duration>> = BTreeMap::new();
        let mut now = from;
        while now < end {
            if let Some(look) = rounds.due(now) {
                let behind = entries.iter().filter(|key| match look.behind {
                    Bound::Excluded(last) => **key > last,
                    Bound::Included(first) => **key >= first,
                    Bound::Unbounded => true,
                });
                let looked: Vec<EntryKey> = behind.take(look.most).copied().collect();
                looked.iter().for_each(|key| seen.entry(*key).or_default().push(now));
                rounds.done(now, look, looked.last().copied(), entries.len());
            }
            now = rounds.next().max(now + Duration::from_millis(1));
        }
        seen
    }

    fn entries(count: u32) -> Vec<EntryKey> {
        (0..count).map(|bits| EntryKey { segment: 1, address: Ipv4Addr::from_bits(bits).into() }).collect()
    }

    #[test]
    fn all_are_looked_up_first_and_each_at_least_once_a_round_and_a_bit_after() {
        for count in [0, 1, 249, 250, 251, 999, 10_000] {
            let all = entries(count);
            let mut rounds = Rounds::default();

            let seen = drive(&mut rounds, &all, Duration::ZERO, 5 * AUDIT);

            assert_eq!(seen.len(), all.len(), "{count}");
            for times in seen.values() {
                assert_eq!(times[0], Duration::ZERO);
                let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
                assert!(gaps.max().is_some_and(|gap| gap <= 2 * AUDIT + AUDIT / 2), "{count}: {times:?}");
            }
        }
    }

    #[test]
    fn a_share_is_small() {
        let mut rounds = Rounds::default();
        rounds.done(Duration::ZERO, Look::ALL, None, 10_000);

        assert_eq!(rounds.due(AUDIT - Duration::from_millis(1)), None);
        assert_eq!(rounds.due(AUDIT), Some(Look { behind: Bound::Unbounded, most: SHARE }));
    }

    #[test]
    fn while_events_are_lost_all_are_looked_up_ten_times_a_second() {
        let mut rounds = Rounds::default();
        let mut looks = 0;
        for millis in 0..1000 {
            let now = Duration::from_millis(millis);
            rounds.all_again(now);
            if let Some(look) = rounds.due(now) {
                assert_eq!(look, Look::ALL);
                rounds.done(now, look, None, 10_000);
                looks += 1;
            }
        }
        assert_eq!(looks, 10);
    }
}
