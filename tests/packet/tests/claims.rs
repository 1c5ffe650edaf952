//! Claims in the kernel: the yield outlives what an agent writes late, budgets hold, a peer that hears us is noted.

use lb_common::{
    abi::{Entry, Key4},
    event::{BUDGET, Kind},
    host::{Maps, golden},
    outcome::{Done, Pass},
};
use lb_tests_packet::{
    kernel::{Kernel, TEST_IFINDEX},
    need,
};

const DROP: u32 = 1;
const ANSWER: u32 = 3;

fn kernel(maps: &Maps) -> Option<Kernel> {
    need::or_skip("claims", need::root())?;
    let object = need::or_skip("claims", need::object("herald.o"))?;
    let mut kernel = Kernel::load(&object).expect("the kernel takes the program");
    kernel.fill(TEST_IFINDEX, maps).expect("the tables are filled");
    kernel.take_lease(golden::EPOCH).expect("the lease is taken");
    Some(kernel)
}

fn frame(name: &str) -> Vec<u8> {
    golden::table().into_iter().find(|golden| golden.name == name).expect("a golden frame").input
}

fn verdict(kernel: &mut Kernel, name: &str) -> u32 {
    kernel.run(&frame(name)).expect("a run").action
}

fn counter(kernel: &mut Kernel, index: u32) -> u64 {
    kernel.counters().expect("counters")[index as usize]
}

/// The entry of the held address with this generation.
fn with_generation(maps: &mut Maps, generation: u32) {
    let entry = maps.vips4[&(1, golden::HELD4)];
    maps.insert4(Key4 { segment: 1, address: golden::HELD4 }, Entry { generation, ..entry });
}

#[test]
fn who_hears_a_claim_answers_again_only_with_a_higher_generation() {
    let mut maps = golden::maps();
    let Some(mut kernel) = kernel(&maps) else { return };
    assert_eq!(verdict(&mut kernel, "arp-broadcast"), ANSWER);

    verdict(&mut kernel, "arp-claim-in-request-form");
    assert_eq!(verdict(&mut kernel, "arp-broadcast"), DROP);

    // An agent that was stopped while it wrote its table goes on and writes what it wanted before.
    kernel.fill(TEST_IFINDEX, &Maps { yielded: Maps::default().yielded, ..maps.clone() }).expect("the same entries");
    assert_eq!(verdict(&mut kernel, "arp-broadcast"), DROP);

    with_generation(&mut maps, 2);
    kernel.fill(TEST_IFINDEX, &Maps { yielded: Maps::default().yielded, ..maps }).expect("a higher generation");
    assert_eq!(verdict(&mut kernel, "arp-broadcast"), ANSWER);
    assert_eq!(counter(&mut kernel, Done::ArpYielded.counter()), 2);
}

#[test]
fn a_flood_of_one_kind_of_event_costs_no_other_kind_and_is_counted() {
    let Some(mut kernel) = kernel(&golden::maps()) else { return };
    let flood = 3 * u32::try_from(BUDGET).expect("small");

    // Nobody reads meanwhile: four thousand events fit the ring buffer, so it is the budget that ends the flood.
    kernel.flood(&frame("arp-claim-of-a-stranger"), flood).expect("a flood");
    let strangers = kernel.events().expect("the events").len() as u64;
    kernel.run(&frame("arp-claim-in-request-form")).expect("a run");

    assert_eq!(counter(&mut kernel, Pass::ArpSighting.counter()), u64::from(flood));
    assert_eq!(strangers + kernel.lost(Kind::Stranger).expect("the budget"), u64::from(flood));
    assert!(kernel.lost(Kind::Stranger).expect("the budget") > 0, "all {flood} were sent");
    let after: Vec<u8> = kernel.events().expect("the events").iter().map(|event| event.kind).collect();
    assert_eq!(after, [Kind::Claim as u8]);
    assert_eq!(kernel.lost(Kind::Claim).expect("the budget"), 0);
}

#[test]
fn a_peer_that_hears_the_reflector_is_noted_with_the_time() {
    let Some(mut kernel) = kernel(&golden::maps()) else { return };
    let now = || lb_tests_packet::kernel::monotonic_millis().expect("the clock");

    assert_eq!(verdict(&mut kernel, "sbfd4"), ANSWER);
    assert_eq!(kernel.heard(1).expect("the map"), None);

    let before = now();
    for _ in 0..2 {
        assert_eq!(verdict(&mut kernel, "sbfd4-from-an-initiator-that-is-up"), ANSWER);
    }

    let heard = kernel.heard(1).expect("the map").expect("a peer hears us") / 1_000_000;
    // The program's clock is a tick coarse, up to 10 ms at 100 Hz, and its offset may be another off.
    assert!(before.saturating_sub(20) <= heard && heard <= now() + 20, "{heard} after {before}");
}
