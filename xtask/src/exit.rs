//! How a command ends, and the exit code that says so.

use std::{env, process::ExitCode};

/// A command that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Everything ran.
    Whole,
    /// Some of it could not run here; one line each.
    Skipping(Vec<String>),
}

/// A prerequisite is not there. One sentence: what is missing and what to install.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Missing(String);

/// An error that ends the command with "a prerequisite is missing".
pub(crate) fn missing(what: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Missing(what.into()))
}

/// The meaning of an exit code of `cargo xtask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Passed = 0,
    Failed = 1,
    Missing = 2,
    Skipped = 3,
}

/// Whether skips are failures (`HERALD_REQUIRE=all`).
pub(crate) fn require_all() -> bool {
    env::var("HERALD_REQUIRE").as_deref() == Ok("all")
}

/// The code for a result. Pure.
pub(crate) fn code(result: &anyhow::Result<Passed>, require_all: bool) -> Code {
    match result {
        Ok(Passed::Whole) => Code::Passed,
        Ok(Passed::Skipping(_)) if require_all => Code::Failed,
        Ok(Passed::Skipping(_)) => Code::Skipped,
        Err(error) if error.downcast_ref::<Missing>().is_some() => Code::Missing,
        Err(_) => Code::Failed,
    }
}

/// Says how the command ended, and gives its exit code.
pub(crate) fn report(result: anyhow::Result<Passed>, require_all: bool) -> ExitCode {
    let code = code(&result, require_all);
    match result {
        Ok(Passed::Whole) => {}
        Ok(Passed::Skipping(skips)) => {
            let meaning = if require_all { "a failure under HERALD_REQUIRE=all" } else { "exit code 3" };
            eprintln!("skipped ({meaning}):");
            for skip in skips {
                eprintln!("  {skip}");
            }
        }
        Err(error) => eprintln!("error: {error:#}"),
    }
    ExitCode::from(code as u8)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn each_end_has_its_code() {
        assert_eq!(code(&Ok(Passed::Whole), true), Code::Passed);
        assert_eq!(code(&Err(anyhow!("broken")), false), Code::Failed);
        assert_eq!(code(&Ok(Passed::Skipping(vec!["no root".into()])), false), Code::Skipped);
    }

    #[test]
    fn a_skip_fails_where_everything_is_required() {
        assert_eq!(code(&Ok(Passed::Skipping(vec!["no root".into()])), true), Code::Failed);
    }

    #[test]
    fn a_missing_prerequisite_is_seen_through_its_context() {
        let result = Err(missing("install bpf-linker")).context("building the kernel program");
        assert_eq!(code(&result, true), Code::Missing);
    }
}
