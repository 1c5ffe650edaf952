//! `bench-probing`: what it costs an agent to probe 20 nodes at 50 ms each: processor time and memory of the whole
//! process.
//!
//! The node is fourth for addresses that between them have all 20 others above it, so that each is probed at the full
//! rate. That it is, is read from the kernel's count of sent datagrams. Exit code: 0 if every figure is within its bound,
//! 1 if not, 2 if a prerequisite is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Parser;
use lb_tests::{
    bounds::Bounds,
    herald::{self, Agent, AgentOptions, Manifests},
    lab::{Lab, Shape},
    need,
    usage::Usage,
    wait,
};
use serde::Serialize;

/// Measures what probing costs.
#[derive(Debug, Parser)]
struct Args {
    /// How long, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Writes the figures to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

const PEERS: u8 = 20;
/// The default `--probe-interval`, as probes a second.
const PROBES: u64 = 20;
const CPU_PERCENT: f64 = 2.0;
const RSS_KIB: u64 = 30 * 1024;
const LIMIT: Duration = Duration::from_secs(120);
/// After the start: what was only needed for it is gone.
const SETTLED: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
struct Figures {
    release_build: bool,
    peers: u8,
    seconds: u64,
    /// Datagrams that the node sent, for each peer and second.
    probes_per_peer_second: f64,
    /// Of one core, the whole agent.
    cpu_percent: f64,
    rss_kib: u64,
    missed: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(missing) = need::check(&herald::agent_needs()) {
        eprintln!("bench-probing: {missing}");
        return ExitCode::from(2);
    }
    match measure(&args) {
        Ok(figures) if figures.missed.is_empty() => ExitCode::SUCCESS,
        Ok(figures) => {
            figures.missed.iter().for_each(|missed| eprintln!("bench-probing: {missed}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-probing: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> anyhow::Result<Figures> {
    let mut lab = Lab::new(Shape { nodes: PEERS + 1, ..Shape::default() })?;
    lab.attach_pass()?;
    let manifests = Manifests::new(lab.dir().join("manifests"))?;
    let stand_in = manifests.stand_in()?;
    let name = |node: u8| format!("node-{node}");
    // 2, 3, 4; 5, 6, 7; … 20, 21, 2: three above the first node each time, and all of them once.
    for (number, above) in (100..).zip((2..=PEERS + 1).step_by(3)) {
        let ranked: Vec<String> = (0..3).map(|next| name((above - 2 + next) % PEERS + 2)).chain([name(1)]).collect();
        let ranked: Vec<&str> = ranked.iter().map(String::as_str).collect();
        stand_in.create([192, 0, 2, number].into(), &ranked)?;
    }
    let agents: anyhow::Result<Vec<Agent>> =
        lab.nodes.iter().map(|node| Agent::launch(&lab, node, &manifests, &AgentOptions::default())).collect();
    let mut agents = agents?;
    agents.iter_mut().try_for_each(|agent| agent.wait_ready(LIMIT))?;
    let agent = &agents[0];
    wait::for_ok(LIMIT, format!("{PEERS} nodes to be up"), || {
        let state = agent.state().map_err(|error| format!("{error:#}"))?;
        let up = state["peers"].as_array().into_iter().flatten().filter(|peer| peer["state"] == "up").count();
        if up == usize::from(PEERS) { Ok(()) } else { Err(format!("{up} are")) }
    })?;
    wait::observe(SETTLED);

    let span = Duration::from_secs(args.seconds);
    let usage = Usage::of(agent.pid());
    let (cpu, sent) = (usage.cpu()?, datagrams(agent)?);
    wait::observe(span);
    let (cpu, sent) = (usage.cpu()? - cpu, datagrams(agent)? - sent);

    let mut figures = Figures {
        release_build: !cfg!(debug_assertions),
        peers: PEERS,
        seconds: args.seconds,
        probes_per_peer_second: sent as f64 / f64::from(PEERS) / span.as_secs_f64(),
        cpu_percent: cpu.as_secs_f64() * 100.0 / span.as_secs_f64(),
        rss_kib: usage.resident_kib()?,
        missed: Vec::new(),
    };
    ensure!(
        sent * 10 >= PROBES * u64::from(PEERS) * args.seconds * 9,
        "the run is void: {sent} datagrams are not {PROBES} a second to each of {PEERS} nodes"
    );
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
        bounds.under("cpu_percent", self.cpu_percent, CPU_PERCENT);
        bounds.under("rss_kib", self.rss_kib as f64, RSS_KIB as f64);
        bounds.missed()
    }
}

/// UDP datagrams that the agent's node has sent over IPv4, which its probes are.
fn datagrams(agent: &Agent) -> anyhow::Result<u64> {
    let text = agent.node().netns.read("/proc/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = lines.next().zip(lines.next()).context("no UDP counters")?;
    let place = names.split(' ').position(|name| name == "OutDatagrams").context("no OutDatagrams")?;
    Ok(values.split(' ').nth(place).context("a short line")?.parse()?)
}
