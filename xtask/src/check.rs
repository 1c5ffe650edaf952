//! `cargo xtask check`: what can be judged without running the programs. Every check runs; all failures are told.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    bench, deps, ebpf,
    exit::Passed,
    metadata::Metadata,
    process, setup,
    workspace::{ON_HOST, Workspace},
};

mod links;
mod manifests;
mod sources;

type Check = fn(&Workspace) -> Result<()>;

/// Quick ones first.
const CHECKS: [(&str, Check); 9] = [
    ("format", format),
    ("source files", source_files),
    ("links in documents", document_links),
    ("manifests", package_manifests),
    ("dependencies between crates", dependencies),
    ("clippy of the kernel programs", clippy_bpf),
    ("clippy", clippy),
    ("generated CRDs", crds),
    ("documentation", docs),
];

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the checks whose names contain this.
    only: Option<String>,
}

/// `cargo xtask check`.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<Passed> {
    let wanted = |(name, _): &&(&str, Check)| args.only.as_deref().is_none_or(|part| name.contains(part));
    let checks: Vec<_> = CHECKS.iter().filter(wanted).collect();
    if checks.is_empty() {
        bail!("no such check; there are: {}", CHECKS.map(|(name, _)| name).join(", "));
    }
    // The agent embeds the object, so that nothing of it compiles without.
    ebpf::build(workspace, None)?;
    let mut failed = Vec::new();
    for (name, check) in &checks {
        println!("── {name}");
        let started = Instant::now();
        match check(workspace) {
            Ok(()) => println!("ok: {name} ({:.1} s)", started.elapsed().as_secs_f64()),
            Err(error) => {
                println!("FAILED: {name}: {error:#}");
                failed.push(*name);
            }
        }
    }
    println!("── {} of {} checks passed", checks.len() - failed.len(), checks.len());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(Passed::Whole)
}

fn format(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo().arg("clippy").args(ON_HOST).args(["--all-targets", "--", "-D", "warnings"]))
}

/// Debian's clippy belongs to Debian's compiler, and only that one has a `core` for BPF.
fn clippy_bpf(workspace: &Workspace) -> Result<()> {
    setup::clippy(workspace)?;
    let (toolchain, linker) = ebpf::prepare(workspace, Some(ebpf::Choice::Debian))?;
    let mut check = ebpf::command(workspace, &toolchain, &linker, "check")?;
    // What `cargo clippy` does, with the driver named: the one beside our cargo is of the other compiler.
    check.env("RUSTC_WORKSPACE_WRAPPER", "/usr/bin/clippy-driver").env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings");
    process::run(check.arg("--target-dir").arg(workspace.root.join("target/bpf-clippy")))
}

fn docs(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.arg("doc").args(ON_HOST).args(["--no-deps", "--document-private-items"]);
    process::run(cargo.env("RUSTDOCFLAGS", "-D warnings"))
}

fn crds(workspace: &Workspace) -> Result<()> {
    let generator = bench::build(workspace, "crdgen", &[])?;
    process::run(Command::new(generator).current_dir(&workspace.root).args(["--check", "deploy/crds"]))
}

fn dependencies(workspace: &Workspace) -> Result<()> {
    tell(deps::drift(&Metadata::read(workspace)?))
}

fn package_manifests(workspace: &Workspace) -> Result<()> {
    let mut faults = Vec::new();
    for package in Metadata::read(workspace)?.packages {
        if package.license.is_none() {
            faults.push(format!("{} has no license", package.name));
        }
        let text = read(&package.manifest_path)?;
        faults.extend(manifests::faults(&text).into_iter().map(|fault| format!("{}: {fault}", package.name)));
    }
    for licence in ["LICENSE", "LICENSE-GPL-2.0"] {
        read(&workspace.root.join(licence))?;
    }
    tell(faults)
}

fn source_files(workspace: &Workspace) -> Result<()> {
    let mut faults = Vec::new();
    let mut long = 0;
    for path in files(workspace)? {
        faults.extend(sources::name_faults(&path));
        // A link to nowhere or a file that is no text has no lines to judge.
        let Ok(text) = std::fs::read_to_string(workspace.root.join(&path)) else { continue };
        faults.extend(sources::text_faults(&path, &text));
        long += usize::from(path.ends_with(".rs") && text.lines().count() > sources::GOAL);
    }
    println!("{long} source files are over {} lines", sources::GOAL);
    tell(faults)
}

fn document_links(workspace: &Workspace) -> Result<()> {
    let mut faults = Vec::new();
    for path in files(workspace)?.into_iter().filter(|path| path.ends_with(".md")) {
        let file = workspace.root.join(&path);
        let folder = file.parent().context("a document is in a folder")?;
        for link in links::relative(&read(&file)?) {
            if !folder.join(&link).exists() {
                faults.push(format!("{path}: {link} does not exist"));
            }
        }
    }
    tell(faults)
}

/// Every file of the project: those in git and those that could be, relative to the root.
fn files(workspace: &Workspace) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
    let listed = process::read(&mut git)?;
    // A file that was deleted and not committed is still listed.
    Ok(listed.lines().filter(|path| workspace.root.join(path).is_file()).map(String::from).collect())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// An error with one line for each fault, if there are any.
fn tell(faults: Vec<String>) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{} faults\n  {}", faults.len(), faults.join("\n  "))
}
