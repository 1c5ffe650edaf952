//! The demo: a Service with three IPv4 and three IPv6 addresses, answered by XDP on three nodes, proven from a client
//! with the system's own tools.
//!
//! Run by `cargo xtask demo`. Everything is in network namespaces of its own and goes when the demo ends, however it
//! ends. Exit code: 0 if all held, 1 if something did not, 2 if a prerequisite is missing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a demo talks to its user")]

mod frozen;
mod interrupt;
mod proof;
mod stage;
mod table;
mod tools;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use lb_tests::{
    herald::{self, Mode},
    lab::Lab,
    need::{self, Need},
};

use crate::{interrupt::Interrupt, proof::Proof, stage::Stage};

/// Shows Herald at work on three nodes made of network namespaces.
#[derive(Debug, Parser)]
struct Args {
    /// Leave everything running afterwards, and say what to try.
    #[arg(long)]
    keep: bool,
    /// Write the table to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How the program is to be attached.
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// The folder with lb-controller and lb-agent.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// The folder with herald.o and lab.o.
    #[arg(long)]
    objects: Option<PathBuf>,
    /// The folder with the manifests.
    #[arg(long)]
    examples: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // SAFETY: no other thread exists yet that could read the environment.
    unsafe {
        args.bin_dir.as_ref().inspect(|dir| env::set_var(herald::BIN_DIR, dir));
        args.objects.as_ref().inspect(|dir| env::set_var(herald::OBJECTS, dir));
    }
    if let Err(missing) = need::check(&needs()) {
        eprintln!("demo: {missing}");
        return ExitCode::from(2);
    }
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn needs() -> Vec<Need> {
    let tools = ["arping", "ndisc6", "curl"].map(Need::Program).to_vec();
    [herald::agent_needs(), herald::controller_needs(), tools].concat()
}

fn run(args: &Args) -> anyhow::Result<bool> {
    let interrupt = Interrupt::watch()?;
    let examples = args.examples.clone().unwrap_or_else(Lab::examples);
    let mut stage = Stage::set(&examples, args.mode, &interrupt)?;
    println!("Proving each address from the client:");
    let proofs = proof::of_all(&stage)?;
    println!("{}", table::text(&proofs));
    println!("Stopping an agent (SIGSTOP) and asking for every address, 1,000 times a second and family:");
    let frozen = frozen::answers_go_on(&mut stage, &proofs)?;
    println!("{frozen}\n");

    let failures = proofs.iter().flat_map(Proof::failures).chain(frozen.failures()).collect::<Vec<_>>();
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&table::json(&proofs, &frozen, &failures))?;
        std::fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))?;
    }
    match failures.as_slice() {
        [] => println!("All held."),
        failures => println!("FAILED:\n  {}", failures.join("\n  ")),
    }
    if args.keep {
        println!("\n{}", stage.what_to_try());
        interrupt.wait_for_it();
    }
    Ok(failures.is_empty())
}
