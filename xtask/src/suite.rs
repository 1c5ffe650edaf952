//! `cargo xtask test`: the suites, each with its time and its budget.
//!
//! Building is not part of a suite's time: budgets are for a warm build folder.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::{
    bench, ebpf,
    exit::Passed,
    output::Tally,
    process::{self, Line},
    setup,
    workspace::Workspace,
};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which suites; without any, all.
    #[arg(value_enum)]
    suites: Vec<Suite>,
    /// Arguments of the test binaries, after `--`: a filter, `--nocapture`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// A suite. The order is the order they run in: what needs least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Every crate's own tests, on the host, with the documentation's examples.
    Pure,
    /// The kernel program on frames: golden, and random ones against the host.
    Packet,
    /// Controller and agents in network namespaces.
    Lab,
}

impl Suite {
    const ALL: [Self; 3] = [Self::Pure, Self::Packet, Self::Lab];

    const fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Packet => "packet",
            Self::Lab => "lab",
        }
    }

    /// How long it may take, warm. At twice this it is ended and has failed.
    const fn budget(self) -> Duration {
        Duration::from_secs(match self {
            Self::Pure => 4 * 60,
            Self::Packet => 2 * 60,
            Self::Lab => 4 * 60,
        })
    }

    /// Its arguments of `cargo test`.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            // The default members; `lb-tests` and `lb-ebpf` are none.
            Self::Pure => &[],
            Self::Packet => &["--package", "lb-tests-packet", "--tests", "--lib"],
            Self::Lab => &["--package", "lb-tests", "--tests", "--lib"],
        }
    }

    /// Whether its test binaries run as root.
    const fn is_root(self) -> bool {
        match self {
            Self::Pure => false,
            Self::Packet | Self::Lab => true,
        }
    }
}

/// How a suite went.
#[derive(Debug)]
struct Ran {
    suite: Suite,
    took: Duration,
    tally: Tally,
    /// Why it failed, if it did.
    failure: Option<String>,
}

/// `cargo xtask test`.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<Passed> {
    let suites = if args.suites.is_empty() { Suite::ALL.to_vec() } else { args.suites.clone() };
    // The agent embeds the object, so that even the pure suite needs it.
    ebpf::build(workspace, None)?;
    if suites.iter().any(|suite| suite.is_root()) {
        setup::lab(workspace)?;
    }
    let mut ran = Vec::new();
    for suite in suites {
        println!("── suite {}", suite.name());
        ran.push(one(workspace, suite, &args.more)?);
    }
    conclude(ran)
}

fn one(workspace: &Workspace, suite: Suite, more: &[String]) -> Result<Ran> {
    if suite == Suite::Lab {
        process::run(&mut bench::daemons(workspace))?;
    }
    process::run(workspace.cargo().arg("test").args(suite.arguments()).arg("--no-run"))
        .with_context(|| format!("building the suite {}", suite.name()))?;
    let mut cargo = workspace.cargo();
    // One failed binary does not hide the others.
    cargo.arg("test").args(suite.arguments()).args(["--no-fail-fast", "--"]).args(more);
    if suite.is_root()
        && let Some(sudo) = process::sudo()?
    {
        cargo.env(runner(&host(workspace)?), sudo);
    }
    let mut tally = Tally::default();
    let started = Instant::now();
    let status = process::stream(&mut cargo, suite.budget() * 2, |line| match line {
        Some(Line::Out(line)) => {
            println!("{line}");
            tally.line(&line);
        }
        Some(Line::Err(line)) => {
            eprintln!("{line}");
            tally.line(&line);
        }
        None => {}
    });
    let took = started.elapsed();
    let failure = match status {
        Ok(status) => judge(suite, took, &tally, status.success()),
        Err(error) => Some(format!("{error:#}")),
    };
    Ok(Ran { suite, took, tally, failure })
}

