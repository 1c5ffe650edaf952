//! `soak-faults`: who holds an address while nodes, links, agents and the network fail.
//!
//! Exit code: 0 if every second of every address is accounted for, 1 if not (with the seed and what was done), 2 if a
//! prerequisite is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand, ValueEnum as _};
use lb_tests::{
    edits,
    faults::{
        NODES, Stage,
        holder::{self, Outcome},
        log::Bounds,
        loss,
        scenes::Scene,
        starvation,
    },
    need,
};

/// Fault tests of who holds an address.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Random faults over five nodes.
    Holder {
        /// Repeats a run.
        #[arg(long)]
        seed: Option<u64>,
        /// How long.
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        /// How many addresses, half of them IPv6; at most 280.
        #[arg(long, default_value_t = 200)]
        addresses: usize,
        /// Keeps the agents' logs in this folder, should it fail.
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// Two halves that come together again, and every other fault that has a name.
    Partition {
        /// How often the segment is divided.
        #[arg(long, default_value_t = 50)]
        times: usize,
        /// How often each of the others is played.
        #[arg(long, default_value_t = 5)]
        others: usize,
        /// Only these; without one all.
        #[arg(long, value_enum)]
        scene: Vec<Scene>,
    },
    /// Every agent at nice 19 with 5 % of a core, beside 64 processes for each core that spin.
    Starvation {
        /// How long, in seconds.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
    },
    /// Frames between nodes are lost at random.
    Loss {
        /// How many in 100.
        #[arg(long, default_values_t = [5, 20])]
        percent: Vec<u8>,
        /// How long each, in seconds.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(missing) = need::check(&Stage::needs()) {
        eprintln!("soak-faults: {missing}");
        return ExitCode::from(2);
    }
    match run(args.what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak-faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> anyhow::Result<()> {
    match what {
        What::Holder { seed, minutes, addresses, keep } => {
            let seed = seed.unwrap_or_else(edits::fresh_seed);
            println!("soak-faults holder --seed {seed} --minutes {minutes} --addresses {addresses}");
            let length = Duration::from_secs(minutes * 60);
            show(&holder::run(&holder::Holder { seed, length, addresses, unhurried: false, keep })?)
        }
        What::Partition { times, others, scene } => partition(times, others, &scene),
        What::Starvation { seconds } => show(&starvation::run(Duration::from_secs(seconds))?),
        What::Loss { percent, seconds } => percent.into_iter().try_for_each(|percent| {
            let (outcome, taken) = loss::run(percent, Duration::from_secs(seconds))?;
            println!("{percent} % lost: {taken} addresses were taken from nodes that lived, or back");
            show(&outcome)
        }),
    }
}

fn show(outcome: &Outcome) -> anyhow::Result<()> {
    outcome.log.iter().for_each(|entry| println!("{}", entry.show(outcome.start)));
    println!("{}", outcome.account);
    outcome.account.verdict(&outcome.log, outcome.start)
}

/// Plays each scene so often, each time with another node as the holder. Goes on after a failure.
fn partition(times: usize, others: usize, only: &[Scene]) -> anyhow::Result<()> {
    let mut stage = Stage::build(holder::LEASE.0)?;
    let bounds = Bounds::of(holder::LEASE.1);
    let mut failed = 0;
    for scene in Scene::value_variants().iter().filter(|scene| only.is_empty() || only.contains(scene)) {
        let times = if *scene == Scene::Division { times } else { others };
        for number in 0..times {
            match scene.play(&mut stage, number % NODES, &bounds) {
                Ok(played) => println!("{scene:?} {}/{times}: {played}", number + 1),
                Err(error) => {
                    failed += 1;
                    eprintln!("{scene:?} {}/{times}: {error:#}", number + 1);
                    stage.start_over()?;
                }
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} scenes failed");
    Ok(())
}
