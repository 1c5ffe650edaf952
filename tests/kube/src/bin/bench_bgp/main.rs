//! `bench-bgp`: what BGP costs and how fast it is, in three parts.
//!
//! * `ecmp`: a node of three dies behind a router with multipath and BFD 3 × 50 ms: until the traffic is back.
//! * `latency`: on a real API server with `--services` Services, from the write to the message at the router.
//! * `prefixes`: 10,000 prefixes to four FRR routers: until told, memory, processor time when idle.
//!
//! Exit code: 0 if every figure is within its bound, 1 if not, 2 if a prerequisite is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

mod ecmp;
mod figures;
mod latency;
mod prefixes;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use lb_tests::{herald, need};
use lb_tests_kube::programs;

use figures::Figures;

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Until the traffic is back.
    Ecmp,
    /// From the write to the router.
    Latency,
    /// Many prefixes.
    Prefixes,
}

/// Measures BGP.
#[derive(Debug, Parser)]
struct Args {
    /// Only these parts; without one all.
    #[arg(long, value_enum)]
    part: Vec<Part>,
    /// Deaths of a node.
    #[arg(long, default_value_t = 50)]
    deaths: usize,
    /// Services that are announced while one changes.
    #[arg(long, default_value_t = 1_000)]
    services: usize,
    /// Changes of an EndpointSlice.
    #[arg(long, default_value_t = 500)]
    changes: usize,
    /// New Services.
    #[arg(long, default_value_t = 100)]
    created: usize,
    /// Prefixes of the part that counts them.
    #[arg(long, default_value_t = 10_000)]
    prefixes: u32,
    /// Writes the figures to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut needs = herald::agent_needs();
    needs.extend(herald::controller_needs());
    needs.extend(["vtysh", "ip"].map(need::Need::Program));
    let planes = ["etcd", "kube-apiserver", "kubectl"]
        .map(|name| need::Need::File(programs::program(name), "cargo xtask setup"));
    needs.extend(planes);
    if let Err(missing) = need::check(&needs) {
        eprintln!("bench-bgp: {missing}");
        return ExitCode::from(2);
    }
    match measure(&args) {
        Ok(figures) if figures.missed.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-bgp: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> anyhow::Result<Figures> {
    let mut figures = Figures { release_build: !cfg!(debug_assertions), ..Figures::default() };
    let is_wanted = |part| args.part.is_empty() || args.part.contains(&part);
    if is_wanted(Part::Prefixes) {
        figures.prefixes = Some(prefixes::measure(args.prefixes)?);
    }
    if is_wanted(Part::Latency) {
        figures.latency = Some(latency::measure(args)?);
    }
    if is_wanted(Part::Ecmp) {
        figures.ecmp = Some(ecmp::measure(args.deaths)?);
    }
    figures.missed = figures.judge();
    let text = serde_json::to_string_pretty(&figures)?;
    println!("{text}");
    if let Some(file) = &args.json {
        fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))?;
    }
    Ok(figures)
}
