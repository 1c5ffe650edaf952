//! Waiting for a condition with a limit: the one place in the tests that sleeps.
//!
//! A caller names the condition, so that a failure says what did not happen.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// A condition that did not come true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("waited {limit:?} for {what}{}", last.as_ref().map(|last| format!("; last seen: {last}")).unwrap_or_default())]
pub struct TimedOut {
    what: String,
    limit: Duration,
    last: Option<String>,
}

/// Waits until `condition` holds.
pub fn until(limit: Duration, what: impl Into<String>, mut condition: impl FnMut() -> bool) -> Result<(), TimedOut> {
    for_some(limit, what, || condition().then_some(()))
}

/// Waits until `value` gives something.
pub fn for_some<T>(
    limit: Duration,
    what: impl Into<String>,
    mut value: impl FnMut() -> Option<T>,
) -> Result<T, TimedOut> {
    for_ok(limit, what, || value().ok_or(None::<&str>)).map_err(|timed_out| TimedOut { last: None, ..timed_out })
}

/// Waits until `value` succeeds; what it said last is part of the error.
pub fn for_ok<T, E: std::fmt::Debug>(
    limit: Duration,
    what: impl Into<String>,
    mut value: impl FnMut() -> Result<T, E>,
) -> Result<T, TimedOut> {
    let end = Instant::now() + limit;
    loop {
        match value() {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() >= end => {
                return Err(TimedOut { what: what.into(), limit, last: Some(format!("{last:?}")) });
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Lets `span` pass: for what must *not* happen in it. Never for something to become true.
pub fn observe(span: Duration) {
    thread::sleep(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_never_holds_is_named_with_the_limit() {
        let error = until(Duration::ZERO, "the moon", || false).expect_err("it does not hold");
        assert_eq!(error.to_string(), "waited 0ns for the moon");
    }

    #[test]
    fn the_last_error_is_part_of_the_message() {
        let error = for_ok(Duration::ZERO, "tea", || Err::<(), _>("no water")).expect_err("it fails");
        assert_eq!(error.to_string(), "waited 0ns for tea; last seen: \"no water\"");
    }
}
