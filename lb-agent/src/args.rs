//! The command line. Every flag is also an environment variable `HERALD_<FLAG>`.

use std::{convert::Infallible, fmt, net::SocketAddr, path::PathBuf, str::FromStr, time};

use clap::{Parser, Subcommand, ValueEnum};
use lb_plan::agent::NamePatterns;
use lb_store::Place;

use crate::proxy::Port;

/// Makes this node answer ARP and NDP for the load balancer addresses it holds.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the agent.
    Run(Box<Run>),
    /// Takes everything away that an agent left on this node. The agent must not be running.
    Cleanup(Cleanup),
}

/// Where an agent keeps what outlives it.
#[derive(Debug, Clone, clap::Args)]
pub struct Places {
    /// Directory on a BPF file system for pinned maps and links.
    #[arg(long, env = "HERALD_BPFFS", default_value = "/sys/fs/bpf/herald")]
    pub bpffs: PathBuf,
    /// Directory for the record of changed host settings.
    #[arg(long, env = "HERALD_RUN_DIR", default_value = "/run/herald")]
    pub run_dir: PathBuf,
    /// Where `/proc/sys/net` can be written: in a container that is not privileged another mount of it.
    #[arg(long, env = "HERALD_PROC_SYS_NET", default_value = "/proc/sys/net")]
    pub proc_sys_net: PathBuf,
    /// How log lines look.
    #[arg(long, env = "HERALD_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Arguments of `cleanup`.
#[derive(Debug, clap::Args)]
pub struct Cleanup {
    /// What outlives the agent.
    #[command(flatten)]
    pub places: Places,
}

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct Run {
    /// Directory of manifests, in place of an API server.
    #[arg(long, env = "HERALD_MANIFESTS", conflicts_with = "kubeconfig")]
    pub manifests: Option<PathBuf>,
    /// File that names an API server. Without it and without --manifests: the cluster that this is a Pod of.
    #[arg(long, env = "HERALD_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// The name of this node, as VirtualIPs rank it.
    #[arg(long, env = "HERALD_NODE")]
    pub node: String,
    /// What outlives the agent.
    #[command(flatten)]
    pub places: Places,
    /// How to attach: natively, else on tc ingress, else by generic XDP; or in one of these ways only.
    #[arg(long, env = "HERALD_MODE", value_enum, default_value_t)]
    pub mode: Mode,
    /// How long the table stays valid without the agent.
    #[arg(long, env = "HERALD_LEASE", default_value = "10s")]
    pub lease: Duration,
    /// For how long an agent that is told to stop leaves its addresses to its successor.
    #[arg(long, env = "HERALD_HANDOVER", default_value = "60s")]
    pub handover: Duration,
    /// How long after the lease suppressed addresses stay suppressed, before everything passes.
    #[arg(long, env = "HERALD_SUPPRESS_LIMIT", default_value = "5m")]
    pub suppress_limit: Duration,
    /// The time between two probes of a node that this one would take over from.
    #[arg(long, env = "HERALD_PROBE_INTERVAL", default_value = "50ms")]
    pub probe_interval: Duration,
    /// How many intervals of silence make a node dead, once it does not answer for its addresses either.
    #[arg(long, env = "HERALD_PROBE_MULTIPLIER", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..))]
    pub probe_multiplier: u8,
    /// Where the health of kube-proxy, or of what replaces it, is asked once a second, as
    /// `http://127.0.0.1:10256/healthz`: a node on which it is not healthy takes nothing, and gives away what it holds.
    #[arg(long, env = "HERALD_PROXY_HEALTH", default_value = "off")]
    pub proxy_health: Port,
    /// What SIGTERM means: leave the addresses to a successor, or let go and clean up, or what the API server says.
    #[arg(long, env = "HERALD_ON_TERM", value_enum, default_value_t)]
    pub on_term: OnTerm,
    /// The Pod that this agent runs in, by which it finds its DaemonSet when it is told to stop.
    #[arg(long, env = "HERALD_POD", requires = "pod_namespace")]
    pub pod: Option<String>,
    /// The namespace of --pod.
    #[arg(long, env = "HERALD_POD_NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// The namespace of BGPPeers, BGPAdvertisements and their like.
    #[arg(long, env = "HERALD_CONFIG_NAMESPACE", default_value = "metallb-system")]
    pub config_namespace: String,
    /// Whether this node speaks BGP: `off` reads none of its objects.
    #[arg(long, env = "HERALD_BGP", value_enum, default_value_t)]
    pub bgp: Bgp,
    /// Announce by BGP from a node with the label that keeps others from it
    /// (`node.kubernetes.io/exclude-from-external-load-balancers`).
    #[arg(long, env = "HERALD_IGNORE_EXCLUDE_LB")]
    pub ignore_exclude_lb: bool,
    /// Interfaces to leave alone: names separated by commas, `*` for any characters. Replaces the default list.
    #[arg(long, env = "HERALD_EXCLUDE_INTERFACES", value_parser = patterns, default_value_t)]
    pub exclude_interfaces: NamePatterns,
    /// Where to serve /metrics, /healthz, /readyz and /state.
    #[arg(long, env = "HERALD_LISTEN", default_value = "127.0.0.1:7480")]
    pub listen: SocketAddr,
    /// The kernel program's object file, in place of the built-in one.
    #[arg(long, env = "HERALD_OBJECT")]
    pub object: Option<PathBuf>,
    /// What the kernel program logs: `frames` is a line for every frame it counts, which costs; for a lab.
    #[arg(long, env = "HERALD_EBPF_LOG", value_enum, default_value_t)]
    pub ebpf_log: EbpfLog,
}

impl Run {
    /// Where the objects are.
    pub fn place(&self) -> Place {
        Place::given(self.manifests.as_deref(), self.kubeconfig.as_deref())
    }
}

/// The level of the kernel program's log, fixed when it is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum EbpfLog {
    /// Nothing; the verifier removes the code.
    #[default]
    Off,
    /// Every counted frame.
    Frames,
}

