//! How fast questions are asked. Every answer is an event, and a kernel program sends only so many of them in a second:
//! more questions than that are answered in vain, and what looks like silence is none.
//!
//! What must be known before an address is taken, and whether another holds it too, is asked at once as long as all
//! answers are heard: most such questions have no answer. Audits are answered as a rule, so they have a slow rate of
//! their own, and never keep the others waiting.

use std::time::Duration;

use super::timing::Timing;

/// The turns that have been given out.
#[derive(Debug, Clone, Default)]
pub(super) struct Questions {
    next_at: Duration,
    next_audit_at: Duration,
    careful_until: Duration,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whether an address may be taken, or is held twice.
    Now,
    /// Whether its holder still answers.
    Audit,
}

impl Questions {
    /// The turn of one more question.
    pub(super) fn turn(&mut self, now: Duration, purpose: Purpose, timing: &Timing) -> Duration {
        let (next, interval) = match purpose {
            Purpose::Now if now < self.careful_until => (&mut self.next_at, timing.question_careful),
            Purpose::Now => (&mut self.next_at, timing.question),
            Purpose::Audit => (&mut self.next_audit_at, timing.question_careful),
        };
        let turn = (*next).max(now.saturating_sub(interval * timing.question_burst));
        *next = turn + interval;
        turn.max(now)
    }

    /// Answers were not heard: slowly from now on, for a while.
    pub(super) fn be_careful(&mut self, now: Duration, timing: &Timing) {
        self.careful_until = now + timing.careful;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(questions: &mut Questions, now: Duration, purpose: Purpose, time: Duration) -> usize {
        let timing = Timing::default();
        (0..20_000).filter(|_| questions.turn(now, purpose, &timing) < now + time).count()
    }

    #[test]
    fn many_are_asked_in_a_second_and_few_once_answers_were_missed_and_audits_are_always_few() {
        let now = Duration::from_secs(100);
        let second = Duration::from_secs(1);
        assert_eq!(within(&mut Questions::default(), now, Purpose::Now, second), 10_032);
        assert_eq!(within(&mut Questions::default(), now, Purpose::Audit, second), 532);
        let mut questions = Questions::default();
        questions.be_careful(now, &Timing::default());
        assert_eq!(within(&mut questions, now, Purpose::Now, second), 532);
    }

    #[test]
    fn audits_that_wait_keep_no_other_question_waiting() {
        let (mut questions, now, timing) = (Questions::default(), Duration::from_secs(100), Timing::default());
        (0..10_000).for_each(|_| _ = questions.turn(now, Purpose::Audit, &timing));

        assert_eq!(questions.turn(now, Purpose::Now, &timing), now);
    }
}
