//! The two compilers that can make a BPF object, and the refusals of those that cannot.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::TARGET;
use crate::{exit::missing, process, workspace::Workspace};

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A compiler that can make a BPF object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// Debian's, with a prebuilt `core`. Its version line.
    Debian(String),
    /// A rustup nightly with the source of `core`. Its version line.
    Nightly(String),
}

impl Toolchain {
    /// Debian's compiler, if it is there, new enough, and has a `core` for BPF.
    pub(crate) fn debian() -> Result<Self> {
        let ask = |what: &[&str]| process::read(Command::new(DEBIAN_RUSTC).args(what));
        let version = ask(&["--version"]).unwrap_or_default();
        let sysroot = ask(&["--print", "sysroot"]).unwrap_or_default();
        let core = Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET);
        judge_debian(&version, core.is_dir())
    }

    /// A rustup nightly, if it is there and has `rust-src`.
    pub(crate) fn nightly() -> Result<Self> {
        let ask = |what: &[&str]| process::read(Command::new("rustup").args(["run", "nightly", "rustc"]).args(what));
        let version = ask(&["--version"]).unwrap_or_default();
        let sysroot = ask(&["--print", "sysroot"]).unwrap_or_default();
        judge_nightly(&version, core_source(Path::new(sysroot.trim())).is_file())
    }

    /// For a line that says what is used.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Debian(version) => format!("{DEBIAN_RUSTC} ({version})"),
            Self::Nightly(version) => format!("the rustup nightly ({version}; this way is untried)"),
        }
    }

    /// `cargo <verb>` with this compiler.
    pub(super) fn cargo(&self, workspace: &Workspace, verb: &str) -> Command {
        match self {
            Self::Debian(_) => {
                let mut cargo = workspace.cargo();
                cargo.arg(verb).env("RUSTC", DEBIAN_RUSTC);
                cargo
            }
            Self::Nightly(_) => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", "nightly", "cargo", verb, "-Z", "build-std=core"]);
                // Those of the toolchain that runs us would win over `rustup run`.
                for of_ours in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
                    cargo.env_remove(of_ours);
                }
                cargo
            }
        }
    }
}

/// Where `rust-src` puts `core`.
fn core_source(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml")
}

fn judge_debian(version: &str, has_core: bool) -> Result<Toolchain> {
    // rust-version of the workspace.
    if minor(version).is_none_or(|minor| minor < 95) {
        return Err(missing("the kernel program needs Debian's rustc 1.95 or later: install the package rustc-web"));
    }
    if !has_core {
        return Err(missing("Debian's rustc has no `core` for BPF: install the package libstd-rust-web-dev-bpf"));
    }
    Ok(Toolchain::Debian(version.trim().to_owned()))
}

fn judge_nightly(version: &str, has_source: bool) -> Result<Toolchain> {
    if !version.contains("nightly") {
        return Err(missing(
            "the kernel program needs a compiler for BPF: run `rustup toolchain install nightly --component rust-src`",
        ));
    }
    if !has_source {
        return Err(missing(
            "the rustup nightly has no `rust-src`, so it cannot build `core` for BPF: run `rustup component add rust-src \
             --toolchain nightly`",
        ));
    }
    Ok(Toolchain::Nightly(version.trim().to_owned()))
}

/// The minor version of `rustc 1.96.0 (…)`.
fn minor(version: &str) -> Option<u32> {
    version.split(' ').nth(1)?.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Code, Passed, code};

    const NIGHTLY: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\n";

    /// The sentence, after making sure that the command would end with "a prerequisite is missing".
    fn refused(result: Result<Toolchain>) -> String {
        let error = result.expect_err("it must refuse");
        let sentence = error.to_string();
        assert_eq!(code(&Err::<Passed, _>(error), false), Code::Missing);
        assert!(!sentence.contains('\n'), "one sentence: {sentence}");
        sentence
    }

    #[test]
    fn a_nightly_without_rust_src_is_refused_in_one_sentence_that_says_what_to_install() {
        assert_eq!(
            refused(judge_nightly(NIGHTLY, false)),
            "the rustup nightly has no `rust-src`, so it cannot build `core` for BPF: run `rustup component add rust-src \
             --toolchain nightly`"
        );
    }

    #[test]
    fn no_nightly_is_refused_and_a_whole_one_is_taken() {
        assert!(refused(judge_nightly("", false)).contains("rustup toolchain install nightly"));
        let taken = judge_nightly(NIGHTLY, true).expect("it has everything");
        assert_eq!(taken, Toolchain::Nightly(NIGHTLY.trim().into()));
    }

    #[test]
    fn debian_s_old_compiler_and_one_without_core_are_refused() {
        assert!(refused(judge_debian("rustc 1.63.0\n", true)).contains("rustc-web"));
        assert!(refused(judge_debian("", false)).contains("rustc-web"));
        assert!(
            refused(judge_debian("rustc 1.96.0 (ac68faa20 2026-05-25)", false)).contains("libstd-rust-web-dev-bpf")
        );
    }

    #[test]
    fn the_installed_nightly_is_judged_by_its_own_files() {
        let sysroot = tempfile::tempdir().expect("a folder");
        let source = core_source(sysroot.path());
        assert!(refused(judge_nightly(NIGHTLY, source.is_file())).contains("rust-src"));

        std::fs::create_dir_all(source.parent().expect("in a folder")).expect("created");
        std::fs::write(&source, "[package]").expect("written");

        assert!(judge_nightly(NIGHTLY, source.is_file()).is_ok());
    }
}
