//! `bench-agent`: one agent with 10,000 addresses. How long until its maps are filled, how long a single change takes,
//! and what it costs in memory.
//!
//! Measured in the maps themselves, by key, from the moment the process is started or the change begins to be
//! written. Exit code: 0 if every figure is within its bound, 1 if not, 2 if a prerequisite is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use lb_tests::{
    bounds::Bounds,
    herald::{self, Agent, AgentOptions, Manifests, StandIn, Table},
    lab::{INTERFACE, Lab, Shape},
    need,
    spread::ms,
    urgent,
    usage::Usage,
    wait,
};
use serde::Serialize;

/// Measures an agent with many addresses.
#[derive(Debug, Parser)]
struct Args {
    /// Addresses, half of them IPv6; this node holds half of each family and suppresses the others.
    #[arg(long, default_value_t = 10_000)]
    addresses: u32,
    /// Single changes.
    #[arg(long, default_value_t = 200)]
    changes: u32,
    /// Writes the figures to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What is to be reached.
const FILL: Duration = Duration::from_secs(1);
const CHANGE: Duration = Duration::from_millis(5);
const RSS_KIB: u64 = 40 * 1024;
/// After the start: what was only needed for it is gone.
const SETTLED: Duration = Duration::from_secs(10);
/// Between two single changes.
const APART: Duration = Duration::from_millis(300);
/// Between two looks at a map.
const GLANCE: Duration = Duration::from_micros(100);
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
struct Figures {
    addresses: u32,
    release_build: bool,
    /// From the start of the process.
    fill_ms: f64,
    /// Single changes, from the beginning of the write to the entry in the map.
    changes: usize,
    change_median_ms: f64,
    change_p99_ms: f64,
    change_max_ms: f64,
    /// The same while the first announcements and statuses are still going out.
    change_while_busy_median_ms: f64,
    /// From the end of the write, which is the store's.
    change_after_write_median_ms: f64,
    change_after_write_p99_ms: f64,
    /// The agent's own word: its last pass that planned anew.
    plan_ms: f64,
    /// The agent's resident memory ten seconds after its start.
    rss_kib: u64,
    /// Kernel memory of its maps.
    kernel_maps_kib: u64,
    missed: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(missing) = need::check(&herald::agent_needs()) {
        eprintln!("bench-agent: {missing}");
        return ExitCode::from(2);
    }
    match measure(&args) {
        Ok(figures) if figures.missed.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> anyhow::Result<Figures> {
    let mut lab = Lab::new(Shape::default())?;
    lab.attach_pass()?;
    let manifests = Manifests::new(lab.dir().join("manifests"))?;
    let stand_in = manifests.stand_in()?;
    for number in 0..args.addresses {
        create(&stand_in, number)?;
    }
    eprintln!("{} VirtualIPs are written", args.addresses);

    let started = Instant::now();
    let mut agent = Agent::launch(&lab, &lab.nodes[0], &manifests, &AgentOptions::default())?;
    let table = wait::for_ok(LIMIT, "the table", || agent.pins().table(&lab.nodes[0], INTERFACE))?;
    for number in 0..args.addresses {
        wait_for_entry(&mut agent, &table, address(number))?;
    }
    let filled = started.elapsed();
    agent.wait_ready(LIMIT)?;
    wait::observe(SETTLED.saturating_sub(started.elapsed()));
    let rss_kib = Usage::of(agent.pid()).resident_kib()?;
    let kernel_maps_kib = map_bytes(agent.pid())? / 1024;
    // Who looks must not wait for the thread it looks at: one that plans keeps a core until the scheduler's next tick.
    urgent::this_thread()?;
    let (busy, _) = single_changes(args.addresses..args.addresses + 20, &stand_in, &mut agent, &table)?;
    wait_until_settled(&agent)?;
    let first = args.addresses + 20;
    let (changes, after_write) = single_changes(first..first + args.changes, &stand_in, &mut agent, &table)?;

    let mut figures = Figures {
        addresses: args.addresses,
        release_build: !cfg!(debug_assertions),
        fill_ms: ms(filled),
        changes: changes.len(),
        change_median_ms: ms(percentile(&changes, 50)),
        change_p99_ms: ms(percentile(&changes, 99)),
        change_max_ms: ms(percentile(&changes, 100)),
        change_while_busy_median_ms: ms(percentile(&busy, 50)),
        change_after_write_median_ms: ms(percentile(&after_write, 50)),
        change_after_write_p99_ms: ms(percentile(&after_write, 99)),
        plan_ms: agent.metrics()?.sum("herald_agent_plan_seconds", &[]).unwrap_or(f64::NAN) * 1000.0,
        rss_kib,
        kernel_maps_kib,
        missed: Vec::new(),
    };
    figures.missed = figures.judge();
    let text = serde_json::to_string_pretty(&figures)?;
    println!("{text}");
    if let Some(file) = &args.json {
        fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))?;
    }
    Ok(figures)
}

impl Figures {
    fn judge(&self) -> Vec<String> {
        let mut bounds = Bounds::default();
        bounds.under("fill_ms", self.fill_ms, ms(FILL));
        bounds.under("change_p99_ms", self.change_p99_ms, ms(CHANGE));
        bounds.under("rss_kib", self.rss_kib as f64, RSS_KIB as f64);
        bounds.missed()
    }
}

/// Adds addresses one at a time: for each, from the beginning and from the end of the write to the map.
fn single_changes(
    numbers: Range<u32>,
    stand_in: &StandIn,
    agent: &mut Agent,
    table: &Table,
) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut changes, mut after_write) = (Vec::new(), Vec::new());
    for number in numbers {
        // A single change meets an agent at rest, not one that still writes the status of the change before.
        wait::observe(APART);
        let begin = Instant::now();
        create(stand_in, number)?;
        let written = Instant::now();
        wait_for_entry(agent, table, address(number))?;
        changes.push(begin.elapsed());
        after_write.push(written.elapsed());
    }
    changes.sort_unstable();
    after_write.sort_unstable();
    Ok((changes, after_write))
}

