//! Objects that the watch has reported as gone, remembered by uid for as long as an older answer may still arrive.
//!
//! The answer to a write, or a page of a list, can be handled after the watch's word that the object is gone. A uid never
//! comes back, so whatever bears it then is old.

use std::collections::{HashSet, VecDeque};

/// More deletions than happen within the time that an answer takes. Some 100 octets each.
const MOST: usize = 8_192;

/// The newest uids that are gone.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    uids: HashSet<String>,
    oldest_first: VecDeque<String>,
}

impl Ended {
    pub(crate) fn insert(&mut self, uid: &str) {
        if !self.uids.insert(uid.to_owned()) {
            return;
        }
        self.oldest_first.push_back(uid.to_owned());
        if self.oldest_first.len() > MOST
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.uids.remove(&oldest);
        }
    }

    pub(crate) fn contains(&self, uid: Option<&str>) -> bool {
        uid.is_some_and(|uid| self.uids.contains(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let mut ended = Ended::default();
        for number in 0..=MOST {
            ended.insert(&number.to_string());
        }
        assert!(!ended.contains(Some("0")) && ended.contains(Some("1")));
        assert_eq!((ended.uids.len(), ended.oldest_first.len()), (MOST, MOST));
    }
}
