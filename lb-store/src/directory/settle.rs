//! When a file that changed may be read: not while somebody is writing it. Pure; time is a value.
//!
//! An empty or a short file is taken at its word (its documents are deleted), so it must not be read between an
//! editor's truncation and its write. Whoever writes in place closes the file in the end, and that is waited for.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

/// A file is read this long after its last change at the latest, closed or not.
pub(crate) const HELD_OPEN: Duration = Duration::from_secs(5);
/// A file that vanished comes back within this time if an editor replaces it.
pub(crate) const REPLACED: Duration = Duration::from_millis(50);
/// What follows a complete file (a second rename, its neighbours) comes within this time.
pub(crate) const COMPLETE: Duration = Duration::from_millis(2);

/// A manifest that was written less than this ago is not read: its next writer may just have cut it to nothing, and the
/// event that says so may still be on its way.
pub(crate) const FRESH: Duration = Duration::from_millis(10);

/// What was seen of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It is there, whole or not.
    Created,
    /// Something was written, and more may follow.
    Written,
    /// It is whole: its writer closed it, or it was renamed into place.
    Complete,
    /// It is gone.
    Gone,
    /// It is written by rename only, so it is always whole.
    Own,
}

/// Files that changed and when to read them.
#[derive(Debug, Default)]
pub(crate) struct Settle {
    due: HashMap<PathBuf, Instant>,
}

impl Settle {
    /// Notes a sign. The last one decides.
    pub(crate) fn note(&mut self, path: PathBuf, sign: Sign, now: Instant) {
        let wait = match sign {
            Sign::Created | Sign::Gone => REPLACED,
            Sign::Written => HELD_OPEN,
            Sign::Complete => COMPLETE,
            Sign::Own => Duration::ZERO,
        };
        self.due.insert(path, now + wait);
    }

    /// Notes a file that was too fresh to be read, unless a sign came since.
    pub(crate) fn postpone(&mut self, path: PathBuf, now: Instant) {
        self.due.entry(path).or_insert(now + FRESH);
    }

    /// Whether no file is waited for.
    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Whether nothing is waited for but writers that are not done.
    pub(crate) fn is_quiet(&self, now: Instant) -> bool {
        self.due.values().all(|due| *due > now + REPLACED)
    }

    /// The files to read now.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<PathBuf> {
        let mut ready: Vec<_> = self.due.extract_if(|_, due| *due <= now).map(|(path, _)| path).collect();
        ready.sort();
        ready
    }

    /// When [`Self::take`] has something to give.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled_after(signs: &[(u64, Sign)]) -> Duration {
        let (mut settle, start) = (Settle::default(), Instant::now());
        for (at, sign) in signs {
            settle.note("a".into(), *sign, start + Duration::from_millis(*at));
        }
        settle.next().expect("one is due") - start
    }

    #[test]
    fn a_truncated_file_is_not_read_before_its_writer_closes_it() {
        assert_eq!(settled_after(&[(0, Sign::Written)]), HELD_OPEN);
        assert_eq!(settled_after(&[(0, Sign::Written), (900, Sign::Complete)]), Duration::from_millis(900) + COMPLETE);
    }

    #[test]
    fn a_file_that_an_editor_replaces_is_never_seen_gone() {
        assert_eq!(settled_after(&[(0, Sign::Gone), (10, Sign::Complete)]), Duration::from_millis(10) + COMPLETE);
        assert_eq!(settled_after(&[(0, Sign::Gone)]), REPLACED);
    }

    #[test]
    fn a_fresh_file_waits_for_its_writer() {
        let (mut settle, now) = (Settle::default(), Instant::now());
        settle.note("a".into(), Sign::Written, now);
        settle.postpone("a".into(), now);
        settle.postpone("b".into(), now);
        assert_eq!(settle.take(now + FRESH), [PathBuf::from("b")]);
        assert!(!settle.is_empty());
    }

    #[test]
    fn files_are_taken_once_and_in_order() {
        let (mut settle, now) = (Settle::default(), Instant::now());
        settle.note("b".into(), Sign::Own, now);
        settle.note("a".into(), Sign::Own, now);
        settle.note("c".into(), Sign::Gone, now);
        assert_eq!(settle.take(now), [PathBuf::from("a"), PathBuf::from("b")]);
        assert_eq!(settle.take(now), Vec::<PathBuf>::new());
    }
}
