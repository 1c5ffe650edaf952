//! The control plane of the kube suite: built from the Go modules in `tests/kube/go`, kept by version.
//!
//! Must not: download what a build already made. Once a version is in the cache, neither Go nor a network is needed.
//!
//! Invariant: a program stands in the cache only when it was built to its end: it is built beside it and renamed.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{exit, process, setup, workspace::Workspace};

/// Tells the tests where the programs are: a list of folders as in `PATH`, the first that has a program counts.
pub(crate) const PROGRAMS: &str = "HERALD_KUBE";
/// A folder with an API server, etcd and kubectl that somebody else built: used instead of ours.
const ASSETS: &str = "KUBEBUILDER_ASSETS";
/// The version that tests run without being told: the newest that is supported.
pub(crate) const NEWEST: &str = "1.36";

const KUBERNETES: &str = "k8s.io/kubernetes";
const KUBERNETES_PROGRAMS: [&str; 5] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"];
const ETCD: &str = "go.etcd.io/etcd/server/v3";

/// Builds what is missing of a version (`1.36` or `1.36.3`; without one the newest, and then what `KUBEBUILDER_ASSETS`
/// names goes first). Returns the value of [`PROGRAMS`].
pub(crate) fn prepare(workspace: &Workspace, version: Option<&str>) -> Result<OsString> {
    let _lock = setup::lock(workspace)?;
    let kubernetes = Module::read(&folder(workspace, version.unwrap_or(NEWEST))?, KUBERNETES)?;
    let etcd = Module::read(&modules(workspace).join("etcd"), ETCD)?;
    if let Some(wanted) = version.filter(|wanted| !is_of(&kubernetes.version, wanted)) {
        let have = &kubernetes.version;
        return Err(exit::missing(format!("Kubernetes {wanted} cannot be built: tests/kube/go has {have} of it")));
    }
    // Who names a version wants that one.
    let assets = env::var_os(ASSETS).filter(|_| version.is_none()).map(PathBuf::from);
    let given = |program: &str| assets.as_ref().is_some_and(|folder| folder.join(program).is_file());

    let kubernetes_cache = workspace.cache.join(format!("kubernetes-{}", kubernetes.version));
    let etcd_cache = workspace.cache.join(format!("etcd-{}", etcd.version));
    let absent = |program: &&str| !given(program) && !kubernetes_cache.join(program).is_file();
    let missing: Vec<_> = KUBERNETES_PROGRAMS.iter().copied().filter(absent).collect();
    if !missing.is_empty() {
        let packages: Vec<_> = missing.iter().map(|name| (*name, format!("{KUBERNETES}/cmd/{name}"))).collect();
        build(&kubernetes, &kubernetes_cache, &packages, &version_flags(&kubernetes.version))?;
    }
    if !given("etcd") && !etcd_cache.join("etcd").is_file() {
        build(&etcd, &etcd_cache, &[("etcd", ETCD.to_owned())], "-s -w")?;
    }
    env::join_paths(assets.into_iter().chain([kubernetes_cache, etcd_cache]))
        .context("a folder of the cache has a colon in its name")
}

fn modules(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tests/kube/go")
}

/// The folder of the module for a version, by its first two numbers.
fn folder(workspace: &Workspace, version: &str) -> Result<PathBuf> {
    let name: Vec<_> = version.split('.').take(2).collect();
    let folder = modules(workspace).join(name.join("."));
    if folder.join("go.mod").is_file() {
        return Ok(folder);
    }
    Err(exit::missing(format!("Kubernetes {version} has no module in tests/kube/go: copy one and change its versions")))
}

/// Whether a version is what was asked for: `1.33.13` is of `1.33`. Pure.
fn is_of(version: &str, wanted: &str) -> bool {
    version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A Go module of ours, as its `go.mod` says.
#[derive(Debug, PartialEq, Eq)]
struct Module {
    folder: PathBuf,
    /// Of what it is there to build, without the `v`.
    version: String,
    /// The oldest Go that builds it.
    go: String,
}

impl Module {
    fn read(folder: &Path, of: &str) -> Result<Self> {
        let file = folder.join("go.mod");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let (version, go) = versions(&text, of).with_context(|| format!("{} requires no {of}", file.display()))?;
        Ok(Self { folder: folder.to_owned(), version, go })
    }
}

/// The required version of a module and the `go` line of a `go.mod`. Pure.
fn versions(go_mod: &str, of: &str) -> Option<(String, String)> {
    let words = || go_mod.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let version = words().find_map(|words| match words[..] {
        ["require", module, version, ..] | [module, version, ..] if module == of => version.strip_prefix('v'),
        _ => None,
    })?;
    let go = words().find_map(|words| if let ["go", go] = words[..] { Some(go.to_owned()) } else { None })?;
    Some((version.to_owned(), go))
}

/// Without them the API server says that its version is 0.0.0, and clients believe it. Pure.
fn version_flags(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    format!(
        "-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean"
    )
}

fn build(module: &Module, into: &Path, programs: &[(&str, String)], linker_flags: &str) -> Result<()> {
    let go = go(&module.go)?;
    // On the same file system, so that a rename is enough; left behind by a build that was killed, it is used again.
    // Not an extension: that would take the last number of the version away.
    let mut partial = into.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::create_dir_all(&partial).with_context(|| format!("creating {}", partial.display()))?;
    fs::create_dir_all(into).with_context(|| format!("creating {}", into.display()))?;
    let names: Vec<_> = programs.iter().map(|(name, _)| *name).collect();
    let mut command = Command::new(go);
    command.current_dir(&module.folder).args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"]);
    command.args(["-ldflags", linker_flags, "-o"]);
    // Several programs go into a folder under their own names; the name of a single one would be its package's.
    match programs {
        [(name, package)] => command.arg(partial.join(name)).arg(package),
        _ => command.arg(&partial).args(programs.iter().map(|(_, package)| package)),
    };
    // Flags and workspaces of the user's own are not for tools; a newer Go is not downloaded unasked.
    command.env("CGO_ENABLED", "0").env("GOFLAGS", "").env("GOWORK", "off").env("GOTOOLCHAIN", "local");
    let label = format!("building {} into {} (minutes, once)", names.join(", "), into.display());
    process::run_with_progress(&label, &mut command)?;
    for name in names {
        fs::rename(partial.join(name), into.join(name)).with_context(|| format!("keeping {name}"))?;
    }
    fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))
}

/// The Go compiler, at least of this version.
fn go(least: &str) -> Result<PathBuf> {
    let Some(go) = process::find("go") else {
        return Err(exit::missing(format!("the control plane is built with Go: install Go {least} or newer")));
    };
    let version = process::read(Command::new(&go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"))?;
    if numbers(version.trim().trim_start_matches("go")) < numbers(least) {
        let have = version.trim();
        return Err(exit::missing(format!("the control plane needs Go {least} or newer, this is {have}: update it")));
    }
    Ok(go)
}

/// The numbers of a version, to be compared; what follows a number within a part does not count. Pure.
fn numbers(version: &str) -> Vec<u32> {
    let number = |part: &str| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    version.split('.').map(number).collect()
}

#[cfg(test)]
mod tests;
