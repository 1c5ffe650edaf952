//! How long to wait before the next attempt to connect.
//!
//! Every end counts, that of a peer that refuses right after OPEN too: only a session that held resets it.
//! Spec: RFC 4271 §8.1.1 (IdleHoldTime, DampPeerOscillations), §10 (jitter).

use std::time::Duration;

use crate::jitter::Jitter;

const FIRST: Duration = Duration::from_secs(1);

/// Doubles from 1 s up to a limit.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(super) fn new(most: Duration) -> Self {
        Self { next: FIRST.min(most), most }
    }

    pub(super) fn next(&mut self, jitter: &mut Jitter) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.most);
        jitter.apply(wait)
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_over() {
        let (mut backoff, mut jitter) = (Backoff::new(Duration::from_secs(20)), Jitter::new(1));
        for nominal in [1, 2, 4, 8, 16, 20, 20] {
            let (wait, nominal) = (backoff.next(&mut jitter), Duration::from_secs(nominal));
            assert!(wait <= nominal && wait >= nominal.mul_f32(0.74), "{wait:?} for {nominal:?}");
        }
        backoff.reset();
        assert!(backoff.next(&mut jitter) <= Duration::from_secs(1));
    }
}
