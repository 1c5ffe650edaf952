//! What a suite needs, and the honest skip when it is not there.

use std::{io::Write as _, path::PathBuf};

/// Why a suite cannot run here. Printed as `SKIP …`; under `HERALD_REQUIRE=all` it is a failure.
#[derive(Debug)]
pub struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "needs {}", self.0)
    }
}

/// Root: loading programs asks for capabilities of the initial user namespace.
pub fn root() -> Result<(), Missing> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err(Missing("root, to load BPF programs".into())) }
}

/// An object that `cargo xtask build-ebpf` made.
pub fn object(name: &str) -> Result<PathBuf, Missing> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/bpf").join(name);
    if path.is_file() { Ok(path) } else { Err(Missing(format!("{name}: run `cargo xtask build-ebpf`"))) }
}

/// A program that `cargo xtask setup` installs.
pub fn program(name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| Missing(format!("{name}: run `cargo xtask setup`")))
}

/// Unwraps what a suite needs, or says why it is skipped and returns `None`.
pub fn or_skip<T>(suite: &str, needed: Result<T, Missing>) -> Option<T> {
    match needed {
        Ok(found) => Some(found),
        Err(Missing(what)) => {
            assert_ne!(std::env::var("HERALD_REQUIRE").as_deref(), Ok("all"), "{suite} needs {what}");
            // `println!` would be captured, and a passing test's output is thrown away.
            drop(writeln!(std::io::stderr(), "SKIP {suite}: needs {what}"));
            None
        }
    }
}
