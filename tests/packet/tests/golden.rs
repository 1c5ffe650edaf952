//! The golden table in the kernel: by test run of XDP and tc, over a veth (native, tcx, clsact, generic), and against Linux's
//! own answers.

use lb_common::{
    host::golden::{self, Golden},
    outcome::{Done, Outcome, Pass, Verdict},
};
use lb_tests_packet::{
    kernel::{Kernel, Run, TEST_IFINDEX},
    need,
    veth::{Attach, Veth},
};

/// The XDP action of an outcome.
fn action(outcome: &Outcome) -> u32 {
    match Verdict::of(outcome) {
        Verdict::Drop => 1,
        Verdict::Pass => 2,
        Verdict::Answer => 3,
    }
}

/// The tc action of an outcome: `TC_ACT_SHOT`, `TC_ACT_UNSPEC`, `TC_ACT_REDIRECT`.
fn tc_action(outcome: &Outcome) -> u32 {
    match Verdict::of(outcome) {
        Verdict::Drop => 2,
        Verdict::Pass => u32::MAX,
        Verdict::Answer => 7,
    }
}

/// The counter an outcome must raise by one; `None`: no counter at all.
fn counter(outcome: &Outcome) -> Option<usize> {
    match outcome {
        Ok(done) => Some(done.counter() as usize),
        Err(Pass::Foreign) => None,
        Err(pass) => Some(pass.counter() as usize),
    }
}

/// What rose between two readings.
fn risen(before: &[u64], after: &[u64]) -> Vec<(usize, u64)> {
    let changes = before.iter().zip(after).map(|(before, after)| after - before).enumerate();
    changes.filter(|(_, by)| *by != 0).collect()
}

fn kernel() -> Option<Kernel> {
    need::or_skip("golden", need::root())?;
    let object = need::or_skip("golden", need::object("herald.o"))?;
    let mut kernel = Kernel::load(&object).expect("the kernel takes the program");
    kernel.take_lease(golden::EPOCH).expect("the lease is taken");
    Some(kernel)
}

#[test]
fn in_a_test_run_every_frame_has_its_verdict_bytes_and_counter() {
    in_a_test_run(action, Kernel::run);
}

#[test]
fn in_a_test_run_of_tc_every_frame_has_its_verdict_bytes_and_counter() {
    in_a_test_run(tc_action, Kernel::run_tc);
}

fn in_a_test_run(action: fn(&Outcome) -> u32, run: fn(&mut Kernel, &[u8]) -> anyhow::Result<Run>) {
    let Some(mut kernel) = kernel() else { return };
    let maps = golden::maps();
    kernel.fill(TEST_IFINDEX, &maps).expect("the tables are filled");
    for golden in golden::table() {
        kernel.restore(&maps, golden::SLOTS).expect("the tables are as before");
        let before = kernel.counters().expect("counters");

        let run = run(&mut kernel, &golden.input).expect("a test run");

        let risen = risen(&before, &kernel.counters().expect("counters"));
        assert_eq!(run.action, action(&golden.outcome), "{}", golden.name);
        assert_eq!(run.bytes, golden.expected(), "{}", golden.name);
        assert_eq!(
            risen,
            counter(&golden.outcome).map(|index| (index, 1)).into_iter().collect::<Vec<_>>(),
            "{}",
            golden.name
        );
        told(&mut kernel, &golden, TEST_IFINDEX);
    }
}

/// The agent was told what the table says, of this interface.
fn told(kernel: &mut Kernel, golden: &Golden, ifindex: u32) {
    let events = kernel.events().expect("the events");
    let told: Vec<_> = events.iter().map(golden::essence).collect();
    assert_eq!(told, golden.event.into_iter().collect::<Vec<_>>(), "{}", golden.name);
    assert!(events.iter().all(|event| event.ifindex == ifindex), "{}: {events:?}", golden.name);
}

#[test]
fn over_a_veth_in_native_mode_every_frame_has_its_answer_and_counter() {
    over_a_veth(Attach::Native);
}

#[test]
fn over_a_veth_in_generic_mode_every_frame_has_its_answer_and_counter() {
    over_a_veth(Attach::Generic);
}

#[test]
fn over_a_veth_by_tcx_every_frame_has_its_answer_and_counter() {
    over_a_veth(Attach::Tcx);
}

#[test]
fn over_a_veth_by_clsact_every_frame_has_its_answer_and_counter() {
    over_a_veth(Attach::Clsact);
}

/// Frames shorter than an Ethernet header cannot be sent; a frame that passes is the kernel's, which has no address
/// here and says nothing.
fn over_a_veth(attach: Attach) {
    let Some(mut kernel) = kernel() else { return };
    let veth = Veth::new(golden::NODE_MAC).expect("a pair in two namespaces");
    let maps = golden::maps();
    kernel.fill(veth.node_ifindex(), &maps).expect("the tables are filled");
    veth.attach(&mut kernel, attach).expect("the program attaches");
    for golden in golden::table() {
        kernel.restore(&maps, golden::SLOTS).expect("the tables are as before");
        let before = kernel.counters().expect("counters");

        let answer = veth.exchange(&golden.input).expect("a frame goes over the pair");

        let risen = risen(&before, &kernel.counters().expect("counters"));
        assert_eq!(answer, golden.output, "{}", golden.name);
        assert_eq!(
            risen,
            counter(&golden.outcome).map(|index| (index, 1)).into_iter().collect::<Vec<_>>(),
            "{}",
            golden.name
        );
        told(&mut kernel, &golden, veth.node_ifindex());
    }
}

#[test]
fn where_the_origin_is_linux_the_kernel_itself_gives_these_bytes() {
    if need::or_skip("golden", need::root()).is_none() {
        return;
    }
    let veth = Veth::new(golden::NODE_MAC).expect("a pair in two namespaces");
    veth.own(golden::HELD4, golden::HELD6).expect("ordinary addresses");
    let asked: Vec<Golden> = golden::table().into_iter().filter(Golden::is_linux).collect();
    assert!(asked.len() >= 9, "the table has frames of Linux: {}", asked.len());
    for golden in asked {
        let answer = veth.exchange(&golden.input).expect("a frame goes over the pair").expect("Linux answers");

        // Linux makes a new frame, so the padding of the request is not in it.
        let (same, padding) = golden.expected().split_at(answer.len());
        assert_eq!(answer, same, "{}", golden.name);
        assert!(padding.iter().all(|byte| *byte == 0), "{}", golden.name);
    }
}

/// Shrinking the table by accident must not go unnoticed.
#[test]
fn the_table_has_answers_drops_and_passes_of_both_protocols() {
    let table = golden::table();
    let count = |outcome: Outcome| table.iter().filter(|golden| golden.outcome == outcome).count();
    assert!(table.len() >= 60, "{}", table.len());
    assert!(count(Ok(Done::ArpAnswered)) >= 8);
    assert!(count(Ok(Done::NsAnswered)) >= 8);
    assert!(count(Ok(Done::DadAnswered)) >= 2);
    assert!(count(Err(Pass::ArpClaimYielded)) >= 6);
    assert!(count(Err(Pass::NaClaimYielded)) >= 6);
    assert!(table.iter().filter(|golden| golden.event.is_some()).count() >= 30);
}
