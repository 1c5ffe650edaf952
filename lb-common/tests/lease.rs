//! What the lease does to answers: held, run out, tripped, another epoch, past the suppress limit.

use lb_common::{
    host::{Maps, Packet, golden},
    lease::Latch,
    outcome::{Done, Outcome, Pass},
    respond::respond,
};

const DEADLINE: u64 = 10_000;
const LIMIT: u64 = 20_000;

/// The golden frame of that name under `maps`.
fn outcome(name: &str, maps: &Maps) -> Outcome {
    let golden = golden::table().into_iter().find(|golden| golden.name == name).expect("a golden frame");
    respond(&mut Packet::new(golden.input), maps)
}

fn at(now: u64) -> Maps {
    Maps { now, ..golden::maps() }
}

#[test]
fn at_the_deadline_itself_the_node_still_answers() {
    assert_eq!(outcome("arp-broadcast", &at(DEADLINE)), Ok(Done::ArpAnswered));
    assert_eq!(outcome("ns-multicast", &at(DEADLINE)), Ok(Done::NsAnswered));
}

#[test]
fn past_the_deadline_nothing_is_answered_and_the_latch_trips() {
    let maps = at(DEADLINE + 1);

    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpLapsed));
    assert_eq!(outcome("ns-multicast", &maps), Ok(Done::NsLapsed));
    assert_eq!(outcome("ns-dad", &maps), Ok(Done::NsLapsed));
    assert_eq!(Latch(maps.latch.get()), Latch::new(golden::EPOCH, 0));
}

#[test]
fn a_tripped_latch_stays_so_when_the_clock_goes_back() {
    let late = at(DEADLINE + 1);
    assert_eq!(outcome("arp-broadcast", &late), Ok(Done::ArpLapsed));

    let early = Maps { now: 1, ..late };

    assert_eq!(outcome("arp-broadcast", &early), Ok(Done::ArpLapsed));
}

#[test]
fn a_frame_for_a_stranger_does_not_trip_the_latch() {
    let maps = at(DEADLINE + 1);

    assert_eq!(outcome("arp-unknown-target", &maps), Err(Pass::ArpTarget));

    assert_eq!(Latch(maps.latch.get()), Latch::new(golden::EPOCH, DEADLINE));
}

#[test]
fn entries_of_another_epoch_do_not_answer() {
    let maps = at(1);
    maps.latch.set(Latch::new(golden::EPOCH + 1, DEADLINE).0);

    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpLapsed));
    assert_eq!(outcome("ns-unicast", &maps), Ok(Done::NsLapsed));
}

#[test]
fn suppress_entries_outlive_the_lease_up_to_the_limit() {
    assert_eq!(outcome("arp-suppressed", &at(LIMIT)), Ok(Done::ArpSuppressed));
    assert_eq!(outcome("ns-suppressed", &at(LIMIT)), Ok(Done::NsSuppressed));
}

#[test]
fn past_the_limit_everything_passes() {
    for name in ["arp-suppressed", "ns-suppressed", "arp-broadcast", "ns-multicast", "ns-dad"] {
        assert_eq!(outcome(name, &at(LIMIT + 1)), Err(Pass::SuppressLimit), "{name}");
    }
}

#[test]
fn before_an_agent_ever_ran_everything_passes() {
    let maps = Maps { suppress_until: 0, ..at(1) };
    maps.latch.set(0);

    assert_eq!(outcome("arp-broadcast", &maps), Err(Pass::SuppressLimit));
    assert_eq!(outcome("arp-suppressed", &maps), Err(Pass::SuppressLimit));
}

#[test]
fn an_interface_that_suppresses_answers_nothing() {
    let mut maps = at(1);
    for segment in maps.segments.values_mut() {
        segment.role = lb_common::abi::Role::Suppresses as u8;
    }

    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpSuppressed));
    assert_eq!(outcome("ns-multicast", &maps), Ok(Done::NsSuppressed));
}
