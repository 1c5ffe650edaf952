//! Installs what is missing, and says what it does. What is there at the right version is left alone, so that a
//! machine that was set up once works offline.
//!
//! Must not: install what another command did not ask for. Each command names the parts it needs.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    exit::{self, Passed},
    process,
    workspace::Workspace,
};

/// The version every build of the kernel program uses.
pub(crate) const BPF_LINKER: &str = "0.13.0";
/// Where Debian puts the LLVM that `bpf-linker` is linked with.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// Debian's compiler with a prebuilt `core` for BPF, and what the linker is built from.
const COMPILER_PACKAGES: &[&str] = &["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-llvm"];
const LINKER_PACKAGES: &[&str] =
    &["llvm-22-dev", "libclang-22-dev", "libpolly-22-dev", "libzstd-dev", "zlib1g-dev", "g++"];

/// What the lab and the demo run, and the package each comes from.
const LAB_PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("bridge", "iproute2"),
    ("arping", "iputils-arping"),
    ("ndisc6", "ndisc6"),
    ("curl", "curl"),
    ("ethtool", "ethtool"),
    ("nft", "nftables"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
];

/// What kube-proxy runs in its two modes, and a browser.
const KUBE_PROGRAMS: &[(&str, &str)] =
    &[("iptables", "iptables"), ("nft", "nftables"), ("setpriv", "util-linux"), ("chromium", "chromium")];

/// Routers to speak BGP with, none of which runs on the machine itself.
const BGP_PROGRAMS: &[(&str, &str)] = &[("vtysh", "frr"), ("bird", "bird2"), ("gobgpd", "gobgpd")];

/// Arguments of `setup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The control plane of this version (`1.33`) instead of the newest, for `soak kube --version`.
    #[arg(long, value_name = "VERSION")]
    kube: Option<String>,
}

/// `cargo xtask setup`: everything.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<Passed> {
    println!("tools are kept in {}", workspace.cache.display());
    crate::ebpf::prepare(workspace, None)?;
    lab(workspace)?;
    bgp(workspace)?;
    kube(workspace, args.kube.as_deref())?;
    println!("everything is set up");
    Ok(Passed::Whole)
}

/// A control plane of a version (the newest without one), and what kube-proxy runs. Returns where the programs are, as
/// a list of folders.
pub(crate) fn kube(workspace: &Workspace, version: Option<&str>) -> Result<OsString> {
    {
        let _lock = lock(workspace)?;
        install(absent_programs(KUBE_PROGRAMS))?;
    }
    crate::kube::prepare(workspace, version)
}

/// The lab's programs, and the file system for pinned maps.
pub(crate) fn lab(workspace: &Workspace) -> Result<()> {
    let _lock = lock(workspace)?;
    install(absent_programs(LAB_PROGRAMS))?;
    let mounts = fs::read_to_string("/proc/mounts").context("reading /proc/mounts")?;
    if !has_bpffs(&mounts) {
        println!("mounting the BPF file system on /sys/fs/bpf");
        process::run(process::as_root("mount")?.args(["-t", "bpf", "bpf", "/sys/fs/bpf"]))?;
    }
    Ok(())
}

/// Routers of the distribution. Their services are not started: only the lab's namespaces may have a speaker.
pub(crate) fn bgp(workspace: &Workspace) -> Result<()> {
    let _lock = lock(workspace)?;
    let packages = absent_programs(BGP_PROGRAMS);
    if packages.is_empty() {
        return Ok(());
    }
    let policy = Path::new("/usr/sbin/policy-rc.d");
    if policy.exists() {
        return install(packages);
    }
    // Debian asks this program before it starts a service; 101 means no.
    let write = "printf '#!/bin/sh\\nexit 101\\n' > \"$0\" && chmod 755 \"$0\"";
    process::run(process::as_root("sh")?.arg("-c").arg(write).arg(policy))?;
    let installed = install(packages);
    process::run(process::as_root("rm")?.arg("-f").arg(policy))?;
    installed
}

/// Debian's compiler for the kernel program.
pub(crate) fn compiler(workspace: &Workspace) -> Result<()> {
    let _lock = lock(workspace)?;
    install(not_installed(COMPILER_PACKAGES))
}

/// Debian's clippy for the kernel program.
pub(crate) fn clippy(workspace: &Workspace) -> Result<()> {
    let _lock = lock(workspace)?;
    install(not_installed(&["rust-web-clippy"]))
}

