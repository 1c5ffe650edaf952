//! Which of several controllers writes: the election by a Lease, as a pure machine.
//!
//! [`Election::next`] says what to ask the API server or until when to wait; [`Election::answer`] takes what came
//! back. Sends nothing, reads no clock: time is a value on a clock that only goes forward.
//!
//! Must not: compare wall clocks. A record's times are for people. Whether a record has expired is judged by how long
//! *this* process has seen it unchanged, as client-go does (`tools/leaderelection`), so clocks that differ cannot make
//! two leaders.
//!
//! Invariants:
//! * A leader's term ends the renew deadline after the *sending* of its last renewal that succeeded. Another one sees
//!   that renewal at the earliest when it is sent, and waits for the whole lease, which is longer. So between the end
//!   of one term and the begin of the next there is at least the difference, as far as clocks run at the same speed.
//! * Whoever has not been told that the record is written is no leader.
//! * After [`Election::release`] this process never leads again.
//!
//! Not covered: a machine that is paused wakes up in its term, until its clock has moved on. That is why the election
//! is no lock: the create of a VirtualIP is.

use std::time::{Duration, Instant};

/// How long things last. Made by [`Timing::new`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    lease: Duration,
    renew: Duration,
    retry: Duration,
}

/// Why times do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The leader would write when another one may write already.
    #[error("renew deadline {renew:?} is not shorter than lease duration {lease:?}")]
    Renew {
        /// As given.
        lease: Duration,
        /// As given.
        renew: Duration,
    },
    /// One lost request would end the term.
    #[error("retry period {retry:?} is more than half of renew deadline {renew:?}")]
    Retry {
        /// As given.
        renew: Duration,
        /// As given.
        retry: Duration,
    },
    /// A Lease has whole seconds.
    #[error("lease duration {0:?} is not a whole number of seconds, at least 1")]
    Seconds(Duration),
    /// Requests without a pause.
    #[error("retry period is zero")]
    Zero,
}

impl Timing {
    /// Checks that the times fit together.
    pub fn new(lease: Duration, renew: Duration, retry: Duration) -> Result<Self, TimingError> {
        if lease.subsec_nanos() != 0 || lease.is_zero() || i32::try_from(lease.as_secs()).is_err() {
            return Err(TimingError::Seconds(lease));
        }
        if renew >= lease {
            return Err(TimingError::Renew { lease, renew });
        }
        if retry.is_zero() {
            return Err(TimingError::Zero);
        }
        if retry > renew / 2 {
            return Err(TimingError::Retry { renew, retry });
        }
        Ok(Self { lease, renew, retry })
    }

    /// What the record promises to others.
    pub fn lease(self) -> Duration {
        self.lease
    }

    /// No answer for so long: the request counts as failed.
    pub fn patience(self) -> Duration {
        self.renew / 2
    }
}

/// The Lease as the API server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Empty: nobody's.
    pub holder: String,
    /// `metadata.resourceVersion`. It changes with every write.
    pub version: String,
    /// What the holder promised; `None` if it wrote nothing usable.
    pub lease: Option<Duration>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask the API server and answer.
    Ask(Ask),
    /// Nothing before this time.
    Wait(Instant),
    /// Nothing any more.
    Done,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Read the Lease.
    Read,
    /// Create it with this process as its holder.
    Create,
    /// Write this process in as its holder, if it still has this version.
    Hold {
        /// The version that was judged.
        version: String,
    },
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The Lease.
    Found(Record),
    /// There is none.
    Missing,
    /// It is written, and has this version.
    Written(String),
    /// Somebody else was first.
    Conflict,
    /// No answer, or a refusal.
    Failed,
}

/// A time in which this process may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Counts this process's terms, from 1.
    pub number: u64,
    /// Nothing may be sent at or after it.
    pub until: Instant,
}

/// One process's part in the election.
#[derive(Debug)]
pub struct Election {
    me: String,
    timing: Timing,
    terms: u64,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Standby { seen: Option<Seen>, todo: Todo, at: Instant },
    Leader { version: String, until: Instant, todo: Todo, at: Instant },
    Released,
}

/// The next request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Todo {
    Read,
    Create,
    Hold(String),
}

/// A record, and since when it looks so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    record: Record,
    since: Instant,
}

impl Election {
    /// A standby that knows nothing yet. `me` is no other process's name.
    pub fn new(me: impl Into<String>, timing: Timing, now: Instant) -> Self {
        Self { me: me.into(), timing, terms: 0, state: State::Standby { seen: None, todo: Todo::Read, at: now } }
    }

    /// The name in the record.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// The running term.
    pub fn term(&self, now: Instant) -> Option<Term> {
        match &self.state {
            State::Leader { until, .. } if now < *until => Some(Term { number: self.terms, until: *until }),
            State::Leader { .. } | State::Standby { .. } | State::Released => None,
        }
    }

