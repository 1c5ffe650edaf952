//! Properties of the difference: it arrives, it is minimal, and no step on the way is wrong.

use proptest::{collection::btree_map as map_of, prelude::*};

use super::*;

fn segment_key() -> impl Strategy<Value = SegmentKey> {
    (1..5_u32, 0..3_u16).prop_map(|(ifindex, outer)| SegmentKey { ifindex, outer, inner: 0 })
}

fn segment() -> impl Strategy<Value = Segment> {
    (1..4_u32, 0..3_u8, prop_oneof![Just(Role::Holds), Just(Role::Suppresses)]).prop_map(|(id, mac, role)| Segment {
        id,
        mac: [2, 0, 0, 0, 0, mac],
        role,
    })
}

fn entry_key() -> impl Strategy<Value = EntryKey> {
    (1..4_u32, 0..6_u8, any::<bool>()).prop_map(|(segment, last, v6)| EntryKey {
        segment,
        address: if v6 { IpAddr::from([0, 0, 0, 0, 0, 0, 0, last.into()]) } else { IpAddr::from([192, 0, 2, last]) },
    })
}

fn table() -> impl Strategy<Value = PlainTable> {
    let action = prop_oneof![Just(Action::Answer), Just(Action::Suppress)];
    (map_of(segment_key(), segment(), 0..8), map_of(entry_key(), action, 0..20))
        .prop_map(|(segments, entries)| PlainTable { segments, entries })
}

fn steps(applied: &PlainTable, wanted: &PlainTable) -> Vec<Operation> {
    diff(applied, &wanted.segments, &wanted.entries().collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn applying_the_difference_gives_what_is_wanted(applied in table(), wanted in table()) {
        let mut table = applied.clone();
        for step in steps(&applied, &wanted) {
            table.apply(step);
        }
        prop_assert_eq!(table, wanted);
    }

    #[test]
    fn nothing_to_do_once_it_is_applied(wanted in table()) {
        prop_assert_eq!(steps(&wanted, &wanted), []);
    }

    #[test]
    fn every_step_changes_something(applied in table(), wanted in table()) {
        let mut table = applied.clone();
        for step in steps(&applied, &wanted) {
            let before = table.clone();
            table.apply(step);
            prop_assert_ne!(&table, &before, "{:?} changed nothing", step);
        }
    }

    /// A frame that arrives during the change meets the old or the new decision, never a third one.
    #[test]
    fn no_step_shows_a_decision_that_is_neither_old_nor_new(applied in table(), wanted in table()) {
        let look = |table: &PlainTable, key: &SegmentKey, address: IpAddr| {
            let segment = table.segments.get(key)?;
            let action = *table.entries.get(&EntryKey { segment: segment.id, address })?;
            Some(if segment.role == Role::Suppresses { Action::Suppress } else { action })
        };
        let addresses: Vec<IpAddr> =
            applied.entries.keys().chain(wanted.entries.keys()).map(|key| key.address).collect();
        let mut table = applied.clone();
        for step in steps(&applied, &wanted) {
            table.apply(step);
            for key in applied.segments.keys().chain(wanted.segments.keys()) {
                // A segment that changes its domain shows the new entries of the old domain for a moment.
                if applied.segments.get(key).map(|old| old.id) != wanted.segments.get(key).map(|new| new.id) {
                    continue;
                }
                for &address in &addresses {
                    let seen = look(&table, key, address);
                    let (old, new) = (look(&applied, key, address), look(&wanted, key, address));
                    // Answer under a role that suppresses, or the reverse, is a suppression: safe.
                    prop_assert!(seen == old || seen == new || seen == Some(Action::Suppress), "{step:?}: {seen:?}");
                }
            }
        }
    }

    #[test]
    fn suppressions_come_before_answers_and_removals_after(applied in table(), wanted in table()) {
        let rank = |step: &Operation| match step {
            Operation::SetSegment(key, segment) => match applied.segments.get(key) {
                Some(old) if old.id == segment.id && old.role != segment.role && segment.role == Role::Holds => 6,
                Some(old) if old.id == segment.id => 0,
                _ => 3,
            },
            Operation::SetEntry(_, Action::Suppress) => 1,
            Operation::SetEntry(_, Action::Answer) => 2,
            Operation::RemoveSegment(_) => 4,
            Operation::RemoveEntry(_) => 5,
        };
        prop_assert!(steps(&applied, &wanted).is_sorted_by_key(rank));
    }
}
