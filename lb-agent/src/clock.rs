//! The clock of the lease: CLOCK_MONOTONIC in milliseconds, as the kernel program reads it (its coarse form).

use std::time::Duration;

use lb_common::lease::{Millis, Nanos};
use nix::time::{ClockId, clock_getres, clock_gettime};

/// Time since an arbitrary moment; stands still while the machine sleeps.
pub(crate) fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC is always readable");
    Duration::from(now)
}

/// The same in milliseconds.
pub(crate) fn now() -> Millis {
    millis(monotonic())
}

/// The length of a kernel tick in nanoseconds: the resolution of the coarse clock.
pub(crate) fn tick_nanos() -> Nanos {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).expect("CLOCK_MONOTONIC_COARSE is always readable");
    nanos(Duration::from(tick))
}

/// Whole nanoseconds of a duration; enough for five centuries.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
