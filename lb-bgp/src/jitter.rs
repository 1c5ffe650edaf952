//! Small random numbers from a seed, so that peers do not act in step and tests always do.
//!
//! Must not: protect anything; an observer can predict it.
//! Spec: RFC 4271 §10 (a timer runs for 75 % to 100 % of its value).

use std::time::Duration;

/// A generator of random factors (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 75 % to 100 % of `duration`.
    pub(crate) fn apply(&mut self, duration: Duration) -> Duration {
        let share = 768 + u32::try_from(self.next() >> 56).unwrap_or(0); // 768 to 1023 of 1024
        duration / 1024 * share
    }

    /// A generator that goes its own way.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_runs_for_three_quarters_to_all_of_its_value() {
        let mut jitter = Jitter::new(7);
        let second = Duration::from_secs(1);
        let drawn: Vec<Duration> = (0..1000).map(|_| jitter.apply(second)).collect();
        let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(*least >= second.mul_f32(0.749) && *most <= second);
        assert!(*least < second.mul_f32(0.77) && *most > second.mul_f32(0.98), "{least:?} {most:?}");
    }
}
