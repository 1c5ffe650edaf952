//! How each program of a control plane is started.
//!
//! Ports are the same in every cluster: each cluster's control namespace is its own.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context as _;
use lb_tests::lab::{Namespace, Process};

use super::{ADDRESS, PORT};
use crate::{credentials::Credentials, net, programs::program};

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";
/// What signs service account tokens says so.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";

/// Where the programs that have no API of their own say that they are well.
pub(super) const SCHEDULER_PORT: u16 = 10259;

/// Every write, with who made it; reads would drown them, and so would those by which the API server keeps its own books.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [{"level": "None", "users": ["system:apiserver"]},
            {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
            {"level": "None"}]}"#;

/// What every start needs.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) control: Namespace,
    pub(super) folder: PathBuf,
    pub(super) credentials: Credentials,
    pub(super) audit: bool,
}

impl Launch {
    /// Its data goes with the lab, so nothing has to survive a power cut.
    pub(super) fn etcd(&self) -> anyhow::Result<Process> {
        let mut etcd = self.command("etcd");
        etcd.arg("--data-dir").arg(self.folder.join("etcd")).args(["--name", "lab", "--unsafe-no-fsync"]);
        etcd.args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD]);
        etcd.args(["--listen-peer-urls", ETCD_PEERS, "--initial-advertise-peer-urls", ETCD_PEERS]);
        etcd.args(["--initial-cluster", &format!("lab={ETCD_PEERS}")]);
        self.start("etcd", etcd)
    }

    pub(super) fn api_server(&self) -> anyhow::Result<Process> {
        let file = |name| self.credentials.file(name);
        let mut server = self.command("kube-apiserver");
        server.args(["--etcd-servers", ETCD, "--secure-port", &PORT.to_string()]);
        server.args(["--advertise-address", &ADDRESS.to_string()]);
        server.arg("--tls-cert-file").arg(file("server.crt")).arg("--tls-private-key-file").arg(file("server.key"));
        server.arg("--service-account-key-file").arg(file("service-accounts.pub"));
        server.arg("--service-account-signing-key-file").arg(file("service-accounts.key"));
        server.args(["--service-account-issuer", ISSUER]).arg("--token-auth-file").arg(file("tokens.csv"));
        server.args(["--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction"]);
        let (v4, v6) = net::SERVICE_RANGES;
        server.args(["--service-cluster-ip-range", &format!("{v4},{v6}")]);
        // No kube-proxy runs beside the API server: it calls webhooks by their endpoints.
        server.arg("--enable-aggregator-routing=true");
        if self.audit {
            let policy = self.folder.join("audit-policy.json");
            fs::write(&policy, AUDIT_POLICY).with_context(|| format!("write {}", policy.display()))?;
            server.arg("--audit-policy-file").arg(policy).arg("--audit-log-path").arg(self.audit_log());
        }
        self.start("kube-apiserver", server)
    }

    /// The controllers, then the scheduler.
    pub(super) fn controllers(&self) -> anyhow::Result<Vec<Process>> {
        let mut manager = self.command("kube-controller-manager");
        manager.arg("--kubeconfig").arg(self.credentials.kubeconfig("controller-manager"));
        manager.arg("--service-account-private-key-file").arg(self.credentials.file("service-accounts.key"));
        manager.arg("--root-ca-file").arg(self.credentials.file("ca.crt"));
        manager.args(["--use-service-account-credentials=true", "--leader-elect=false"]);
        manager.args(["--authentication-skip-lookup=true", "--node-monitor-period=1s"]);
        manager.args(["--cluster-cidr", net::POD_RANGES, "--allocate-node-cidrs=false"]);
        // The defaults would make a test of hundreds of Services wait for the client's own limit.
        manager.args(["--kube-api-qps", "500", "--kube-api-burst", "1000"]);

        let mut scheduler = self.command("kube-scheduler");
        scheduler.arg("--kubeconfig").arg(self.credentials.kubeconfig("scheduler"));
        scheduler.args(["--leader-elect=false", "--authentication-skip-lookup=true"]);
        Ok(vec![self.start("kube-controller-manager", manager)?, self.start("kube-scheduler", scheduler)?])
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.jsonl")
    }

    fn command(&self, name: &str) -> Command {
        self.control.command(program(name))
    }

    fn start(&self, name: &str, command: Command) -> anyhow::Result<Process> {
        Process::start(name, command, &self.folder.join("logs").join(format!("{name}.log")))
    }
}
