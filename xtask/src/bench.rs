//! `bench` and `soak`: build the program that measures or tests, and run it as root.

use std::{ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use clap::{Subcommand, ValueEnum};

use crate::{
    ebpf,
    exit::{Passed, missing},
    kube,
    metadata::Metadata,
    process, setup, suite,
    workspace::{ON_HOST, Workspace},
};

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// What to measure.
    #[arg(value_enum)]
    what: Bench,
    /// Writes the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many Services; of `bgp` and `kube` only.
    #[arg(long, value_name = "NUMBER")]
    services: Option<usize>,
    /// Further arguments of the program, after `--`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Nanoseconds per frame of the kernel program, by path.
    Xdp,
    /// 10,000 addresses in an agent: time to fill, time of a change, memory.
    Agent,
    /// A controller's plan of 10,000 Services.
    Plan,
    /// How long an address goes unanswered when its holder fails or is to go, over many runs.
    Failover,
    /// BGP: traffic back after a node's death, from a write to the router, many prefixes.
    Bgp,
    /// What it costs an agent to probe 20 nodes every 50 ms.
    Probing,
    /// Controller and agent on a real API server with `--services` Services.
    Kube,
}

impl Bench {
    /// The program that measures it.
    const fn program(self) -> &'static str {
        match self {
            Self::Xdp => "bench-xdp",
            Self::Agent => "bench-agent",
            Self::Plan => "plan-bench",
            Self::Failover => "bench-failover",
            Self::Bgp => "bench-bgp",
            Self::Probing => "bench-probing",
            Self::Kube => "bench-kube",
        }
    }
}

/// Arguments of `soak`.
#[derive(Debug, clap::Args)]
pub(crate) struct SoakArgs {
    #[command(subcommand)]
    what: Soak,
}

