//! Tells the stopwatch who fell silent, and when that one was heard last.

use std::time::Duration;

use lb_bfd::initiator::Reading;
use lb_plan::ownership::Rate;

use super::SLOW;
use crate::{liveness::Readings, owner::Owner};

impl Owner {
    /// A node is Down after as many intervals of silence as make it so.
    pub(super) fn time(&mut self, now: Duration, readings: &Readings) {
        let (rates, stopwatch) = (&self.deciding.rates, &mut self.deciding.stopwatch);
        for (whom, reading) in readings {
            match (reading, self.deciding.readings.get(whom)) {
                (Reading::Down, Some(Reading::Up | Reading::AdminDown)) => {
                    let full = rates.get(whom) == Some(&Rate::Full);
                    let interval = if full { self.args.probe_interval.get() } else { SLOW };
                    let silence = interval * u32::from(self.args.probe_multiplier);
                    stopwatch.silent(whom.0, &whom.1, now.saturating_sub(silence));
                }
                (Reading::Down, _) => {}
                (Reading::Up | Reading::AdminDown | Reading::Unknown { .. }, _) => stopwatch.heard(whom.0, &whom.1),
            }
        }
    }
}
