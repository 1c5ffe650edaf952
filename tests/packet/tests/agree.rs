//! Random and mutated frames through the kernel program and the host's: same verdict, same bytes, same counter.

use lb_common::{
    event::Event,
    host::{Maps, Packet, golden},
    lease::Latch,
    outcome::{Outcome, Pass, Verdict},
    respond::respond,
};
use lb_tests_packet::{
    kernel::{Kernel, Run, TEST_IFINDEX, monotonic_millis},
    need,
};
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    sample::select,
    strategy::Union,
    test_runner::{Config, TestError, TestRunner},
};

/// How many frames: a tenth of what `cargo xtask soak` takes.
fn frames() -> u32 {
    std::env::var("HERALD_KERNEL_FRAMES").ok().and_then(|frames| frames.parse().ok()).unwrap_or(10_000)
}

/// The kernel's test run refuses frames without an Ethernet header.
const SHORTEST: usize = 14;

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let inputs: Vec<Vec<u8>> = golden::table().into_iter().map(|golden| golden.input).collect();
    let mutated = (select(inputs), vec((any::<u16>(), any::<u8>()), 0..3), 0..4_usize, SHORTEST..140_usize).prop_map(
        |(mut bytes, changes, cut, length)| {
            for (at, byte) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = byte;
            }
            if cut == 0 {
                bytes.resize(length, 0);
            }
            bytes
        },
    );
    Union::new_weighted(vec![(9, mutated.boxed()), (1, vec(any::<u8>(), SHORTEST..200).boxed())])
}

fn action(outcome: &Outcome) -> u32 {
    match Verdict::of(outcome) {
        Verdict::Drop => 1,
        Verdict::Pass => 2,
        Verdict::Answer => 3,
    }
}

/// `TC_ACT_SHOT`, `TC_ACT_UNSPEC`, `TC_ACT_REDIRECT`.
fn tc_action(outcome: &Outcome) -> u32 {
    match Verdict::of(outcome) {
        Verdict::Drop => 2,
        Verdict::Pass => u32::MAX,
        Verdict::Answer => 7,
    }
}

/// Runs one frame on the host and in the kernel, there by XDP and by tc.
fn check(kernel: &mut Kernel, bytes: &[u8]) -> Result<(), String> {
    check_by(kernel, bytes, action, Kernel::run).map_err(|why| format!("xdp: {why}"))?;
    if !tc_takes(bytes) {
        return Ok(());
    }
    check_by(kernel, bytes, tc_action, Kernel::run_tc).map_err(|why| format!("tc: {why}"))
}

/// The kernel's test run of tc refuses IP without a whole IP header.
fn tc_takes(bytes: &[u8]) -> bool {
    match bytes.get(12..14) {
        Some([0x08, 0x00]) => bytes.len() >= SHORTEST + 20,
        Some([0x86, 0xdd]) => bytes.len() >= SHORTEST + 40,
        _ => true,
    }
}

/// The golden tables at this hour: how long ago something was is a question of the frame.
fn maps_now() -> anyhow::Result<Maps> {
    let maps = Maps { now: monotonic_millis()?, ..golden::maps() };
    maps.latch.set(Latch::new(golden::EPOCH, maps.now + 1).0);
    Ok(maps)
}

/// The counters of the kernel before and after tell its outcome.
fn check_by(
    kernel: &mut Kernel,
    bytes: &[u8],
    action: fn(&Outcome) -> u32,
    run: fn(&mut Kernel, &[u8]) -> anyhow::Result<Run>,
) -> Result<(), String> {
    let mut packet = Packet::new(bytes);
    let maps = maps_now().map_err(|error| format!("{error:#}"))?;
    kernel.restore(&maps, golden::SLOTS).map_err(|error| format!("{error:#}"))?;
    let outcome = respond(&mut packet, &maps);
    let before = kernel.counters().map_err(|error| format!("{error:#}"))?;
    let run = run(kernel, bytes).map_err(|error| format!("{error:#}"))?;
    let after = kernel.counters().map_err(|error| format!("{error:#}"))?;
    let told =
        |events: &[Event]| -> Vec<Event> { events.iter().map(|event| Event { at: 0, ifindex: 0, ..*event }).collect() };
    let by_kernel = told(&kernel.events().map_err(|error| format!("{error:#}"))?);
    let by_host = told(&maps.events.borrow());

    let counted = before.iter().zip(&after).position(|(before, after)| before != after);
    let expected = match &outcome {
        Ok(done) => Some(done.counter() as usize),
        Err(Pass::Foreign) => None,
        Err(pass) => Some(pass.counter() as usize),
    };
    if by_kernel != by_host {
        return Err(format!("the host tells {by_host:?}, the kernel {by_kernel:?}"));
    }
    if (run.action, &run.bytes, counted) == (action(&outcome), &packet.bytes, expected) {
        return Ok(());
    }
    Err(format!(
        "the host says {outcome:?} and {:02x?}, the kernel action {} (counter {counted:?}) and {:02x?}",
        packet.bytes, run.action, run.bytes
    ))
}

#[test]
fn host_and_kernel_agree_on_every_frame() {
    if need::or_skip("agree", need::root()).is_none() {
        return;
    }
    let Some(object) = need::or_skip("agree", need::object("herald.o")) else { return };
    let mut kernel = Kernel::load(&object).expect("the kernel takes the program");
    kernel.fill(TEST_IFINDEX, &golden::maps()).expect("the tables are filled");
    kernel.take_lease(golden::EPOCH).expect("the lease is taken");
    let kernel = std::cell::RefCell::new(kernel);

    let config = Config { cases: frames(), failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&frame(), |bytes| {
        check(&mut kernel.borrow_mut(), &bytes).map_err(proptest::test_runner::TestCaseError::fail)
    });

    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, bytes)) => panic!("{why}, of {bytes:02x?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
