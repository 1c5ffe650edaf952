//! How long a container that ended waits before it runs again. Pure.
//!
//! As kubelet does: at once after the first end, then a wait that doubles up to a bound, and starts over after the
//! container has run for twice the bound. Only the spans are shorter, and the test chooses them.

use std::time::Duration;

/// The spans between restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The wait before the second restart (kubelet: 10 s).
    pub first: Duration,
    /// The longest wait (kubelet: 5 min).
    pub most: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(8) }
    }
}

impl BackOff {
    /// The wait after the container ran for `ran`, when `last` was the one before; `None`: it never ended before.
    pub(super) fn next(self, last: Option<Duration>, ran: Duration) -> Duration {
        match last {
            None => Duration::ZERO,
            Some(_) if ran >= 2 * self.most => Duration::ZERO,
            Some(Duration::ZERO) => self.first,
            Some(last) => (2 * last).min(self.most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_start_over_after_a_long_run() {
        let (second, back_off) =
            (Duration::from_secs(1), BackOff { first: Duration::from_secs(1), most: Duration::from_secs(5) });
        let mut last = None;
        let waits: Vec<_> = (0..6)
            .map(|_| {
                let wait = back_off.next(last, second);
                last = Some(wait);
                wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 5, 5]);
        assert_eq!(back_off.next(last, 10 * second), Duration::ZERO);
    }
}
