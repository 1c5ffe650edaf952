//! Intervals that do not beat in time (RFC 5880 §6.8.7).
//!
//! The generator is SplitMix64: enough to spread packets, and nothing that has to be hard to guess comes from it.

use std::time::Duration;

/// A seeded source of intervals.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// See [`shorten`].
    pub(crate) fn apply(&mut self, interval: Duration, detect_mult: u8) -> Duration {
        shorten(interval, detect_mult, self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// 75 to 100 % of `interval`; 75 to 90 % if a single missed packet is one too many. `random` is any number.
pub(crate) fn shorten(interval: Duration, detect_mult: u8, random: u64) -> Duration {
    let range = if detect_mult == 1 { 15 } else { 25 };
    let span = nanos(interval) / 100 * range;
    least(interval) + Duration::from_nanos(random % (span + 1))
}

/// What every interval lasts at least.
pub(crate) fn least(interval: Duration) -> Duration {
    Duration::from_nanos(nanos(interval) / 100 * 75)
}

fn nanos(interval: Duration) -> u64 {
    u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(detect_mult: u8) -> (f64, f64) {
        let mut jitter = Jitter::seeded(7);
        let shares: Vec<f64> =
            (0..10_000).map(|_| jitter.apply(Duration::from_millis(50), detect_mult).as_secs_f64() / 0.05).collect();
        (shares.iter().copied().fold(f64::MAX, f64::min), shares.iter().copied().fold(0.0, f64::max))
    }

    #[test]
    fn an_interval_is_cut_by_up_to_a_quarter() {
        let (least, most) = share(3);
        assert!((0.75..0.76).contains(&least), "{least}");
        assert!((0.99..=1.0).contains(&most), "{most}");
    }

    #[test]
    fn with_a_multiplier_of_one_it_is_cut_by_a_tenth_at_least() {
        let (least, most) = share(1);
        assert!((0.75..0.76).contains(&least), "{least}");
        assert!((0.89..=0.90).contains(&most), "{most}");
    }
}