/// Whether this node speaks BGP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Bgp {
    /// With every BGPPeer that selects it.
    #[default]
    On,
    /// Not at all, so that another speaker can.
    Off,
}

/// How to attach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Native, else tc, else generic.
    #[default]
    Auto,
    /// Native or not at all.
    Native,
    /// On tc ingress or not at all: by tcx, else by the clsact qdisc.
    Tc,
    /// Generic or not at all.
    Generic,
}

/// What SIGTERM means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnTerm {
    /// Release if the Node or the DaemonSet of --pod is going away; hand over otherwise, and where nobody can be asked.
    #[default]
    Auto,
    /// The lease is extended once and everything stays.
    Handover,
    /// Addresses are let go and every change is undone.
    Release,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A length of time as an argument: `300ms`, `10s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration(time::Duration);

/// Why a text is no [`Duration`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a whole number with one of the units ms, s, m or h, above zero and at most 24h")]
pub struct DurationError(String);

impl Duration {
    /// The value.
    pub const fn get(self) -> time::Duration {
        self.0
    }

    /// In milliseconds; at most a day.
    pub const fn millis(self) -> u64 {
        self.0.as_secs() * 1_000 + self.0.subsec_millis() as u64
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || DurationError(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refused)?;
        let (number, unit) = trimmed.split_at(digits);
        let unit_millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(refused()),
        };
        let number: u64 = number.parse().ok().ok_or_else(refused)?;
        match number.checked_mul(unit_millis) {
            Some(millis @ 1..=86_400_000) => Ok(Self(time::Duration::from_millis(millis))),
            Some(_) | None => Err(refused()),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0)
    }
}

fn patterns(text: &str) -> Result<NamePatterns, Infallible> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        let millis = |text: &str| text.parse::<Duration>().map(Duration::millis).ok();

        assert_eq!(millis("300ms"), Some(300));
        assert_eq!(millis("10s"), Some(10_000));
        assert_eq!(millis(" 5m "), Some(300_000));
        assert_eq!(millis("24h"), Some(86_400_000));
        for refused in ["", "10", "s", "0s", "-1s", "1.5s", "25h", "1d", "99999999999999999999s", "10 s"] {
            assert_eq!(millis(refused), None, "{refused:?}");
        }
    }
}
