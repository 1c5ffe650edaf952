//! The S-BFD reflector in the kernel: what it says when the agent or the lease says no.

use lb_common::{
    abi::Reflector,
    host::{Maps, golden},
    outcome::Done,
};
use lb_tests_packet::{
    kernel::{Kernel, TEST_IFINDEX},
    need,
};

/// Where state and flags stand in a probe over untagged IPv4.
const STATE: usize = 14 + 20 + 8 + 1;
const ANSWER: u32 = 3;

/// The program with this word, and the lease held in `epoch`.
fn kernel(reflector: Reflector, epoch: u16) -> Option<Kernel> {
    need::or_skip("reflector", need::root())?;
    let object = need::or_skip("reflector", need::object("herald.o"))?;
    let mut kernel = Kernel::load(&object).expect("the kernel takes the program");
    kernel.fill(TEST_IFINDEX, &Maps { reflector, ..golden::maps() }).expect("the tables are filled");
    kernel.take_lease(epoch).expect("the lease is taken");
    Some(kernel)
}

/// The state that a probe is answered with, and its counter.
fn reflected(kernel: &mut Kernel) -> (u8, u64, u64) {
    let probe = golden::table().into_iter().find(|golden| golden.name == "sbfd4").expect("a golden frame").input;
    let run = kernel.run(&probe).expect("a run");
    assert_eq!(run.action, ANSWER);
    let counters = kernel.counters().expect("counters");
    let count = |done: Done| counters[done.counter() as usize];
    (run.bytes[STATE] >> 6, count(Done::SbfdUp), count(Done::SbfdAdminDown))
}

#[test]
fn it_says_up_in_its_epoch() {
    let Some(mut kernel) = kernel(Reflector::up(golden::DISCRIMINATOR, 9), 9) else { return };
    assert_eq!(reflected(&mut kernel), (3, 1, 0));
}

#[test]
fn it_says_admin_down_when_told_to() {
    let Some(mut kernel) = kernel(Reflector::admin_down(golden::DISCRIMINATOR), 9) else { return };
    assert_eq!(reflected(&mut kernel), (0, 0, 1));
}

#[test]
fn it_says_admin_down_in_another_epoch_than_its_word() {
    let Some(mut kernel) = kernel(Reflector::up(golden::DISCRIMINATOR, 9), 10) else { return };
    assert_eq!(reflected(&mut kernel), (0, 0, 1));
}
