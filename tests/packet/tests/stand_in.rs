//! Standing in for the agent in BFD, in the kernel: with its own clock, map and lease.

use lb_common::{
    abi::BfdWord,
    host::golden,
    outcome::{Done, Outcome, Pass},
};
use lb_tests_packet::{
    kernel::{Kernel, TEST_IFINDEX, monotonic_millis},
    need,
};

const DROP: u32 = 1;
const PASS: u32 = 2;
const ANSWER: u32 = 3;
/// The slot of [`golden::AWAY4`].
const SLOT: u32 = 0;

/// The program with the golden tables, and the lease held in `epoch`.
fn kernel(epoch: u16) -> Option<Kernel> {
    need::or_skip("stand_in", need::root())?;
    let object = need::or_skip("stand_in", need::object("herald.o"))?;
    let mut kernel = Kernel::load(&object).expect("the kernel takes the program");
    kernel.fill(TEST_IFINDEX, &golden::maps()).expect("the tables are filled");
    kernel.take_lease(epoch).expect("the lease is taken");
    Some(kernel)
}

fn run(kernel: &mut Kernel, name: &str) -> u32 {
    let frame = golden::table().into_iter().find(|golden| golden.name == name).expect("a golden frame").input;
    kernel.run(&frame).expect("a run").action
}

fn count(kernel: &mut Kernel, outcome: &Outcome) -> u64 {
    let index = match outcome {
        Ok(done) => done.counter(),
        Err(pass) => pass.counter(),
    };
    kernel.counters().expect("counters")[index as usize]
}

/// 50 ms are wanted: of two packets within moments the second is heard, and not answered unless it polls.
#[test]
fn an_answer_too_soon_is_spared_and_a_poll_is_not() {
    let Some(mut kernel) = kernel(golden::EPOCH) else { return };
    let before = monotonic_millis().expect("the clock");
    assert_eq!(run(&mut kernel, "bfd4"), ANSWER);
    let answered = kernel.bfd_moment(SLOT, BfdWord::Answered).expect("the moment");
    // The clock is coarse by up to 10 ms.
    assert!(answered / 1_000_000 + 10 >= before, "{answered} {before}");

    assert_eq!(run(&mut kernel, "bfd4"), DROP);
    assert_eq!(run(&mut kernel, "bfd4-poll"), ANSWER);

    assert_eq!(count(&mut kernel, &Ok(Done::BfdSpared)), 1);
    assert!(kernel.bfd_moment(SLOT, BfdWord::Heard).expect("the moment") >= answered);
}

#[test]
fn a_router_that_is_not_up_ends_the_session_in_the_map() {
    let Some(mut kernel) = kernel(golden::EPOCH) else { return };
    assert!(kernel.has_bfd(golden::AWAY4).expect("the map"));

    assert_eq!(run(&mut kernel, "bfd4-down"), PASS);

    assert!(!kernel.has_bfd(golden::AWAY4).expect("the map"));
    assert_eq!(run(&mut kernel, "bfd4"), PASS);
    assert_eq!(run(&mut kernel, "bfd4-down-while-the-agent-sends"), PASS);
    assert!(kernel.has_bfd(golden::PRESENT4).expect("the map"));
}

#[test]
fn in_another_epoch_of_the_lease_nothing_is_answered_or_promised() {
    let Some(mut kernel) = kernel(golden::EPOCH + 1) else { return };

    assert_eq!((run(&mut kernel, "bfd4"), run(&mut kernel, "bfd4-while-the-agent-sends")), (PASS, PASS));

    assert_eq!(count(&mut kernel, &Err(Pass::BfdLapsed)), 2);
    assert_eq!(kernel.bfd_moment(SLOT, BfdWord::Heard).expect("the moment"), 0);
}