/// Why a suite that ended has failed, if it has. Pure.
fn judge(suite: Suite, took: Duration, tally: &Tally, success: bool) -> Option<String> {
    if !success || tally.failed > 0 {
        return Some(format!("{} of {} tests failed", tally.failed, tally.failed + tally.passed));
    }
    if tally.passed == 0 {
        return Some("no test ran".into());
    }
    let budget = suite.budget();
    (took >= budget * 2).then(|| format!("took {} s, its budget is {} s", took.as_secs(), budget.as_secs()))
}

/// Prints the table, and says what all suites together come to.
fn conclude(ran: Vec<Ran>) -> Result<Passed> {
    println!("── suites");
    for Ran { suite, took, tally, failure } in &ran {
        let verdict = failure.as_deref().unwrap_or(if took > &suite.budget() { "ok, over budget" } else { "ok" });
        println!(
            "{:<8} {:>6.1} s of {:>3} s  {:>4} passed {:>3} failed {:>3} skipped  {verdict}",
            suite.name(),
            took.as_secs_f64(),
            suite.budget().as_secs(),
            tally.passed,
            tally.failed,
            tally.skips.len(),
        );
    }
    let failed: Vec<&str> = ran.iter().filter(|ran| ran.failure.is_some()).map(|ran| ran.suite.name()).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    let skips: Vec<String> = ran.into_iter().flat_map(|ran| ran.tally.skips).collect();
    Ok(if skips.is_empty() { Passed::Whole } else { Passed::Skipping(skips) })
}

/// The target that cargo builds for.
fn host(workspace: &Workspace) -> Result<String> {
    let version = process::read(workspace.cargo().arg("--version").arg("--verbose"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("cargo does not say its host")?.to_owned())
}

/// The variable that names what cargo runs test binaries with: only they run as root, cargo does not.
fn runner(host: &str) -> String {
    format!("CARGO_TARGET_{}_RUNNER", host.replace(['-', '.'], "_").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: Tally = Tally { passed: 12, failed: 0, skips: Vec::new() };

    fn ran(suite: Suite, skips: &[&str], failure: Option<&str>) -> Ran {
        let skips = skips.iter().copied().map(String::from).collect();
        let tally = Tally { passed: 1, failed: 0, skips };
        Ran { suite, took: Duration::from_secs(1), tally, failure: failure.map(String::from) }
    }

    #[test]
    fn a_suite_may_take_its_budget_and_fails_at_twice_of_it() {
        let budget = Suite::Pure.budget();
        assert_eq!(judge(Suite::Pure, budget, &PASSED, true), None);
        let failure = judge(Suite::Pure, budget * 2, &PASSED, true);
        assert_eq!(failure.as_deref(), Some("took 480 s, its budget is 240 s"));
    }

    #[test]
    fn a_suite_in_which_nothing_ran_has_failed() {
        let empty = Tally::default();
        assert!(judge(Suite::Lab, Duration::ZERO, &empty, true).is_some());
    }

    #[test]
    fn a_failed_exit_counts_without_a_failed_test() {
        assert!(judge(Suite::Lab, Duration::ZERO, &PASSED, false).is_some());
    }

    #[test]
    fn one_failed_suite_fails_all_and_is_named() {
        let all = vec![ran(Suite::Pure, &[], None), ran(Suite::Lab, &["x: needs root"], Some("1 of 2 tests failed"))];
        assert_eq!(conclude(all).expect_err("lab failed").to_string(), "failed: lab");
    }

    #[test]
    fn skips_of_all_suites_are_kept() {
        let all = vec![ran(Suite::Packet, &["a: needs root"], None), ran(Suite::Lab, &["b: needs ip"], None)];
        let passed = conclude(all).expect("nothing failed");
        assert_eq!(passed, Passed::Skipping(vec!["a: needs root".into(), "b: needs ip".into()]));
    }

    #[test]
    fn the_runner_s_variable_is_cargo_s() {
        assert_eq!(runner("x86_64-unknown-linux-gnu"), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER");
    }
}
