//! Where the control plane's programs are. Builds nothing: that is `cargo xtask`.

use std::{
    env,
    path::{Path, PathBuf},
};

use lb_tests::need::Need;

/// A list of folders as in `PATH`; the first that has a program counts. `cargo xtask` sets it.
const FOLDERS: &str = "HERALD_KUBE";
/// Where `cargo xtask` keeps what it builds.
const CACHE: &str = "HERALD_CACHE";

/// What is run of Kubernetes.
const ALL: [&str; 6] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"];

/// What a test with a control plane needs.
pub fn needs() -> Vec<Need> {
    let machine = [Need::Root, Need::Program("ip"), Need::Program("ethtool"), Need::Program("nft")];
    let programs = ALL.map(|name| Need::File(program(name), "cargo xtask setup"));
    let ours = ["pod-init", "page"].map(|name| Need::File(own(name), "cargo build -p lb-tests-kube"));
    machine.into_iter().chain([Need::Program("iptables")]).chain(programs).chain(ours).collect()
}

/// The file of a program of Kubernetes, whether it is there or not.
pub fn program(name: &str) -> PathBuf {
    let found = folders().into_iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| PathBuf::from(name))
}

/// The file of a program of this package.
pub fn own(name: &str) -> PathBuf {
    lb_tests::herald::program(name)
}

/// Without the variable: what the cache has, the newest first, so that a test can be run by hand.
fn folders() -> Vec<PathBuf> {
    if let Some(list) = env::var_os(FOLDERS) {
        return env::split_paths(&list).collect();
    }
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache/herald"));
    let Some(cache) = env::var_os(CACHE).map(PathBuf::from).or_else(home) else { return Vec::new() };
    let mut folders: Vec<_> =
        cache.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|folder| folder.extension().is_none_or(|extension| extension != "partial"));
    folders.sort_by(|a, b| b.cmp(a));
    folders
}
