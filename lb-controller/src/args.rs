//! The command line. Every flag is also an environment variable `HERALD_<FLAG>`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use jiff::SignedDuration;
use lb_plan::{bgp::Account, controller::Configuration, election::Timing};
use lb_store::{Key, Place};

use crate::webhook::Settings;

/// Allocates addresses to LoadBalancer Services and ranks the nodes that may hold them.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Args {
    /// Directory of manifests, in place of an API server.
    #[arg(long, env = "HERALD_MANIFESTS", conflicts_with = "kubeconfig")]
    pub manifests: Option<PathBuf>,
    /// File that names an API server. Without it and without --manifests: the cluster that this is a Pod of.
    #[arg(long, env = "HERALD_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Where to serve /metrics, /healthz, /readyz and /state.
    #[arg(long, env = "HERALD_LISTEN", default_value = "127.0.0.1:7481")]
    pub listen: SocketAddr,
    /// How long a released address is kept for its former owner.
    #[arg(long, env = "HERALD_QUARANTINE", default_value = "60s", value_parser = duration)]
    pub quarantine: Duration,
    /// The namespace of IPAddressPools, L2Advertisements and their like.
    #[arg(long, env = "HERALD_CONFIG_NAMESPACE", default_value = "metallb-system")]
    pub config_namespace: String,
    /// Where addresses come from. `classes`: MetalLB's objects are neither read nor written about, so that Herald can
    /// run beside MetalLB.
    #[arg(long, env = "HERALD_SOURCES", value_enum, default_value_t)]
    pub sources: Sources,
    /// Of the Services that have no MetalLoadBalancerClass only those with this `spec.loadBalancerClass` are served.
    /// Unset: only those without one.
    #[arg(long, env = "HERALD_LB_CLASS")]
    pub lb_class: Option<String>,
    /// The ServiceAccount of the agents, in the namespace of the controller: it may read the passwords of BGP peers.
    #[arg(long, env = "HERALD_AGENT_ACCOUNT", default_value = "herald-agent")]
    pub agent_account: String,
    /// Which of several replicas writes.
    #[command(flatten)]
    pub election: ElectionArgs,
    /// What is said to who is about to write.
    #[command(flatten)]
    pub webhook: WebhookArgs,
    /// How log lines look.
    #[arg(long, env = "HERALD_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

impl Args {
    /// Where the objects are.
    pub fn place(&self) -> Place {
        Place::given(self.manifests.as_deref(), self.kubeconfig.as_deref())
    }

    /// How the webhook's certificate is kept.
    pub(crate) fn webhook_settings(&self) -> Settings {
        let namespace = self.election.namespace();
        let service = [".svc", "", ".svc.cluster.local"].map(|end| format!("{WEBHOOK}.{namespace}{end}"));
        Settings {
            names: service.into_iter().chain(self.webhook.webhook_names.iter().cloned()).collect(),
            secret: Key::new(namespace, WEBHOOK),
            configuration: WEBHOOK_CONFIGURATION.into(),
            renew_after: self.webhook.webhook_renew_after,
        }
    }

    /// Who reads the passwords of BGP peers.
    pub(crate) fn reader(&self) -> Account {
        Account { namespace: self.election.namespace(), name: self.agent_account.clone() }
    }

    /// What decisions depend on. A directory's files are the user's: nothing in them is annotated.
    pub fn configuration(&self) -> Configuration {
        let lb_class = self.lb_class.clone().filter(|class| !class.is_empty());
        Configuration {
            namespace: self.config_namespace.clone(),
            lb_class,
            annotates: self.manifests.is_none(),
            reads_metallb: self.sources == Sources::All,
        }
    }
}

/// Where addresses come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Sources {
    /// MetalLoadBalancerClasses and IPAddressPools.
    #[default]
    All,
    /// MetalLoadBalancerClasses only.
    Classes,
}

/// Which of several replicas writes. Without effect on a directory, which has a lock.
#[derive(Debug, Clone, clap::Args)]
pub struct ElectionArgs {
    /// Where the Lease is. Unset: the namespace of the Pod, or `default`.
    #[arg(long, env = "HERALD_NAMESPACE")]
    pub namespace: Option<String>,
    /// The name of the Lease. Replicas with the same name share the work.
    #[arg(long, env = "HERALD_LEASE_NAME", default_value = "herald-controller")]
    pub lease_name: String,
    /// How long the other replicas wait for a leader that is silent; whole seconds.
    #[arg(long, env = "HERALD_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// How long a leader that cannot renew its lease goes on; shorter than the lease.
    #[arg(long, env = "HERALD_RENEW_DEADLINE", default_value = "10s", value_parser = duration)]
    pub renew_deadline: Duration,
    /// How often the lease is renewed, and looked at by the others; at most half of the renew deadline.
    #[arg(long, env = "HERALD_RETRY_PERIOD", default_value = "2s", value_parser = duration)]
    pub retry_period: Duration,
}

/// The validating webhook. Only with an API server.
#[derive(Debug, Clone, clap::Args)]
pub struct WebhookArgs {
    /// Where to serve the validating webhook. Unset: not at all.
    #[arg(long, env = "HERALD_WEBHOOK_LISTEN")]
    pub webhook_listen: Option<SocketAddr>,
    /// Names in its certificate besides those of the Service `herald-webhook`: for a configuration with a URL.
    #[arg(long, env = "HERALD_WEBHOOK_NAMES", value_delimiter = ',')]
    pub webhook_names: Vec<String>,
    /// The age at which its certificate is replaced.
    #[arg(long, env = "HERALD_WEBHOOK_RENEW_AFTER", default_value = "720h", value_parser = duration)]
    pub webhook_renew_after: Duration,
}

/// The name of the webhook's Service and of its Secret.
const WEBHOOK: &str = "herald-webhook";
/// The ValidatingWebhookConfiguration.
const WEBHOOK_CONFIGURATION: &str = "herald";

/// What every Pod with a token finds.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

impl ElectionArgs {
    /// Where this process's own objects are.
    pub fn namespace(&self) -> String {
        let given = self.namespace.clone().filter(|namespace| !namespace.is_empty());
        let pod = || std::fs::read_to_string(POD_NAMESPACE).ok().map(|text| text.trim().to_owned());
        given.or_else(pod).unwrap_or_else(|| "default".into())
    }

    /// The Lease.
    pub fn lease(&self) -> Key {
        Key::new(self.namespace(), self.lease_name.clone())
    }

    /// The times, which have to fit together.
    pub fn timing(&self) -> anyhow::Result<Timing> {
        Timing::new(self.lease_duration, self.renew_deadline, self.retry_period)
            .context("--lease-duration, --renew-deadline and --retry-period")
    }
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

/// Longer than anybody wants to wait, and far from where times end.
const MAX_DAYS: u64 = 365;

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write it as 300ms, 60s or 5m, at most {MAX_DAYS} days");
    let parsed: SignedDuration = text.trim().parse().map_err(|_unreadable: jiff::Error| wrong())?;
    let duration = Duration::try_from(parsed).map_err(|_negative| wrong())?;
    (duration <= Duration::from_secs(MAX_DAYS * 24 * 3600)).then_some(duration).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit_and_are_not_negative() {
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration(" 60s "), Ok(Duration::from_secs(60)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for refused in ["", "10", "s", "-1s", "20000h"] {
            assert!(duration(refused).is_err(), "{refused:?}");
        }
    }
}
