//! `cargo xtask demo`: from nothing to three addresses that are answered.
//!
//! Everything is built with the `dev` profile: it compiles in half the time, and the demo shows what happens, not how
//! fast. The kernel program is the same in every profile.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{bench, ebpf, exit::Passed, process, setup, workspace::Workspace};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leaves everything running and says what to try.
    #[arg(long)]
    keep: bool,
    /// Writes the table to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How the agents attach: auto, native, tc or generic.
    #[arg(long, default_value = "auto", value_parser = ["auto", "native", "tc", "generic"])]
    mode: String,
}

/// `cargo xtask demo`.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<Passed> {
    ebpf::build(workspace, None)?;
    setup::lab(workspace)?;
    process::run(&mut bench::daemons(workspace))?;
    let demo = bench::build(workspace, "demo", &[])?;
    let mut command = process::as_root(&demo)?;
    command.current_dir(&workspace.root).args(["--mode", &args.mode]);
    command.arg("--bin-dir").arg(demo.parent().context("the demo is in a folder")?);
    command.arg("--objects").arg(workspace.objects());
    command.arg("--examples").arg(workspace.root.join("deploy/examples"));
    if args.keep {
        command.arg("--keep");
    }
    if let Some(json) = &args.json {
        command.arg("--json").arg(std::path::absolute(json).context("the path of --json")?);
    }
    process::run(&mut command)?;
    Ok(Passed::Whole)
}