/// Every announcement is out and every status written: a thousand repeats a second take their time.
fn wait_until_settled(agent: &Agent) -> anyhow::Result<()> {
    let mut last = serde_json::Value::Null;
    let mut since = Instant::now();
    wait::for_ok(5 * LIMIT, "the agent to be settled", || -> anyhow::Result<()> {
        let state = agent.state()?;
        if state["manifests"] != last {
            (last, since) = (state["manifests"].clone(), Instant::now());
        }
        anyhow::ensure!(
            state["announcing"] == 0 && since.elapsed() > SETTLED / 5,
            "announcing {}",
            state["announcing"]
        );
        Ok(())
    })?;
    Ok(())
}

fn create(stand_in: &StandIn, number: u32) -> anyhow::Result<()> {
    let nodes = if (number / 2).is_multiple_of(2) { ["node-1", "node-2"] } else { ["node-2", "node-3"] };
    stand_in.create(address(number), &nodes)
}

/// Even numbers are IPv4, odd ones IPv6.
fn address(number: u32) -> IpAddr {
    let pair = number / 2;
    match number % 2 {
        0 => Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + pair).into(),
        _ => Ipv6Addr::from(u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0)) + u128::from(pair)).into(),
    }
}

/// Looks often but rests between: one that spins holds a core for a whole slice of the scheduler, 3 ms, and what is
/// measured has to wait for it.
fn wait_for_entry(agent: &mut Agent, table: &Table, address: IpAddr) -> anyhow::Result<()> {
    let end = Instant::now() + LIMIT;
    while table.entry(address)?.is_none() {
        if Instant::now() > end {
            anyhow::bail!("{address} is not in the table after {LIMIT:?}\n{}", agent.process().log_tail());
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

/// What the kernel accounts for the maps that a process has open, each once.
fn map_bytes(pid: u32) -> anyhow::Result<u64> {
    let mut maps = std::collections::BTreeMap::new();
    for entry in fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fdinfo"))? {
        // A descriptor may be closed while it is read.
        let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    Ok(maps.values().sum())
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