    /// Who leads as far as this process knows; empty if nobody does or nothing is known.
    pub fn holder(&self) -> &str {
        match &self.state {
            State::Leader { .. } => &self.me,
            State::Standby { seen: Some(seen), .. } => &seen.record.holder,
            State::Standby { seen: None, .. } | State::Released => "",
        }
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Instant) -> Step {
        self.end_term(now);
        let (todo, at) = match &self.state {
            State::Released => return Step::Done,
            State::Standby { todo, at, .. } => (todo, *at),
            // The term's end is a time to look at, too: whoever follows must be told.
            State::Leader { todo, at, until, .. } => (todo, (*at).min(*until)),
        };
        if now < at {
            return Step::Wait(at);
        }
        Step::Ask(match todo {
            Todo::Read => Ask::Read,
            Todo::Create => Ask::Create,
            Todo::Hold(version) => Ask::Hold { version: version.clone() },
        })
    }

    /// Takes the answer to what [`Self::next`] asked at `sent`.
    pub fn answer(&mut self, sent: Instant, now: Instant, answer: Answer) {
        self.end_term(now);
        let retry = now + self.timing.retry;
        self.state = match (std::mem::replace(&mut self.state, State::Released), answer) {
            (State::Released, _) => State::Released,
            (state, Answer::Written(version)) => self.lead(state, sent, now, version),
            (State::Standby { seen, .. }, Answer::Found(record)) => self.judge(seen, record, now),
            (State::Standby { seen, .. }, Answer::Missing) => self.judge_absence(seen, now),
            (State::Standby { seen, .. }, Answer::Conflict) => State::Standby { seen, todo: Todo::Read, at: now },
            (State::Standby { seen, .. }, Answer::Failed) => State::Standby { seen, todo: Todo::Read, at: retry },
            // An answer to a renewal got lost, or somebody edited the Lease: it is still this process's.
            (State::Leader { until, .. }, Answer::Found(record)) if record.holder == self.me => {
                State::Leader { version: record.version.clone(), until, todo: Todo::Hold(record.version), at: now }
            }
            (State::Leader { .. }, Answer::Found(record)) => self.judge(None, record, now),
            // Deleted. Others know it and wait for the lease's end; a new standby does not, so hurry.
            (State::Leader { version, until, .. }, Answer::Missing) => {
                State::Leader { version, until, todo: Todo::Create, at: now }
            }
            (State::Leader { version, until, .. }, Answer::Conflict) => {
                State::Leader { version, until, todo: Todo::Read, at: now }
            }
            // Whether the write happened is not known. If it did, the version has changed, and a read tells.
            (State::Leader { version, until, todo, .. }, Answer::Failed) => {
                let todo = if todo == Todo::Read { Todo::Hold(version.clone()) } else { Todo::Read };
                State::Leader { version, until, todo, at: retry }
            }
        };
    }

    /// Ends this process's part, for good. The version of the Lease that it should give back, if it leads.
    ///
    /// Nothing may be written from this call on.
    pub fn release(&mut self) -> Option<String> {
        match std::mem::replace(&mut self.state, State::Released) {
            State::Leader { version, .. } => Some(version),
            State::Standby { .. } | State::Released => None,
        }
    }

    fn end_term(&mut self, now: Instant) {
        if matches!(&self.state, State::Leader { until, .. } if now >= *until) {
            self.state = State::Standby { seen: None, todo: Todo::Read, at: now };
        }
    }

    fn lead(&mut self, before: State, sent: Instant, now: Instant, version: String) -> State {
        if matches!(before, State::Standby { .. }) {
            self.terms += 1;
        }
        // From the sending: nobody can have seen the record change before.
        let until = sent + self.timing.renew;
        State::Leader { todo: Todo::Hold(version.clone()), version, until, at: now + self.timing.retry }
    }

    fn judge(&self, seen: Option<Seen>, record: Record, now: Instant) -> State {
        let since = match &seen {
            Some(seen) if seen.record.version == record.version => seen.since,
            Some(_) | None => now,
        };
        let seen = Seen { record, since };
        let is_mine = seen.record.holder == self.me;
        if is_mine || seen.record.holder.is_empty() || now >= self.end(&seen) {
            let todo = Todo::Hold(seen.record.version.clone());
            return State::Standby { seen: Some(seen), todo, at: now };
        }
        // Not later than its end, so that a killed leader is replaced in time.
        let at = (now + self.timing.retry).min(self.end(&seen));
        State::Standby { seen: Some(seen), todo: Todo::Read, at }
    }

    /// A Lease that somebody deleted counts until its end: its holder may not know yet.
    fn judge_absence(&self, seen: Option<Seen>, now: Instant) -> State {
        let end = seen.as_ref().filter(|seen| !seen.record.holder.is_empty()).map(|seen| self.end(seen));
        match end.filter(|&end| now < end) {
            Some(end) => State::Standby { seen, todo: Todo::Read, at: (now + self.timing.retry).min(end) },
            None => State::Standby { seen, todo: Todo::Create, at: now },
        }
    }

    /// When the record may be taken if it does not change.
    fn end(&self, seen: &Seen) -> Instant {
        let lease = seen.record.lease.unwrap_or(self.timing.lease);
        // A promise without end is none.
        seen.since.checked_add(lease).unwrap_or(seen.since + self.timing.lease)
    }
}

#[cfg(test)]
mod tests;
