//! `soak-edits`: 1,000 random edits of a manifest folder under a controller that is killed, and more on request.
//!
//! Exit code: 0 if everything held, 1 if not (with the seed and every edit), 2 if a prerequisite is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

use std::process::ExitCode;

use clap::Parser;
use lb_tests::{edits, need};

/// Edits a folder of manifests at random under a controller that is killed now and then.
#[derive(Debug, Parser)]
struct Args {
    /// How many edits.
    #[arg(long, default_value_t = 1000, env = "HERALD_EDITS")]
    edits: usize,
    /// Repeats a run.
    #[arg(long, env = "HERALD_SEED")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(missing) = need::check(&edits::needs()) {
        eprintln!("soak-edits: {missing}");
        return ExitCode::from(2);
    }
    let seed = args.seed.unwrap_or_else(edits::fresh_seed);
    println!("soak-edits --seed {seed} --edits {}", args.edits);
    match edits::run(seed, args.edits) {
        Ok(figures) => {
            println!("{figures:?}: everything held");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("soak-edits: {error:#}");
            ExitCode::FAILURE
        }
    }
}
