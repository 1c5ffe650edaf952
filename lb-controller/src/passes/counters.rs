//! The counters in the status of pools: written at once, and then at most once a second.
//!
//! They differ with every address, and nobody reads them that often: while ten thousand Services get theirs, a write for
//! each pass would be a tenth of all.

use jiff::{SignedDuration, Timestamp};
use lb_plan::controller::{Action, Plan};

const APART: SignedDuration = SignedDuration::from_secs(1);

/// When they were written last.
#[derive(Debug, Default)]
pub(super) struct Counters {
    written: Option<Timestamp>,
}

impl Counters {
    /// Takes them out of a plan that comes too soon, and says when they are due. Whether any were.
    pub(super) fn hold_back(&mut self, plan: &mut Plan, now: Timestamp) -> bool {
        if !plan.steps.iter().any(|step| is_counter(&step.action)) {
            return false;
        }
        let due = self.written.and_then(|written| written.checked_add(APART).ok());
        // A clock that was put back must not keep them for ever.
        let due = due.filter(|due| *due > now && due.duration_since(now) <= APART);
        match due {
            Some(due) => {
                plan.steps.retain(|step| !is_counter(&step.action));
                plan.deadline = Some(plan.deadline.map_or(due, |deadline| deadline.min(due)));
            }
            None => self.written = Some(now),
        }
        due.is_some()
    }
}

const fn is_counter(action: &Action) -> bool {
    matches!(action, Action::WritePoolStatus(_))
}

#[cfg(test)]
mod tests {
    use lb_plan::controller::{Step, Why};

    use super::*;

    fn plan() -> Plan {
        let step = Step { action: Action::WritePoolStatus(Box::default()), why: Why::Status };
        Plan { steps: vec![step], ..Plan::default() }
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + milliseconds).expect("in range")
    }

    #[test]
    fn the_first_is_written_at_once_and_the_next_a_second_later() {
        let mut counters = Counters::default();
        for (now, is_written) in [(0, true), (400, false), (999, false), (1000, true), (1100, false)] {
            let mut plan = plan();
            assert_eq!(counters.hold_back(&mut plan, at(now)), !is_written, "{now}");
            assert_eq!(!plan.steps.is_empty(), is_written, "{now}");
            assert_eq!(plan.deadline.is_none(), is_written, "what is held back is due later");
        }
    }

    #[test]
    fn a_clock_that_is_put_back_holds_nothing_back() {
        let mut counters = Counters::default();
        counters.hold_back(&mut plan(), at(3_600_000));
        let mut plan = plan();
        assert!(!counters.hold_back(&mut plan, at(0)));
        assert_eq!(plan.steps.len(), 1);
    }
}