/// The folder with `bpf-linker` at the right version: from the cache, else from `PATH`, else built.
pub(crate) fn linker(workspace: &Workspace) -> Result<PathBuf> {
    let _lock = lock(workspace)?;
    let root = workspace.cache.join(format!("bpf-linker-{BPF_LINKER}"));
    let cached = root.join("bin/bpf-linker");
    for found in [Some(cached.clone()), process::find("bpf-linker")].into_iter().flatten() {
        if is_linker(&found) {
            return Ok(found.parent().unwrap_or(Path::new("/")).to_owned());
        }
    }
    install(not_installed(LINKER_PACKAGES))?;
    let mut cargo = workspace.cargo();
    cargo.args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--root"]).arg(&root);
    cargo.args(["--no-default-features", "--features", "llvm-22"]).env("LLVM_PREFIX", LLVM_PREFIX);
    // The clone's own build folder and its flags are not for tools.
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    process::run_with_progress(&format!("building bpf-linker {BPF_LINKER} into {}", root.display()), &mut cargo)?;
    if !is_linker(&cached) {
        return Err(exit::missing(format!(
            "{} does not run: remove {} and try again",
            cached.display(),
            root.display()
        )));
    }
    Ok(root.join("bin"))
}

fn is_linker(file: &Path) -> bool {
    let version = process::read(Command::new(file).arg("--version"));
    version.is_ok_and(|version| version.split_whitespace().nth(1) == Some(BPF_LINKER))
}

/// One set-up at a time on a machine; the lock ends with the file.
pub(crate) fn lock(workspace: &Workspace) -> Result<File> {
    let path = workspace.cache.join("setup.lock");
    fs::create_dir_all(&workspace.cache).with_context(|| format!("creating {}", workspace.cache.display()))?;
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    if file.try_lock().is_err() {
        println!("waiting for another set-up to end ({} is locked)", path.display());
        file.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}

/// Installs Debian packages. The lists are updated only when a package is not in them.
fn install(mut packages: Vec<&str>) -> Result<()> {
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if process::find("apt-get").is_none() {
        return Err(exit::missing(format!("this is not a Debian system: install what Debian calls {names}")));
    }
    let label = format!("installing {names}");
    if process::run_with_progress(&label, &mut apt(&["install"], &packages)?).is_ok() {
        return Ok(());
    }
    process::run_with_progress("the package lists may be old: apt-get update", &mut apt(&["update"], &[])?)?;
    // The reason is in apt's own lines, above; what to do is the same for each.
    process::run_with_progress(&label, &mut apt(&["install"], &packages)?)
        .map_err(|error| exit::missing(format!("install these packages by hand: {names} ({error:#})")))
}

fn apt(verb: &[&str], packages: &[&str]) -> Result<Command> {
    let mut apt = process::as_root("env")?;
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--no-install-recommends"]);
    apt.args(verb).args(packages);
    Ok(apt)
}

/// The packages of programs that are not there.
fn absent_programs(programs: &[(&str, &'static str)]) -> Vec<&'static str> {
    let absent = programs.iter().filter(|(program, _)| process::find(program).is_none());
    absent.map(|(_, package)| *package).collect()
}

fn not_installed<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let ask = ["--show", "--showformat", "${db:Status-Status} ${Package}\n"];
    // It fails when one of the packages is unknown, and still prints those that are known.
    let listed = Command::new("dpkg-query").args(ask).args(packages).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    absent(packages, &listed)
}

/// The packages that `dpkg-query` does not list as installed. Pure.
fn absent<'a>(packages: &[&'a str], listed: &str) -> Vec<&'a str> {
    let installed: Vec<&str> = listed.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    packages.iter().copied().filter(|package| !installed.contains(package)).collect()
}

/// Whether `/proc/mounts` has a BPF file system where pinned maps go. Pure.
fn has_bpffs(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some("/sys/fs/bpf") && fields.next() == Some("bpf")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_package_and_an_unknown_one_are_absent() {
        let listed = "installed curl\nconfig-files ethtool\n";
        assert_eq!(absent(&["curl", "ethtool", "ndisc6"], listed), ["ethtool", "ndisc6"]);
    }

    #[test]
    fn only_a_bpf_file_system_at_its_place_counts() {
        assert!(has_bpffs("proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n"));
        assert!(!has_bpffs("bpf /sys/fs/bpf2 bpf rw 0 0\ntmpfs /sys/fs/bpf tmpfs rw 0 0\n"));
    }
}
