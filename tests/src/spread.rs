//! How the times of many runs are spread, as benches tell it.

use std::time::Duration;

use serde::Serialize;

/// Percentiles, in milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct Spread {
    /// How many times there were.
    pub count: usize,
    /// The median.
    pub p50: f64,
    /// Nine of ten took no longer.
    pub p90: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Spread {
    /// By nearest rank; of no times at all everything is 0.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let index = (times.len() * percent).div_ceil(100).saturating_sub(1);
            ms(times.get(index).copied().unwrap_or_default())
        };
        Self { count: times.len(), p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

/// A time in milliseconds.
pub fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest_and_nothing_is_zero() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!((spread.count, spread.p50, spread.p90, spread.p99, spread.max), (200, 100.0, 180.0, 198.0, 200.0));
        assert_eq!(Spread::of(Vec::new()).max, 0.0);
    }
}
