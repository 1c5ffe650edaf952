//! What a test needs of its machine, and an honest word when it is not there.
//!
//! A test that cannot run says `SKIP <what>: <why>` on the real standard error (the harness's capture is passed by),
//! and under `HERALD_REQUIRE=all` it fails instead. Nothing here installs anything: that is `cargo xtask setup`.

use std::{
    env, fmt,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Set to `all`, it turns every skip into a failure.
pub const REQUIRE: &str = "HERALD_REQUIRE";

/// One thing that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Namespaces, packet sockets and BPF need it.
    Root,
    /// A program in `PATH`.
    Program(&'static str),
    /// A file that a build step makes, and the command that makes it.
    File(PathBuf, &'static str),
}

/// A prerequisite is missing; says in one sentence what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(String);

/// Whether everything is there. If not, says so as a skip, or panics where skips are failures.
pub fn met(needs: &[Need]) -> bool {
    let Err(missing) = check(needs) else { return true };
    assert!(env::var(REQUIRE).as_deref() != Ok("all"), "{missing} ({REQUIRE}=all makes this a failure)");
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    // `eprintln!` would be captured, and a passing test's output is thrown away.
    drop(writeln!(std::io::stderr(), "SKIP {test}: {missing}"));
    false
}

/// The first thing that is missing, as an error.
pub fn check(needs: &[Need]) -> Result<(), Missing> {
    match needs.iter().find(|need| !need.is_there()) {
        None => Ok(()),
        Some(need) => Err(Missing(need.to_string())),
    }
}

impl Need {
    fn is_there(&self) -> bool {
        match self {
            Self::Root => nix::unistd::geteuid().is_root(),
            Self::Program(name) => find_program(name).is_some(),
            Self::File(path, _) => path.is_file(),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("must be run as root (`cargo xtask test` does)"),
            Self::Program(name) => write!(f, "`{name}` is not in PATH: run `cargo xtask setup`"),
            Self::File(path, how) => write!(f, "{} is missing: run `{how}`", path.display()),
        }
    }
}

/// The file of a program, as a shell would find it; root's `sbin` folders count although a user's PATH lacks them.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// The workspace's root folder, where `target/bpf` and `deploy` are.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is a folder of the workspace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_command_that_installs_it() {
        let missing = check(&[Need::Program("no-such-program")]).expect_err("it is not there");
        assert_eq!(missing.to_string(), "`no-such-program` is not in PATH: run `cargo xtask setup`");
    }

    #[test]
    fn what_is_there_is_met() {
        assert_eq!(check(&[Need::Program("sh"), Need::File(workspace().join("Cargo.toml"), "git clone")]), Ok(()));
    }
}
