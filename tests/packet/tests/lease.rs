//! The lease in the kernel: who may renew, what a late renewal finds, what a start needs.

use std::time::{Duration, Instant};

use lb_common::{
    host::golden,
    lease::{Latch, Renewal, verdict},
    outcome::Done,
};
use lb_tests_packet::{
    kernel::{Kernel, TEST_IFINDEX, monotonic_millis},
    need,
};

const PASS: u32 = 2;
const DROP: u32 = 1;
const ANSWER: u32 = 3;
/// Far enough that nothing here runs out by itself.
const HOUR: u64 = 3_600_000;

fn kernel() -> Option<Kernel> {
    need::or_skip("lease", need::root())?;
    let object = need::or_skip("lease", need::object("herald.o"))?;
    let mut kernel = Kernel::load(&object).expect("the kernel takes the program");
    kernel.fill(TEST_IFINDEX, &golden::maps()).expect("the tables are filled");
    Some(kernel)
}

fn request() -> Vec<u8> {
    golden::table().into_iter().find(|golden| golden.name == "arp-broadcast").expect("a golden frame").input
}

fn now() -> u64 {
    monotonic_millis().expect("the clock")
}

/// Runs the request until its verdict is `wanted`: the lease runs out by itself, within seconds.
fn until(kernel: &mut Kernel, wanted: u32) {
    let limit = Instant::now() + Duration::from_secs(5);
    while kernel.run(&request()).expect("a run").action != wanted {
        assert!(Instant::now() < limit, "the verdict never became {wanted}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn without_a_lease_every_frame_passes() {
    let Some(mut kernel) = kernel() else { return };

    assert_eq!(kernel.run(&request()).expect("a run").action, PASS);
}

#[test]
fn a_renewal_that_expects_another_word_writes_nothing() {
    let Some(mut kernel) = kernel() else { return };
    kernel.take_lease(golden::EPOCH).expect("the lease is taken");
    let (latch, limit) = (kernel.latch().expect("the latch"), kernel.suppress_until().expect("the limit"));
    let expected = Latch::new(golden::EPOCH, latch.deadline() - 1).0;
    let wanted = Latch::new(golden::EPOCH, latch.deadline() + HOUR).0;

    let verdict = kernel.renew(&Renewal { expected, wanted, suppress_until: 7 }).expect("a renewal");

    assert_eq!(verdict, verdict::LOST);
    assert_eq!((kernel.latch().expect("the latch"), kernel.suppress_until().expect("the limit")), (latch, limit));
}

#[test]
fn a_lease_that_ran_out_is_dropped_then_passed_and_cannot_be_renewed() {
    let Some(mut kernel) = kernel() else { return };
    let (deadline, limit) = (now() + 200, now() + 500);
    let held = Latch::new(golden::EPOCH, deadline);
    let start = Renewal { expected: 0, wanted: held.0, suppress_until: limit };
    assert_eq!(kernel.renew(&start).expect("a start"), verdict::RENEWED);
    assert_eq!(kernel.run(&request()).expect("a run").action, ANSWER);

    until(&mut kernel, DROP);

    assert_eq!(kernel.latch().expect("the latch"), held.tripped(), "the first frame past the deadline trips the latch");
    let late =
        Renewal { expected: held.0, wanted: Latch::new(golden::EPOCH, now() + HOUR).0, suppress_until: now() + HOUR };
    assert_eq!(kernel.renew(&late).expect("a late renewal"), verdict::LOST);
    let lapsed = kernel.counters().expect("counters")[Done::ArpLapsed.counter() as usize];
    assert!(lapsed >= 1);
    until(&mut kernel, PASS);
}

/// The agent was stopped and no frame came meanwhile: the renewal itself must notice.
#[test]
fn a_renewal_after_the_deadline_trips_the_latch_itself() {
    let Some(mut kernel) = kernel() else { return };
    let held = Latch::new(golden::EPOCH, now() + 50);
    let start = Renewal { expected: 0, wanted: held.0, suppress_until: now() + HOUR };
    assert_eq!(kernel.renew(&start).expect("a start"), verdict::RENEWED);
    let limit = now() + 100;
    while now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }

    let late =
        Renewal { expected: held.0, wanted: Latch::new(golden::EPOCH, now() + HOUR).0, suppress_until: now() + HOUR };

    assert_eq!(kernel.renew(&late).expect("a late renewal"), verdict::LOST);
    assert_eq!(kernel.latch().expect("the latch"), held.tripped());
    assert_eq!(kernel.run(&request()).expect("a run").action, DROP);
}

#[test]
fn entries_of_the_epoch_before_do_not_answer_in_the_next() {
    let Some(mut kernel) = kernel() else { return };
    kernel.take_lease(golden::EPOCH).expect("the lease is taken");

    kernel.take_lease(golden::EPOCH + 1).expect("the next epoch");

    assert_eq!(kernel.run(&request()).expect("a run").action, DROP);
}

#[test]
fn a_frame_that_is_no_renewal_is_refused() {
    let Some(mut kernel) = kernel() else { return };

    assert_eq!(kernel.renew_with(&[0; 23]).expect("a run"), verdict::REFUSED);
    assert_eq!(kernel.latch().expect("the latch"), Latch(0));
}
