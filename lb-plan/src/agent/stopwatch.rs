//! How long failures take: from a node's last sign of life to the decision that it is dead (detection), and from the
//! decision to take an address to its first announcement (take-over). Pure.

use std::{collections::BTreeMap, time::Duration};

use super::table::{EntryKey, SegmentId};
use crate::ownership::Why;

/// A node that has been silent for longer was not what a take was about.
const OLD: Duration = Duration::from_secs(10);

/// Durations by upper bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many were at most as long as the bound of the same place.
    pub within: [u64; Self::BOUNDS.len()],
    /// How many there were.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

impl Durations {
    /// The bounds.
    pub const BOUNDS: [Duration; 11] = [
        Duration::from_millis(1),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(200),
        Duration::from_millis(300),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_secs(5),
    ];

    fn note(&mut self, took: Duration) {
        for (within, bound) in self.within.iter_mut().zip(Self::BOUNDS) {
            *within += u64::from(took <= bound);
        }
        self.count += 1;
        self.sum += took;
    }
}

/// What was measured, and what is being measured.
#[derive(Debug, Clone, Default)]
pub struct Stopwatch {
    /// When a node that is silent gave its last sign of life.
    silent: BTreeMap<(SegmentId, String), Duration>,
    /// When an address was taken that is not announced yet.
    taken: BTreeMap<EntryKey, Duration>,
    detection: Durations,
    takeover: Durations,
}

impl Stopwatch {
    /// A node went silent after this last sign of life.
    pub fn silent(&mut self, segment: SegmentId, node: &str, last_heard: Duration) {
        self.silent.insert((segment, node.to_owned()), last_heard);
    }

    /// It is there again, or nobody watches it any more.
    pub fn heard(&mut self, segment: SegmentId, node: &str) {
        self.silent.remove(&(segment, node.to_owned()));
    }

    /// An address was taken. The first that is taken from the silent measures their detection.
    pub fn took(&mut self, now: Duration, key: EntryKey, why: Why) {
        self.taken.insert(key, now);
        if why != Why::Silent {
            return;
        }
        let detection = &mut self.detection;
        self.silent.retain(|(segment, _), last_heard| {
            let is_here = *segment == key.segment;
            let took = now.saturating_sub(*last_heard);
            if is_here && took < OLD {
                detection.note(took);
            }
            !is_here
        });
    }

    /// It was let go before it was announced, or some time after.
    pub fn lost(&mut self, key: EntryKey) {
        self.taken.remove(&key);
    }

    /// A copy of its announcement was sent.
    pub fn announced(&mut self, now: Duration, key: EntryKey) {
        if let Some(taken) = self.taken.remove(&key) {
            self.takeover.note(now.saturating_sub(taken));
        }
    }

    /// From the last sign of life to the decision.
    pub const fn detection(&self) -> Durations {
        self.detection
    }

    /// From the decision to the first announcement.
    pub const fn takeover(&self) -> Durations {
        self.takeover
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentId = 2;

    fn key(last: u8) -> EntryKey {
        EntryKey { segment: SEGMENT, address: [192, 0, 2, last].into() }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn detection_runs_from_the_last_sign_of_life_to_the_first_take() {
        let mut watch = Stopwatch::default();
        watch.silent(SEGMENT, "a", millis(1_000));
        watch.took(millis(1_200), key(100), Why::Silent);
        watch.took(millis(1_201), key(101), Why::Silent);

        let detection = watch.detection();
        assert_eq!((detection.count, detection.sum), (1, millis(200)));
        assert_eq!(detection.within, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn who_came_back_who_is_elsewhere_and_who_was_dead_long_ago_is_not_measured() {
        let mut watch = Stopwatch::default();
        watch.silent(SEGMENT, "back", millis(90_000));
        watch.heard(SEGMENT, "back");
        watch.silent(SEGMENT + 1, "elsewhere", millis(99_900));
        watch.silent(SEGMENT, "long ago", millis(1_000));

        watch.took(millis(100_000), key(100), Why::Silent);

        assert_eq!(watch.detection().count, 0);
    }

    #[test]
    fn take_over_runs_from_the_decision_to_the_first_copy_whatever_the_reason() {
        let mut watch = Stopwatch::default();
        watch.took(millis(100), key(100), Why::AdminDown);
        watch.took(millis(100), key(101), Why::AdminDown);
        watch.lost(key(101));
        watch.announced(millis(104), key(100));
        watch.announced(millis(124), key(100));
        watch.announced(millis(200), key(101));

        assert_eq!((watch.takeover().count, watch.takeover().sum), (1, millis(4)));
        assert_eq!(watch.takeover().within[..3], [0, 1, 1]);
    }
}
