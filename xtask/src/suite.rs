//! `cargo xtask test`: the suites, each with its time and its budget.
//!
//! Building is not part of a suite's time: budgets are for a warm build folder.

use std::{
    ffi::OsString,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::{
    bench, ebpf,
    exit::Passed,
    kube,
    output::Tally,
    process::{self, Line},
    setup,
    workspace::{ON_HOST, Workspace},
};

mod built;

use built::{Test, tests};

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
    /// Who holds an address while nodes, links, agents and the network fail.
    Holder,
    /// Routers of the distribution against the agent's BGP speaker and BFD.
    Bgp,
    /// A real control plane, built once, over the lab's nodes.
    Kube,
}

impl Suite {
    const ALL: [Self; 6] = [Self::Pure, Self::Packet, Self::Lab, Self::Holder, Self::Bgp, Self::Kube];

    const fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Packet => "packet",
            Self::Lab => "lab",
            Self::Holder => "holder",
            Self::Bgp => "bgp",
            Self::Kube => "kube",
        }
    }

    /// How long it may take, warm. At twice this it is ended and has failed.
    const fn budget(self) -> Duration {
        Duration::from_secs(match self {
            Self::Pure => 4 * 60,
            Self::Packet => 2 * 60,
            Self::Lab => 4 * 60,
            Self::Holder => 3 * 60,
            Self::Bgp => 3 * 60,
            Self::Kube => 11 * 60,
        })
    }

    /// Whether a test program belongs to it.
    fn has(self, test: &Test) -> bool {
        let faults = test.is("lb-tests", "holder");
        match self {
            Self::Packet => test.package == "lb-tests-packet",
            Self::Lab => test.package == "lb-tests" && !faults,
            Self::Holder => faults,
            Self::Bgp => test.package == "lb-tests-bgp",
            Self::Kube => test.package == "lb-tests-kube",
            Self::Pure => !Self::ALL.iter().any(|suite| suite.is_root() && suite.has(test)),
        }
    }

    /// Whether its test binaries run as root.
    const fn is_root(self) -> bool {
        match self {
            Self::Pure => false,
            Self::Packet | Self::Lab | Self::Holder | Self::Bgp | Self::Kube => true,
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
    if suites.contains(&Suite::Bgp) || suites.contains(&Suite::Kube) {
        setup::bgp(workspace)?;
    }
    let programs = if suites.contains(&Suite::Kube) { Some(setup::kube(workspace, None)?) } else { None };
    let built = build(workspace)?;
    let mut ran = Vec::new();
    for suite in suites {
        println!("── suite {}", suite.name());
        let programs = programs.as_ref().filter(|_| suite == Suite::Kube);
        ran.push(one(workspace, suite, &built, programs, &args.more)?);
    }
    conclude(ran)
}

/// Runs the kube suite against a version of Kubernetes.
pub(crate) fn kube(workspace: &Workspace, version: Option<&str>, more: &[String]) -> Result<Passed> {
    setup::bgp(workspace)?;
    let programs = setup::kube(workspace, version)?;
    let built = build(workspace)?;
    conclude(vec![one(workspace, Suite::Kube, &built, Some(&programs), more)?])
}

/// Runs one test program by itself, as root, with variables that say how long it goes on.
pub(crate) fn run_alone(
    workspace: &Workspace,
    package: &str,
    name: &str,
    variables: &[(&str, OsString)],
) -> Result<()> {
    let built = build(workspace)?;
    let test = built.iter().find(|test| test.is(package, name));
    let test = test.with_context(|| format!("{package} has no test {name}"))?;
    // sudo clears the environment, so variables go on the command line.
    let mut command = process::as_root("env")?;
    for (name, value) in variables {
        let mut variable = OsString::from(format!("{name}="));
        variable.push(value);
        command.arg(variable);
    }
    command.arg(&test.program).current_dir(&test.folder);
    process::run(&mut command)
}

/// Builds every test and the programs that the lab runs: once, so that no suite's time is a build's.
fn build(workspace: &Workspace) -> Result<Vec<Test>> {
    process::run(&mut bench::daemons(workspace))?;
    let cargo = || {
        let mut cargo = workspace.cargo();
        cargo.arg("test").args(ON_HOST).arg("--no-run");
        cargo
    };
    process::run(&mut cargo()).context("building the tests")?;
    // Nothing is left to build: this only says where the tests are.
    let messages = process::read(cargo().args(["--quiet", "--message-format", "json"]))?;
    tests(&messages)
}

/// `programs` says where a control plane is, to a suite that runs one.
fn one(
    workspace: &Workspace,
    suite: Suite,
    built: &[Test],
    programs: Option<&OsString>,
    more: &[String],
) -> Result<Ran> {
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut commands = Vec::new();
    for test in built.iter().filter(|test| suite.has(test)) {
        let mut command = if suite.is_root() { process::as_root("env")? } else { Command::new("env") };
        if let Some(programs) = programs {
            // sudo may clear the environment, so the variable goes on the command line.
            let mut variable = OsString::from(format!("{}=", kube::PROGRAMS));
            variable.push(programs);
            command.arg(variable);
        }
        command.arg(&test.program);
        command.current_dir(&test.folder).args(more);
        commands.push((test.to_string(), command));
    }
    if suite == Suite::Pure {
        let mut examples = workspace.cargo();
        examples.arg("test").args(ON_HOST).arg("--doc");
        commands.push(("the examples in the documentation".into(), examples));
    }
    let mut failure = None;
    for (name, mut command) in commands {
        println!("── {name}");
        let left = (suite.budget() * 2).saturating_sub(started.elapsed());
        // One failed program does not hide the others.
        match process::stream(&mut command, left, |line| show(line, &mut tally)) {
            Ok(status) if status.success() => {}
            Ok(status) => failure = failure.or(Some(format!("{name}: {status}"))),
            Err(error) => failure = failure.or(Some(format!("{error:#}"))),
        }
    }
    let took = started.elapsed();
    let failure = judge(suite, took, &tally).or(failure);
    Ok(Ran { suite, took, tally, failure })
}

fn show(line: Option<Line>, tally: &mut Tally) {
    match line {
        Some(Line::Out(line)) => {
            println!("{line}");
            tally.line(&line);
        }
        Some(Line::Err(line)) => {
            eprintln!("{line}");
            tally.line(&line);
        }
        None => {}
    }
}

/// Why a suite that ended has failed, if it has. Pure.
fn judge(suite: Suite, took: Duration, tally: &Tally) -> Option<String> {
    if tally.failed > 0 {
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
        assert_eq!(judge(Suite::Pure, budget, &PASSED), None);
        let failure = judge(Suite::Pure, budget * 2, &PASSED);
        assert_eq!(failure.as_deref(), Some("took 480 s, its budget is 240 s"));
    }

    #[test]
    fn a_suite_in_which_nothing_ran_has_failed() {
        let empty = Tally::default();
        assert!(judge(Suite::Lab, Duration::ZERO, &empty).is_some());
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
}
