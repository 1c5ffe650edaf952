//! The golden table on the host: outcome, bytes, counter.

use std::collections::BTreeSet;

use lb_common::{
    host::{Packet, golden},
    outcome::{Done, Pass, Verdict},
    respond::respond,
};

#[test]
fn every_golden_frame_has_its_outcome_and_its_bytes() {
    for golden in golden::table() {
        let mut packet = Packet::new(golden.input.as_slice());
        let maps = golden::maps();

        let outcome = respond(&mut packet, &maps);

        assert_eq!(outcome, golden.outcome, "{}", golden.name);
        assert_eq!(packet.bytes, golden.expected(), "{}: {}", golden.name, golden.origin);
        let told: Vec<_> = maps.events.borrow().iter().map(golden::essence).collect();
        assert_eq!(told, golden.event.into_iter().collect::<Vec<_>>(), "{}", golden.name);
    }
}

/// tc sees a frame without its outer tag: the same outcome, and the same bytes but for the tag.
#[test]
fn a_frame_behind_its_tag_is_judged_as_with_it() {
    let tagged: Vec<_> = golden::table().into_iter().filter(|golden| is_tagged(&golden.input)).collect();
    assert!(tagged.len() >= 8, "the table has tagged frames: {}", tagged.len());
    for golden in tagged {
        let mut packet = Packet::behind_its_tag(golden.input.as_slice());

        let outcome = respond(&mut packet, &golden::maps());

        assert_eq!(outcome, golden.outcome, "{}", golden.name);
        assert_eq!(packet.bytes, Packet::behind_its_tag(golden.expected()).bytes, "{}", golden.name);
    }
}

fn is_tagged(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]))
}

#[test]
fn a_frame_has_an_answer_exactly_when_its_outcome_is_one() {
    for golden in golden::table() {
        let answered = Verdict::of(&golden.outcome) == Verdict::Answer;
        assert_eq!(golden.output.is_some(), answered, "{}", golden.name);
    }
}

/// Whatever one node's program sends, no other node's program answers: nothing can go to and fro between two of them. The
/// worst case: the other holds every address that the first one does.
#[test]
fn no_answer_is_answered() {
    for (name, answer) in golden::table().into_iter().filter_map(|golden| Some((golden.name, golden.output?))) {
        let mut maps = golden::maps();
        for segment in maps.segments.values_mut() {
            segment.mac.copy_from_slice(&answer[0..6]);
        }
        let mut packet = Packet::new(answer.as_slice());

        let again = respond(&mut packet, &maps);

        assert_eq!(Verdict::of(&again), Verdict::Pass, "{name}: {again:?}");
        assert_eq!(packet.bytes, answer, "{name}");
    }
}

/// What no frame can cause is caused elsewhere: the lease by `lease.rs`, `reflector.rs` and `stand_in.rs`, the driver by
/// `refusals.rs`.
#[test]
fn every_outcome_has_a_golden_frame_or_a_test_of_its_own() {
    let lease = ["arp_lapsed", "ns_lapsed", "sbfd_admin_down", "suppress_limit", "bfd_lapsed", "bfd_spared"];
    let elsewhere = lease.into_iter().chain(["resize", "access"]);
    let shown: BTreeSet<_> = golden::table().iter().map(|golden| name(&golden.outcome)).chain(elsewhere).collect();

    let all: BTreeSet<_> =
        Done::ALL.iter().map(|done| done.name()).chain(Pass::ALL.iter().map(|pass| pass.name())).collect();

    assert_eq!(shown, all);
}

fn name(outcome: &lb_common::outcome::Outcome) -> &'static str {
    match outcome {
        Ok(done) => done.name(),
        Err(pass) => pass.name(),
    }
}
