//! Random and mutated frames on the host: no panic, no outcome that its bytes belie.
//!
//! The kernel sees the like in `tests/packet/tests/agree.rs`; the fuzzer (`tests/fuzz`) goes on from here.

use lb_common::{
    host::{Packet, golden},
    outcome::Verdict,
    respond::respond,
};
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    sample::select,
    test_runner::{Config, TestError, TestRunner},
};

/// How many frames: a million, or what `HERALD_FRAMES` says.
fn frames() -> u32 {
    std::env::var("HERALD_FRAMES").ok().and_then(|frames| frames.parse().ok()).unwrap_or(1_000_000)
}

/// A golden frame with some bytes replaced, and cut or padded.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let inputs: Vec<Vec<u8>> = golden::table().into_iter().map(|golden| golden.input).collect();
    (select(inputs), vec((any::<u16>(), any::<u8>()), 0..4), 0..4_usize, 0..140_usize).prop_map(
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
    )
}

/// What must hold of any frame whatever it is.
fn check(bytes: &[u8]) {
    let mut packet = Packet::new(bytes);
    let outcome = respond(&mut packet, &golden::maps());
    match Verdict::of(&outcome) {
        Verdict::Pass | Verdict::Drop => assert_eq!(packet.bytes, bytes, "{outcome:?}"),
        Verdict::Answer => assert_eq!(packet.bytes[6..12], golden::NODE_MAC, "{outcome:?}"),
    }
}

fn run<S: Strategy<Value = Vec<u8>>>(strategy: &S) {
    let config = Config { cases: frames() / 2, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(strategy, |bytes| {
        check(&bytes);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, bytes)) => panic!("{why}: {bytes:02x?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn mutated_golden_frames_are_judged_without_panic() {
    run(&mutated());
}

#[test]
fn random_bytes_are_judged_without_panic() {
    run(&vec(any::<u8>(), 0..200));
}
