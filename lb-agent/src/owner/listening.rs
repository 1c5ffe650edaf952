//! Whether anybody speaks on each segment, from the receive counters of its interfaces.
//!
//! Where peers are watched and none is Up, they alone say whether this node hears anything at all, so they are read
//! closely, from the moment at which the last one went: a take-over must not wait for the next slow look. What came
//! before that moment may have been the peer's last word, and says nothing about what is heard since.
//!
//! Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lb_bfd::initiator::Reading;
use lb_plan::agent::{SegmentId, Station};

use crate::liveness::Readings;

/// How often the counters are read while some peer answers wherever one is watched.
const SLOWLY: Duration = Duration::from_secs(1);
/// The same while there is a segment on which none does.
const CLOSELY: Duration = Duration::from_millis(100);
/// The first time after the last peer went: before it has been asked to the end.
const SOON: Duration = Duration::from_millis(40);

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Listening {
    frames: BTreeMap<String, u64>,
    next_at: Duration,
    unanswered: BTreeSet<SegmentId>,
    /// Of these, the ones of which nothing has been read yet.
    fresh: BTreeSet<SegmentId>,
}

impl Listening {
    /// When the counters have to be read.
    pub(super) fn next(&self) -> Duration {
        self.next_at
    }

    /// Which peers answer now.
    pub(super) fn answered(&mut self, now: Duration, readings: &Readings) {
        let unanswered = unanswered(readings);
        self.fresh.retain(|segment| unanswered.contains(segment));
        self.fresh.extend(unanswered.difference(&self.unanswered));
        self.unanswered = unanswered;
        if !self.fresh.is_empty() {
            self.next_at = now;
        }
    }

    /// The counters have been read: on which segments somebody was heard since the last time.
    pub(super) fn read(
        &mut self,
        now: Duration,
        frames: BTreeMap<String, u64>,
        stations: &[Station],
    ) -> BTreeSet<SegmentId> {
        let moved = |station: &&Station| {
            let before = self.frames.get(&station.name);
            station.running && before.is_some() && frames.get(&station.name) > before
        };
        let heard = stations.iter().filter(moved).map(|station| station.segment);
        let heard = heard.filter(|segment| !self.fresh.contains(segment)).collect();
        let wait = match () {
            () if !self.fresh.is_empty() => SOON,
            () if !self.unanswered.is_empty() => CLOSELY,
            () => SLOWLY,
        };
        self.next_at = now + wait;
        self.fresh.clear();
        self.frames = frames;
        heard
    }

    /// They could not be read.
    pub(super) fn failed(&mut self, now: Duration) {
        self.next_at = now + CLOSELY;
    }
}

/// The segments on which peers are watched and none is Up.
fn unanswered(readings: &Readings) -> BTreeSet<SegmentId> {
    let answered: BTreeSet<SegmentId> =
        readings.iter().filter(|(_, reading)| **reading == Reading::Up).map(|((segment, _), _)| *segment).collect();
    readings.keys().map(|(segment, _)| *segment).filter(|segment| !answered.contains(segment)).collect()
}

#[cfg(test)]
mod tests {
    use lb_plan::agent::Role;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn stations() -> [Station; 2] {
        [1, 2].map(|index| Station {
            index,
            name: format!("eth{index}"),
            mac: [2; 6],
            segment: index,
            role: Role::Holds,
            running: true,
            link_local: None,
        })
    }

    fn frames(counts: [u64; 2]) -> BTreeMap<String, u64> {
        [("eth1".to_owned(), counts[0]), ("eth2".to_owned(), counts[1])].into()
    }

    fn readings(of: [(SegmentId, Reading); 3]) -> Readings {
        of.into_iter().zip(["a", "b", "c"]).map(|((segment, is), name)| ((segment, name.to_owned()), is)).collect()
    }

    #[test]
    fn one_segment_without_an_answer_is_read_closely_whatever_answers_on_another() {
        let mut listening = Listening::default();
        listening.answered(NOW, &readings([(1, Reading::Up), (1, Reading::Down), (2, Reading::Up)]));
        listening.read(NOW, frames([1, 1]), &stations());
        assert_eq!(listening.next(), NOW + SLOWLY);

        let later = NOW + Duration::from_millis(300);
        listening.answered(later, &readings([(1, Reading::Up), (1, Reading::Down), (2, Reading::Down)]));
        assert_eq!(listening.next(), later, "at once, and not with the next slow look");
        listening.read(later, frames([1, 1]), &stations());
        assert_eq!(listening.next(), later + SOON);
        listening.read(later + SOON, frames([1, 1]), &stations());
        assert_eq!(listening.next(), later + SOON + CLOSELY);
    }

    #[test]
    fn what_came_before_the_last_peer_went_is_not_heard_since() {
        let mut listening = Listening::default();
        listening.read(NOW, frames([1, 1]), &stations());
        listening.answered(NOW, &readings([(1, Reading::Up), (1, Reading::Down), (2, Reading::Down)]));

        assert_eq!(listening.read(NOW, frames([9, 9]), &stations()), [1].into());
        assert_eq!(listening.read(NOW + SOON, frames([9, 10]), &stations()), [2].into());
    }

    #[test]
    fn where_nobody_is_watched_nothing_is_read_closely() {
        let mut listening = Listening::default();
        listening.answered(NOW, &Readings::new());
        listening.read(NOW, frames([1, 1]), &stations());

        assert_eq!(listening.next(), NOW + SLOWLY);
    }
}
