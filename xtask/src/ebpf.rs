//! `cargo xtask build-ebpf`: compiles `lb-ebpf` for the kernel, prints what came out, asks the verifier if told to.
//!
//! The compiler is Debian's, which has a prebuilt `core` for BPF; a rustup nightly with `rust-src` is the other way
//! (written, never tried). The stable compiler of the rest of the workspace has neither.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::{
    elf,
    exit::Passed,
    process,
    setup::{self, BPF_LINKER},
    workspace::Workspace,
};

mod toolchain;

pub(crate) use toolchain::Toolchain;

/// The compile target: little-endian BPF.
const TARGET: &str = "bpfel-unknown-none";
/// The profile of the workspace that they are compiled with.
const PROFILE: &str = "kernel";
/// Programs of `lb-ebpf` and the objects they become.
const OBJECTS: [(&str, &str); 2] = [("herald", "herald.o"), ("lab", "lab.o")];
/// Names a prebuilt object; then nothing is built.
const PREBUILT: &str = "HERALD_EBPF_OBJECT";

/// Arguments of `build-ebpf`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Args {
    /// Asks the kernel's verifier about the built objects (as root).
    #[arg(long)]
    load: bool,
    /// Which compiler: Debian's where it is or can be installed, else a rustup nightly with `rust-src` (untried).
    #[arg(long, value_enum)]
    toolchain: Option<Choice>,
}

/// A compiler one can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// `/usr/bin/rustc` of the package rustc-web.
    Debian,
    /// `rustup run nightly`, with `-Z build-std=core`.
    Nightly,
}

/// `cargo xtask build-ebpf`.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<Passed> {
    let objects = build(workspace, args.toolchain)?;
    for object in &objects {
        print_sizes(object)?;
    }
    if args.load {
        for object in &objects {
            verify(workspace, object)?;
        }
    }
    Ok(Passed::Whole)
}

/// The built objects, the agent's first. Builds only what changed.
pub(crate) fn build(workspace: &Workspace, choice: Option<Choice>) -> Result<Vec<PathBuf>> {
    if let Some(prebuilt) = env::var_os(PREBUILT).map(PathBuf::from) {
        let read = fs::read(&prebuilt).with_context(|| format!("reading {} of {PREBUILT}", prebuilt.display()))?;
        elf::functions(&read).with_context(|| format!("{} of {PREBUILT}", prebuilt.display()))?;
        println!("{PREBUILT} names {}: nothing is built", prebuilt.display());
        return Ok(vec![prebuilt]);
    }
    let (toolchain, linker) = prepare(workspace, choice)?;
    println!("building the kernel programs with {}", toolchain.describe());
    let target = workspace.root.join("target/bpf-build");
    let mut cargo = command(workspace, &toolchain, &linker, "build")?;
    cargo.args(["--profile", PROFILE, "--target-dir"]).arg(&target);
    process::run(&mut cargo)?;
    let built = target.join(TARGET).join(PROFILE);
    let objects: Result<Vec<PathBuf>> =
        OBJECTS.iter().map(|(bin, object)| publish(&built.join(bin), &workspace.objects().join(object))).collect();
    let objects = objects?;
    objects.iter().try_for_each(|object| refuse_calls(object))?;
    Ok(objects)
}

/// The compiler and the folder with the linker, installed if need be.
pub(crate) fn prepare(workspace: &Workspace, choice: Option<Choice>) -> Result<(Toolchain, PathBuf)> {
    let toolchain = match choice {
        Some(Choice::Nightly) => Toolchain::nightly()?,
        Some(Choice::Debian) => install(workspace)?,
        None => match Toolchain::debian() {
            Ok(debian) => debian,
            // Where nothing can be installed, a nightly that could do it is better than a refusal.
            Err(_) if process::find("apt-get").is_none() => Toolchain::nightly()?,
            Err(_) => install(workspace)?,
        },
    };
    Ok((toolchain, setup::linker(workspace)?))
}

fn install(workspace: &Workspace) -> Result<Toolchain> {
    Toolchain::debian().or_else(|_| {
        setup::compiler(workspace)?;
        Toolchain::debian()
    })
}

/// `cargo <verb>` for the kernel programs.
pub(crate) fn command(workspace: &Workspace, toolchain: &Toolchain, linker: &Path, verb: &str) -> Result<Command> {
    let flags = ["-C", "linker=bpf-linker", "-C", "link-arg=--btf", "-C", "debuginfo=2", "-C", "target-cpu=v3"];
    // Packet bytes as words instead of single bytes (ADR 0010).
    let words = ["-C", "link-arg=--cpu-features=+allows-misaligned-mem-access"];
    // aya's bindings of kernel types ask for the machine the program will run on.
    let flags = [flags.as_slice(), &words, &["--cfg=bpf_target_arch=\"x86_64\""]].concat();
    let mut cargo = toolchain.cargo(workspace, verb);
    cargo.current_dir(&workspace.root).args(["--package", "lb-ebpf", "--target", TARGET]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("PATH", process::path_with(linker)?);
    Ok(cargo)
}

/// Puts a built object at its place, atomically and only if it changed: the agent's build looks at its time.
fn publish(from: &Path, to: &Path) -> Result<PathBuf> {
    let bytes =
        fs::read(from).with_context(|| format!("reading {}: bpf-linker {BPF_LINKER} wrote nothing", from.display()))?;
    if !fs::read(to).is_ok_and(|old| old == bytes) {
        let dir = to.parent().context("objects are in a folder")?;
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let part = to.with_extension(format!("{}.part", std::process::id()));
        fs::write(&part, &bytes).with_context(|| format!("writing {}", part.display()))?;
        fs::rename(&part, to).with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(to.to_owned())
}

/// A program that is a call of its own function costs every frame that passes 7 ns (`bench xdp`: 1.8 became 8.5 ns).
fn refuse_calls(object: &Path) -> Result<()> {
    let bytes = fs::read(object).with_context(|| format!("reading {}", object.display()))?;
    let functions = elf::functions(&bytes).with_context(|| object.display().to_string())?;
    let called: Vec<&str> = elf::called(&functions).map(|function| function.name.as_str()).collect();
    ensure!(
        called.is_empty(),
        "{}: called instead of being part of a program: {}; mark them #[inline(always)]",
        object.display(),
        called.join(", ")
    );
    Ok(())
}

fn print_sizes(object: &Path) -> Result<()> {
    let bytes = fs::read(object).with_context(|| format!("reading {}", object.display()))?;
    let functions = elf::functions(&bytes).with_context(|| object.display().to_string())?;
    println!("{}: {} bytes", object.display(), bytes.len());
    for function in functions {
        println!("  {:<28} {:<8} {:>6} instructions", function.name, function.section, function.instructions);
    }
    Ok(())
}

/// Asks the kernel's verifier, as root.
fn verify(workspace: &Workspace, object: &Path) -> Result<()> {
    println!("asking the verifier about {}", object.display());
    let program = crate::bench::build(workspace, "verify", &[])?;
    process::run(process::as_root(program)?.arg(object))
        .with_context(|| format!("the kernel refuses {}", object.display()))
}
