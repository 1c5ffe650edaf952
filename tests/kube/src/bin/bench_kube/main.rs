//! `bench-kube`: Herald on a real API server with many Services: how fast they get their addresses, what is written, what
//! it costs, how long a restart takes, and how soon a single new Service has its address and is answered for.
//!
//! Every rate stands beside that of a bare loop that makes the same writes in the same run, because an API server on a
//! busy machine has no rate of its own. Exit code: 0 if every figure is within its bound, 1 if not, 2 if a prerequisite
//! is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

mod answers;
mod audit;
mod bare;
mod controller;
mod figures;
mod services;
mod singles;
mod site;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use lb_tests::{herald, need};
use lb_tests_kube::programs;

use figures::Figures;

/// Measures Herald on a real API server.
#[derive(Debug, Parser)]
struct Args {
    /// Services that have addresses while the rest is measured.
    #[arg(long, default_value_t = 1_000)]
    services: usize,
    /// Services that the bare loop writes for, before and after.
    #[arg(long, default_value_t = 2_000)]
    bare: usize,
    /// Single new Services whose address is waited for.
    #[arg(long, default_value_t = 200)]
    singles: usize,
    /// Single new Services whose first ARP answer is waited for.
    #[arg(long, default_value_t = 100)]
    answers: usize,
    /// Writes the figures to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut needs = herald::agent_needs();
    needs.extend(herald::controller_needs());
    let planes = ["etcd", "kube-apiserver", "kubectl"]
        .map(|name| need::Need::File(programs::program(name), "cargo xtask setup"));
    needs.extend(planes);
    if let Err(missing) = need::check(&needs) {
        eprintln!("bench-kube: {missing}");
        return ExitCode::from(2);
    }
    match site::measure(&args).and_then(|figures| tell(&args, figures)) {
        Ok(figures) if figures.missed.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-kube: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell(args: &Args, mut figures: Figures) -> anyhow::Result<Figures> {
    figures.missed = figures.judge();
    let text = serde_json::to_string_pretty(&figures)?;
    println!("{text}");
    if let Some(file) = &args.json {
        fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))?;
    }
    Ok(figures)
}
