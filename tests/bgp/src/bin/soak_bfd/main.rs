//! `soak-bfd`: a BFD session of 3 × 50 ms with FRR's bfdd, first for `--minutes` with all processors busy, then through
//! `--failures` silences of the router.
//!
//! bfdd runs SCHED_FIFO in the root group of processor time, as on a router; the agent's side runs as it is. A session
//! that falls is attributed by what arrived when: a gap in what we sent is ours, one in what bfdd sent is bfdd's.
//!
//! Exit code: 0 if the session stayed up and every silence was noticed in time, 1 if not, 2 if a prerequisite is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

mod capture;

use std::{
    net::IpAddr,
    num::NonZeroU8,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use lb_agent::bfd;
use lb_bfd::session::{Timers, Verdict};
use lb_tests::{lab::Host, packet_socket::wall_clock, wait};
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

use capture::Capture;

const INTERVAL: Duration = Duration::from_millis(50);
const MULTIPLIER: u32 = 3;
/// How late a silence may be noticed: a timer of a machine with nothing else to do.
const SLACK: Duration = Duration::from_millis(20);
const PROFILE: &str = "\nbfd\n profile fast\n  transmit-interval 50\n  receive-interval 50\n";

/// A fast BFD session under load, and its end.
#[derive(Debug, Parser)]
struct Args {
    /// How long all processors are busy.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Silences whose detection is timed.
    #[arg(long, default_value_t = 100)]
    failures: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !lb_tests_bgp::met() {
        return ExitCode::from(2);
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak-bfd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let lab = lab(1, 1)?.context("a prerequisite is missing")?;
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let address = node.v4.to_string();
    let config = frr::bgpd(THEIRS, &[(&address, OURS, "NEIGHBOUR bfd profile fast\n")]) + PROFILE;
    let mut frr = Frr::start(&lab, router, &config)?;
    if !frr.as_on_a_router()? {
        println!("bfdd stays in its group of processor time");
    }
    let mut speaker = Node::start(node)?;
    speaker.tell("frr", session(node, router.v4.into(), THEIRS), routes(["203.0.113.7/32"]));
    if let Some(peer) = speaker.wanted().peers.get_mut("frr") {
        peer.bfd = Some(fast()?);
    }
    speaker.apply();
    wait_until_up(&speaker, router)?;
    load(args, &speaker, node, router)?;
    failures(args, &speaker, node, router, &mut frr)
}

/// The session stays up although every processor has more to do than it can.
fn load(args: &Args, speaker: &Node, node: &Host, router: &Host) -> anyhow::Result<()> {
    let peer = IpAddr::from(router.v4);
    let (ours, theirs) = (Capture::start(router, node.v4)?, Capture::start(node, router.v4)?);
    let stop = Arc::new(AtomicBool::new(false));
    let count = thread::available_parallelism()?.get();
    let busy: Vec<_> = (0..count)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(args.minutes * 60);
    let before = speaker.bfd(peer).context("a session")?.counters;
    let (mut downs, mut flaps) = (before.downs, Vec::new());
    while Instant::now() < end {
        wait::observe(Duration::from_millis(100));
        let counters = speaker.bfd(peer).context("a session")?.counters;
        if counters.downs != downs {
            downs = counters.downs;
            let flap = format!("our longest gap {:?}, theirs {:?}", ours.longest()?, theirs.longest()?);
            println!("the session fell: {flap}");
            flaps.push(flap);
        }
    }
    let (our_gap, their_gap) = (ours.finish()?, theirs.finish()?);
    stop.store(true, Ordering::Relaxed);
    busy.into_iter()
        .try_for_each(|thread| thread.join().map_err(|_panic| anyhow::anyhow!("a busy thread panicked")))?;
    let counters = speaker.bfd(peer).context("a session")?.counters;
    println!(
        "{} minutes, {count} processors busy: {} packets sent, {} received, longest gap {our_gap:?} sent, {their_gap:?} \
         received, {} flaps",
        args.minutes,
        counters.sent - before.sent,
        counters.received - before.received,
        flaps.len()
    );
    ensure!(flaps.is_empty(), "the session fell {} times: {}", flaps.len(), flaps.join("; "));
    Ok(())
}

/// From the last packet of a router that falls silent to the moment at which the session is down.
fn failures(args: &Args, speaker: &Node, node: &Host, router: &Host, frr: &mut Frr) -> anyhow::Result<()> {
    let peer = IpAddr::from(router.v4);
    let mut times = Vec::with_capacity(args.failures);
    for _ in 0..args.failures {
        wait_until_up(speaker, router)?;
        wait::observe(INTERVAL * MULTIPLIER);
        let theirs = Capture::start(node, router.v4)?;
        wait::until(LIMIT, "a packet of bfdd", || theirs.count() > 3)?;
        let downs = speaker.bfd(peer).context("a session")?.counters.downs;
        frr.bfdd().stop()?;
        let end = Instant::now() + LIMIT;
        while speaker.bfd(peer).context("a session")?.counters.downs == downs {
            ensure!(Instant::now() < end, "the silence was not noticed within {LIMIT:?}");
            thread::sleep(Duration::from_micros(200));
        }
        let noticed = wall_clock()?;
        times.push(noticed.saturating_sub(theirs.last()?.context("no packet was captured")?));
        frr.bfdd().cont()?;
    }
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let (p50, p99, max) = (at(50), at(99), times.last().copied());
    let wanted = INTERVAL * MULTIPLIER;
    println!("{} silences, configured {wanted:?}: noticed after p50 {p50:?}, p99 {p99:?}, most {max:?}", times.len());
    let early = times.iter().filter(|time| **time < wanted).count();
    let late = times.iter().filter(|time| **time > wanted + SLACK).count();
    ensure!(early == 0 && late == 0, "{early} were noticed too early, {late} too late");
    Ok(())
}

fn wait_until_up(speaker: &Node, router: &Host) -> anyhow::Result<()> {
    let peer = IpAddr::from(router.v4);
    wait::until(LIMIT, "BFD to be up", || speaker.bfd(peer).is_some_and(|bfd| bfd.verdict == Verdict::Up))?;
    Ok(())
}

fn fast() -> anyhow::Result<bfd::Wanted> {
    let micros = u32::try_from(INTERVAL.as_micros())?;
    let timers = Timers {
        desired_min_tx: micros,
        required_min_rx: micros,
        detect_mult: NonZeroU8::new(u8::try_from(MULTIPLIER)?).context("not 0")?,
        echo_tx: None,
        required_min_echo_rx: 0,
    };
    Ok(bfd::Wanted { timers, ..bfd::Wanted::default() })
}
