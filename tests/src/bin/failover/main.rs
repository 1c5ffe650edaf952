//! `bench-failover`: how long an address goes unanswered when its holder fails or is to go, seen from a client that asks
//! every millisecond, over many runs; and what unmodified clients beside it have of that. A run takes a fresh address of each family, so that no cap on moves and no
//! hold-down of an earlier run counts.
//!
//! A gap runs from the last reply of the old holder to the first of the new one, per address. The file that `--json`
//! names holds every run; figures are recomputed from them, and `--resume` adds runs of the same commit. Exit code: 0 if
//! every bound holds, 1 if not, 2 if a prerequisite is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use lb_tests::{herald, need};

mod figures;
mod flows;
mod runs;
mod scenario;
mod thousand;

use figures::Report;
use scenario::Scenario;

/// Measures how addresses move.
#[derive(Debug, Parser)]
struct Args {
    /// Runs of each scenario.
    #[arg(long, default_value_t = 30)]
    runs: u32,
    /// Only these scenarios; without one all.
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
    /// Writes every run and the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Adds to the runs of this file, which are of the same commit.
    #[arg(long)]
    resume: Option<PathBuf>,
    /// The commit that is measured, as the file says it.
    #[arg(long, default_value = "")]
    commit: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(missing) = need::check(&herald::agent_needs()) {
        eprintln!("bench-failover: {missing}");
        return ExitCode::from(2);
    }
    match measure(&args) {
        Ok(report) if report.missed.is_empty() => ExitCode::SUCCESS,
        Ok(report) => {
            report.missed.iter().for_each(|missed| eprintln!("bench-failover: {missed}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-failover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::start(&args.commit, args.resume.as_deref())?;
    let all = Scenario::all();
    let chosen = if args.scenario.is_empty() { &all } else { &args.scenario };
    let mut stage = runs::Stage::build()?;
    for scenario in chosen {
        for number in 0..args.runs {
            let run = stage.run(*scenario)?;
            println!("{:<12} {:>3}/{}  {run}", scenario.name(), number + 1, args.runs);
            report.add(*scenario, run);
            // Hours of runs must not be lost with the last one.
            if let Some(file) = &args.json {
                report.write(file)?;
            }
        }
    }
    report.judge();
    println!("{report}");
    if let Some(file) = &args.json {
        report.write(file)?;
    }
    Ok(report)
}
