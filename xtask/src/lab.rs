//! `cargo xtask lab`: the lab by hand.

use anyhow::Result;
use clap::Subcommand;

use crate::{bench, exit::Passed, process, setup, workspace::Workspace};

/// Arguments of `lab`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What can be done with labs.
#[derive(Debug, Subcommand)]
enum Command {
    /// Removes what labs left behind whose owner is gone.
    Sweep,
}

/// `cargo xtask lab`.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<Passed> {
    setup::lab(workspace)?;
    let lab = bench::build(workspace, "lab", &[])?;
    let Command::Sweep = args.command;
    process::run(process::as_root(lab)?.arg("sweep"))?;
    Ok(Passed::Whole)
}
