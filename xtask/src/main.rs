//! Every developer command of Herald: `cargo xtask <command>`.
//!
//! Must not: depend on a crate of this workspace (it has to build in seconds, and when the others do not build), or
//! run cargo as another user. Only the lab and what tests kernel programs run as root.
//!
//! Exit codes: 0 passed, 1 failed, 2 a prerequisite is missing, 3 something was skipped. Under `HERALD_REQUIRE=all`
//! a skip is a failure.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "talking to the developer is what it is for")]

mod bench;
mod check;
mod demo;
mod deps;
mod ebpf;
mod elf;
mod exit;
mod image;
mod kube;
mod lab;
mod metadata;
mod output;
mod process;
mod setup;
mod suite;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{exit::Passed, workspace::Workspace};

/// Every developer command of Herald.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs what is missing: the BPF compiler, the linker, the lab's tools, a control plane. Other commands call it
    /// on demand.
    Setup(setup::Args),
    /// Builds the kernel programs into `target/bpf/` and prints their sizes.
    BuildEbpf(ebpf::Args),
    /// Three nodes and a client in network namespaces; a Service gets its addresses and each is answered.
    Demo(demo::Args),
    /// Runs the test suites and prints the time of each.
    Test(suite::Args),
    /// Checks format, lints, dependencies, generated files and documents.
    Check(check::Args),
    /// Packs each daemon as an OCI image, without a container daemon.
    Image(image::Args),
    /// Measures.
    Bench(bench::BenchArgs),
    /// Runs the long, seeded fault tests.
    Soak(bench::SoakArgs),
    /// The lab by hand.
    Lab(lab::Args),
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let result = Workspace::find().and_then(|workspace| run(&workspace, command));
    exit::report(result, exit::require_all())
}

fn run(workspace: &Workspace, command: Command) -> anyhow::Result<Passed> {
    match command {
        Command::Setup(args) => setup::run(workspace, &args),
        Command::BuildEbpf(args) => ebpf::run(workspace, &args),
        Command::Demo(args) => demo::run(workspace, &args),
        Command::Test(args) => suite::run(workspace, &args),
        Command::Check(args) => check::run(workspace, &args),
        Command::Image(args) => image::run(workspace, &args),
        Command::Bench(args) => bench::bench(workspace, &args),
        Command::Soak(args) => bench::soak(workspace, &args),
        Command::Lab(args) => lab::run(workspace, &args),
    }
}
