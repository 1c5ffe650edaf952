//! The agent's side of the dead-man lease (`lb_common::lease`).
//!
//! The machine is pure; [`run`] is the one call that reaches the kernel. A lease is *held* from a take or a renewal
//! that the kernel confirmed. Once lost it is not renewed: the owner starts over with [`Keeper::epoch`] of the next
//! epoch, fills the table with it, and takes.

use anyhow::{Context, bail};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use lb_common::lease::{Latch, Millis, Nanos, Renewal, State, verdict};

/// What the agent knows of the latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The kernel confirmed this word, or it was adopted.
    Held { word: Latch },
    /// To be taken with this epoch once the table is filled.
    Starting { epoch: u16 },
}

/// What the kernel said to a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Renewed,
    Lost,
}

impl Keeper {
    /// From the word that stands in the map. One that is still held is adopted: a restart within the lease loses no
    /// answer.
    pub(crate) fn found(word: Latch, now: Nanos) -> Self {
        match word.state(now) {
            State::Held => Self::Held { word },
            State::Expired | State::Tripped => Self::Starting { epoch: next_epoch(word.epoch()) },
        }
    }

    /// The epoch that entries must have.
    pub(crate) const fn epoch(&self) -> u16 {
        match self {
            Self::Held { word } => word.epoch(),
            Self::Starting { epoch } => *epoch,
        }
    }

    /// Until when the kernel answers; 0 unless held.
    pub(crate) const fn deadline(&self) -> Millis {
        match self {
            Self::Held { word } => word.deadline(),
            Self::Starting { .. } => 0,
        }
    }

    pub(crate) const fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// What to ask the kernel for. `standing` is the word now in the map: a take replaces whatever stands there.
    pub(crate) fn renewal(&self, standing: Latch, deadline: Millis, suppress_until: Millis) -> Renewal {
        let expected = match self {
            Self::Held { word } => *word,
            Self::Starting { .. } => standing,
        };
        Renewal { expected: expected.0, wanted: Latch::new(self.epoch(), deadline).0, suppress_until }
    }

    /// Notes the kernel's word. A take that lost met a trip in the same moment: the next pass takes again.
    pub(crate) fn answered(&mut self, asked: &Renewal, verdict: Verdict) {
        *self = match (verdict, &self) {
            (Verdict::Renewed, _) => Self::Held { word: Latch(asked.wanted) },
            (Verdict::Lost, Self::Held { word }) => Self::Starting { epoch: next_epoch(word.epoch()) },
            (Verdict::Lost, Self::Starting { epoch }) => Self::Starting { epoch: *epoch },
        };
    }
}

/// 0 is the epoch of a map that nobody has taken yet.
fn next_epoch(epoch: u16) -> u16 {
    epoch.checked_add(1).unwrap_or(1)
}

/// Runs the renewal program once.
pub(crate) fn run(program: &Xdp, asked: &Renewal) -> anyhow::Result<Verdict> {
    let mut frame = [0; size_of::<Renewal>()];
    let words = [asked.expected, asked.wanted, asked.suppress_until];
    for (bytes, word) in frame.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_ne_bytes();
    }
    let mut out = [0; size_of::<Renewal>()];
    let options = TestRunOptions { data_in: Some(&frame), data_out: Some(&mut out), ..TestRunOptions::default() };
    match program.test_run(options).context("run the lease renewal")?.return_value {
        verdict::RENEWED => Ok(Verdict::Renewed),
        verdict::LOST => Ok(Verdict::Lost),
        other => bail!("the lease renewal returned {other}: the kernel program is of another version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_within_the_lease_goes_on_and_past_it_starts_a_new_epoch() {
        let word = Latch::new(7, 1_000);

        assert_eq!(Keeper::found(word, 1_000_000_000), Keeper::Held { word });
        assert_eq!(Keeper::found(word, 1_000_000_001), Keeper::Starting { epoch: 8 });
        assert_eq!(Keeper::found(word.tripped(), 10), Keeper::Starting { epoch: 8 });
        assert_eq!(Keeper::found(Latch::default(), 10), Keeper::Starting { epoch: 1 });
    }

    #[test]
    fn epoch_0_is_never_taken() {
        assert_eq!(Keeper::found(Latch::new(u16::MAX, 0), 10).epoch(), 1);
    }

    #[test]
    fn renewal_expects_the_confirmed_word_and_a_take_the_one_that_stands() {
        let (ours, standing) = (Latch::new(3, 500), Latch::new(3, 400));

        let renewal = Keeper::Held { word: ours }.renewal(standing, 900, 1_900);
        assert_eq!(renewal, Renewal { expected: ours.0, wanted: Latch::new(3, 900).0, suppress_until: 1_900 });
        let take = Keeper::Starting { epoch: 4 }.renewal(standing, 900, 1_900);
        assert_eq!(take, Renewal { expected: standing.0, wanted: Latch::new(4, 900).0, suppress_until: 1_900 });
    }

    #[test]
    fn lost_lease_starts_over_once_and_a_lost_take_keeps_its_epoch() {
        let mut keeper = Keeper::Held { word: Latch::new(3, 500) };
        let asked = keeper.renewal(Latch::default(), 900, 0);

        keeper.answered(&asked, Verdict::Lost);
        assert_eq!(keeper, Keeper::Starting { epoch: 4 });
        keeper.answered(&asked, Verdict::Lost);
        assert_eq!(keeper, Keeper::Starting { epoch: 4 });
        let asked = keeper.renewal(Latch::new(3, 0), 1_500, 0);
        keeper.answered(&asked, Verdict::Renewed);
        assert_eq!(keeper, Keeper::Held { word: Latch::new(4, 1_500) });
    }
}