/// What can be tested for long.
#[derive(Debug, Subcommand)]
enum Soak {
    /// 1,000 random edits of a manifest folder, with the controller killed in between.
    Edits {
        /// Arguments of the program: its seed, its length.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// 30 minutes of random faults over five nodes and 200 addresses: every second of each is accounted for.
    Holder {
        /// Arguments of the program: its seed, its length.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// A segment that falls in two and comes together, 50 times; and every other fault that has a name.
    Partition {
        /// Arguments of the program: how often.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// Agents with 5 % of a core on a machine that is busy: nothing moves, nothing goes unanswered.
    Starvation {
        /// Arguments of the program: its length.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// 5 % and 20 % of the frames between nodes are lost at random.
    Loss {
        /// Arguments of the program: its length.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// 10,000,000 random frames on the host, 100,000 through the kernel program.
    Frames,
    /// 10,000,000 random and mutated messages through the BGP speaker.
    Bgp,
    /// A BFD session of 3 × 50 ms with FRR: ten minutes with all processors busy, then 100 silences.
    Bfd {
        /// Arguments of the program: minutes, silences.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        more: Vec<String>,
    },
    /// The kube suite against another version of Kubernetes; ten minutes at rest; 10,000 operations of two controllers.
    Kube {
        /// Which, as `1.33`; without one the newest.
        #[arg(long)]
        version: Option<String>,
        /// Arguments of the test binaries, after `--`.
        #[arg(last = true)]
        more: Vec<String>,
    },
}

/// `cargo xtask bench`.
pub(crate) fn bench(workspace: &Workspace, args: &BenchArgs) -> Result<Passed> {
    ebpf::build(workspace, None)?;
    setup::lab(workspace)?;
    let mut arguments = args.more.clone();
    if let Some(json) = &args.json {
        // The program runs at the root of the clone, the path is meant from here.
        let json = std::path::absolute(json).context("the path of --json")?;
        arguments.extend(["--json".into(), json.to_str().context("the path of --json is not UTF-8")?.into()]);
    }
    if let Some(services) = args.services {
        if !matches!(args.what, Bench::Bgp | Bench::Kube) {
            bail!("--services is for `bench bgp` and `bench kube`");
        }
        arguments.extend(["--services".into(), services.to_string()]);
    }
    if matches!(args.what, Bench::Agent | Bench::Failover | Bench::Probing | Bench::Bgp | Bench::Kube) {
        process::run(daemons(workspace).arg("--release"))?;
    }
    if args.what == Bench::Bgp {
        setup::bgp(workspace)?;
    }
    if matches!(args.what, Bench::Bgp | Bench::Kube) {
        let programs = setup::kube(workspace, None)?;
        let built = build(workspace, args.what.program(), &["--release"])?;
        // sudo may clear the environment, so the variable goes on the command line.
        let mut variable = OsString::from(format!("{}=", kube::PROGRAMS));
        variable.push(programs);
        let mut command = process::as_root("env")?;
        process::run(command.current_dir(&workspace.root).arg(variable).arg(built).args(arguments))?;
        return Ok(Passed::Whole);
    }
    run(workspace, args.what.program(), &arguments)
}

/// `cargo xtask soak`.
pub(crate) fn soak(workspace: &Workspace, args: &SoakArgs) -> Result<Passed> {
    ebpf::build(workspace, None)?;
    setup::lab(workspace)?;
    match &args.what {
        Soak::Edits { more } => {
            process::run(daemons(workspace).arg("--release"))?;
            run(workspace, "soak-edits", more)
        }
        Soak::Holder { more } => faults(workspace, "holder", more),
        Soak::Partition { more } => faults(workspace, "partition", more),
        Soak::Starvation { more } => faults(workspace, "starvation", more),
        Soak::Loss { more } => faults(workspace, "loss", more),
        Soak::Frames => {
            suite::run_alone(workspace, "lb-common", "random", &[("HERALD_FRAMES", "10000000".into())])?;
            suite::run_alone(workspace, "lb-tests-packet", "agree", &[("HERALD_KERNEL_FRAMES", "100000".into())])?;
            Ok(Passed::Whole)
        }
        Soak::Bgp => {
            suite::run_alone(workspace, "lb-bgp", "streams", &[("HERALD_BGP_MESSAGES", "10000000".into())])?;
            Ok(Passed::Whole)
        }
        Soak::Bfd { more } => {
            setup::bgp(workspace)?;
            run(workspace, "soak-bfd", more)
        }
        Soak::Kube { version, more } => {
            let passed = suite::kube(workspace, version.as_deref(), more)?;
            // What is idle for two minutes in `test` is idle for ten.
            let programs = setup::kube(workspace, version.as_deref())?;
            let variables = [(kube::PROGRAMS, programs.clone()), ("HERALD_IDLE_SECONDS", "600".into())];
            suite::run_alone(workspace, "lb-tests-kube", "idle", &variables)?;
            // And the race of two controllers is ten times as long.
            let variables = [(kube::PROGRAMS, programs), ("HERALD_RACE_OPERATIONS", "10000".into())];
            suite::run_alone(workspace, "lb-tests-kube", "race", &variables)?;
            Ok(passed)
        }
    }
}

/// Runs one of the fault tests.
fn faults(workspace: &Workspace, what: &str, more: &[String]) -> Result<Passed> {
    process::run(daemons(workspace).arg("--release"))?;
    let arguments: Vec<String> = [what.to_owned()].into_iter().chain(more.iter().cloned()).collect();
    run(workspace, "soak-faults", &arguments)
}

/// Builds a program, optimized, and runs it as root.
fn run(workspace: &Workspace, program: &str, arguments: &[String]) -> Result<Passed> {
    let built = build(workspace, program, &["--release"])?;
    let mut command = process::as_root(built)?;
    process::run(command.current_dir(&workspace.root).args(arguments))?;
    Ok(Passed::Whole)
}

/// Builds a program of the workspace by name, and says where it is.
pub(crate) fn build(workspace: &Workspace, name: &str, profile: &[&str]) -> Result<PathBuf> {
    let found = Metadata::read(workspace)?.program(name);
    let program = found.ok_or_else(|| missing(format!("the workspace has no program {name} yet")))?;
    let kind = if program.example { "--example" } else { "--bin" };
    let mut cargo = workspace.cargo();
    process::run(cargo.arg("build").args(ON_HOST).args([kind, &program.name]).args(profile))?;
    let folder = workspace.target().join(if profile.contains(&"--release") { "release" } else { "debug" });
    Ok(if program.example { folder.join("examples") } else { folder }.join(&program.name))
}

/// `cargo build` of the controller and the agent.
pub(crate) fn daemons(workspace: &Workspace) -> Command {
    let mut cargo = workspace.cargo();
    cargo.arg("build").args(ON_HOST).args(["--bin", "lb-controller", "--bin", "lb-agent"]);
    cargo
}
