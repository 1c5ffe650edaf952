//! Answers per second over a veth: a generator in the kernel, the responder, and a sink that counts, on one core.
//!
//! The peer's end sends live frames by a test run (`BPF_F_TEST_XDP_LIVE_FRAMES`) of `bench_send`, which leave it by
//! `XDP_TX`; the node's end answers; what comes back meets `bench_sink`. Ours and the least responder take turns.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode, xdp::XdpLinkId};
use lb_common::{
    abi::name,
    host::{Maps, golden},
};
use nix::sched::{CpuSet, sched_setaffinity};

use crate::{
    bench::{Bench, Spread},
    kernel::{Kernel, xdp},
    veth::Pair,
};

/// Frames per test run.
const FRAMES: u32 = 200_000;
/// Frames per batch inside it: as many as fit a veth's ring beside others.
const BATCH: u32 = 64;

/// The figures.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    /// Our answers per second.
    pub ours: Spread,
    /// The least responder's.
    pub least: Spread,
    /// Ours by the least responder's, round by round.
    pub ratio: Spread,
    /// The least share of sent frames that came back in any run: below 1 the rings overflowed.
    pub answered_share: f64,
}

/// Measures both in turn for `rounds` rounds.
pub fn compare(bench: &mut Bench, kernel: &mut Kernel, tables: &Maps, rounds: usize) -> Result<Report> {
    let mut cpu = CpuSet::new();
    cpu.set(0)?;
    sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpu).context("staying on one core")?;
    let pair = Pair::new(golden::NODE_MAC)?;
    kernel.fill(pair.node_ifindex, tables)?;
    let request =
        golden::table().into_iter().find(|golden| golden.name == "arp-broadcast").context("a golden frame")?;
    bench.template(&request.input)?;
    pair.in_peer(|| attach(xdp(bench.ebpf(), "bench_sink")?))?;

    let (mut ours, mut least, mut ratio, mut share) = (Vec::new(), Vec::new(), Vec::new(), 1.0_f64);
    for _ in 0..rounds {
        let id = pair.in_node(|| attach(xdp(&mut kernel.ebpf, name::RESPONDER)?))?;
        let run = stream(bench, &pair, &request.input)?;
        xdp(&mut kernel.ebpf, name::RESPONDER)?.detach(id)?;
        let id = pair.in_node(|| attach(xdp(bench.ebpf(), "reference_arp")?))?;
        let reference = stream(bench, &pair, &request.input)?;
        xdp(bench.ebpf(), "reference_arp")?.detach(id)?;
        ours.push(run.rate);
        least.push(reference.rate);
        ratio.push(run.rate / reference.rate);
        share = share.min(run.share).min(reference.share);
    }
    let spread = |figures| Spread::of(figures).context("at least one round");
    Ok(Report { ours: spread(ours)?, least: spread(least)?, ratio: spread(ratio)?, answered_share: share })
}

struct Run {
    rate: f64,
    share: f64,
}

fn attach(program: &mut Xdp) -> Result<XdpLinkId> {
    Ok(program.attach(Pair::INTERFACE, XdpMode::Driver)?)
}

/// Sends [`FRAMES`] and waits until no more replies come.
fn stream(bench: &mut Bench, pair: &Pair, request: &[u8]) -> Result<Run> {
    let before = bench.received()?;
    let started = Instant::now();
    pair.in_peer(|| {
        let context = xdp_md(request.len(), pair.peer_ifindex);
        let options = TestRunOptions {
            data_in: Some(request),
            ctx_in: Some(&context),
            repeat: FRAMES,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        xdp(bench.ebpf(), "bench_send")?.test_run(options).context("live frames")?;
        Ok(())
    })?;
    let took = started.elapsed();
    let answered = settle(bench, before)?;
    ensure!(answered > 0, "no reply came back");
    let answered = u32::try_from(answered)?;
    Ok(Run { rate: f64::from(answered) / took.as_secs_f64(), share: f64::from(answered) / f64::from(FRAMES) })
}

/// Replies since `before`, once two looks 2 ms apart agree.
fn settle(bench: &mut Bench, before: u64) -> Result<u64> {
    let mut last = bench.received()?;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(2));
        let now = bench.received()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last - before)
}

/// A `struct xdp_md` for a frame of `length` bytes that comes in by `ifindex`.
fn xdp_md(length: usize, ifindex: u32) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    [0, length, 0, ifindex, 0, 0].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect()
}
