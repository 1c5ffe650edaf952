//! A whole cluster: a lab, a control plane, a runner and a kube-proxy for each node.
//!
//! Invariant: what [`Cluster::start`] returns has all nodes Ready, and kube-proxy has synced on each.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Mutex, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;
use lb_tests::{
    http,
    lab::{Host, Lab, Process, Shape},
    wait,
};

use crate::{
    access::Access,
    credentials::Identity,
    kubectl::Kubectl,
    net::{self, POD_RANGES, PodRanges},
    plane::{ADDRESS, PORT, Plane, PlaneShape, SERVICE},
    programs::program,
    runner::{BackOff, Duty, Images, Node, Runner},
};

/// Where kube-proxy says that it has synced.
const PROXY_HEALTH: u16 = 10256;
const READY: Duration = Duration::from_secs(60);

/// How kube-proxy makes Services of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyMode {
    /// The newer one.
    Nftables,
    /// The older one, which most clusters run.
    Iptables,
}

impl ProxyMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

/// What a cluster consists of.
#[derive(Debug, Clone)]
pub struct ClusterShape {
    /// Its machines.
    pub lab: Shape,
    /// Without one, no ClusterIP leads anywhere, and Pods find the API server by its own address.
    pub proxy: Option<ProxyMode>,
    /// Whether Pods run; without, they stay Pending, and nodes are Ready all the same.
    pub pods: bool,
    /// What Pods can run.
    pub images: Images,
    /// The spans between restarts of a container.
    pub back_off: BackOff,
    /// Labels of nodes by the node's name, besides those that kubelet sets.
    pub labels: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether every write is recorded, with who made it.
    pub audit: bool,
    /// Who has a token besides the administrator and the cluster's own programs.
    pub identities: Vec<Identity>,
}

impl Default for ClusterShape {
    fn default() -> Self {
        Self {
            lab: Shape { nodes: 2, ..Shape::default() },
            proxy: Some(ProxyMode::Nftables),
            pods: true,
            images: Images::default(),
            back_off: BackOff::default(),
            labels: BTreeMap::new(),
            audit: false,
            identities: Vec::new(),
        }
    }
}

/// A cluster at work.
#[derive(Debug)]
pub struct Cluster {
    // They end in this order; the lab takes what is left.
    proxies: BTreeMap<String, Process>,
    runners: BTreeMap<String, Runner>,
    plane: Plane,
    lab: Lab,
    shape: ClusterShape,
}

impl Cluster {
    /// Builds the lab and starts everything.
    pub fn start(shape: ClusterShape) -> anyhow::Result<Self> {
        let lab = Lab::new(shape.lab)?;
        let (audit, identities) = (shape.audit, shape.identities.clone());
        let plane = Plane::start(&lab, PlaneShape { controllers: true, audit, identities })?;
        let mut cluster = Self { proxies: BTreeMap::new(), runners: BTreeMap::new(), plane, lab, shape };
        for node in cluster.lab.nodes.clone() {
            net::connect_node(&cluster.lab, &node)?;
            cluster.start_runner(&node.name)?;
            if let Some(mode) = cluster.shape.proxy {
                cluster.start_proxy(&node, mode)?;
            }
        }
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    /// Its machines.
    pub const fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The same, to attach to it or to cut links.
    pub const fn lab_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }

    /// Its control plane.
    pub const fn plane(&self) -> &Plane {
        &self.plane
    }

    /// The same, to stop parts of it.
    pub const fn plane_mut(&mut self) -> &mut Plane {
        &mut self.plane
    }

    /// The administrator's way to the API server.
    pub fn admin(&self) -> &Access {
        self.plane.admin()
    }

    /// The administrator's `kubectl`.
    pub fn kubectl(&self) -> Kubectl {
        self.plane.kubectl()
    }

    /// A machine by its name.
    pub fn node(&self, name: &str) -> anyhow::Result<&Host> {
        self.lab.nodes.iter().find(|node| node.name == name).with_context(|| format!("there is no node {name}"))
    }

    /// The kube-proxy of a node.
    pub fn proxy(&mut self, node: &str) -> anyhow::Result<&mut Process> {
        self.proxies.get_mut(node).with_context(|| format!("{node} has no kube-proxy"))
    }

    /// What stands for a node's root directory: host paths are below it.
    pub fn host_dir(&self, node: &str) -> PathBuf {
        self.node_dir(node).join("host")
    }

    /// What a container printed, over all of its runs.
    pub fn pod_log(&self, namespace: &str, pod: &str, container: &str) -> anyhow::Result<String> {
        let log = self.plane.logs().join("pods").join(format!("{namespace}_{pod}_{container}.log"));
        fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))
    }

    /// The process of a container, as this machine sees it: to stop it, to kill it, to look at it.
    pub fn container_pid(&self, node: &str, pod_uid: &str, container: &str) -> anyhow::Result<i32> {
        let file = self.node_dir(node).join("pods").join(pod_uid).join(container).join("pid");
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        text.trim().parse().with_context(|| format!("{} holds no process id", file.display()))
    }

    /// Ends a node's runner: its containers die, and its lease is renewed no more.
    pub fn stop_runner(&mut self, node: &str) -> anyhow::Result<()> {
        self.runners.remove(node).with_context(|| format!("{node} has no runner"))?.stop()
    }

    /// Starts a node's runner (again).
    pub fn start_runner(&mut self, node: &str) -> anyhow::Result<()> {
        let (host, ranges) = self.host(node)?;
        let api_server = match self.shape.proxy {
            Some(_) => (SERVICE.to_string(), 443),
            None => (ADDRESS.to_string(), PORT),
        };
        let of = Node {
            name: host.name.clone(),
            lab: self.lab.id().to_owned(),
            v4: host.v4,
            v6: host.v6,
            ranges,
            labels: self.shape.labels.get(node).cloned().unwrap_or_default(),
            dir: self.node_dir(node),
            bpffs: self.lab.bpffs(&host)?,
            logs: self.plane.logs().join("pods"),
            images: self.shape.images.clone(),
            back_off: self.shape.back_off,
            api_server,
            numbers: Mutex::default(),
        };
        let duty = if self.shape.pods { Duty::NodeAndPods } else { Duty::Node };
        let access = Access::new(&host.netns, self.plane.access(node).kubeconfig());
        let runner = Runner::start(of, &host.netns, access, duty)?;
        self.runners.insert(node.to_owned(), runner);
        Ok(())
    }

    /// The test came to its end: nobody needs the logs.
    pub fn done(self) {
        let Self { proxies, runners, plane, lab, .. } = self;
        drop((proxies, runners));
        plane.done();
        drop(lab);
    }

    fn host(&self, name: &str) -> anyhow::Result<(Host, PodRanges)> {
        let found = net::nodes(&self.lab).find(|(node, _)| node.name == name);
        found.map(|(node, ranges)| (node.clone(), ranges)).with_context(|| format!("there is no node {name}"))
    }

    fn node_dir(&self, node: &str) -> PathBuf {
        self.lab.dir().join("nodes").join(node)
    }

    fn start_proxy(&mut self, node: &Host, mode: ProxyMode) -> anyhow::Result<()> {
        let mut proxy = node.netns.command(program("kube-proxy"));
        proxy.arg("--kubeconfig").arg(self.plane.access("proxy").kubeconfig());
        proxy.args(["--hostname-override", &node.name, "--proxy-mode", mode.name(), "--cluster-cidr", POD_RANGES]);
        // What is one for the whole machine is not a node's to change.
        for limit in ["max-per-core", "tcp-timeout-established", "tcp-timeout-close-wait"] {
            proxy.args([&format!("--conntrack-{limit}"), "0"]);
        }
        let log = self.plane.logs().join(format!("kube-proxy-{}.log", node.name));
        let started = Process::start(&format!("kube-proxy of {}", node.name), proxy, &log)?;
        self.proxies.insert(node.name.clone(), started);
        Ok(())
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let wanted = self.lab.nodes.len();
        self.admin().wait_for(READY, "all nodes to be Ready", async |client| {
            let nodes = Api::<NodeObject>::all(client.clone()).list(&kube::api::ListParams::default()).await?;
            Ok((nodes.items.iter().filter(|node| is_usable(node)).count() == wanted).then_some(()))
        })?;
        for node in &self.lab.nodes {
            let Some(proxy) = self.proxies.get_mut(&node.name) else { continue };
            let health = (std::net::Ipv4Addr::LOCALHOST, PROXY_HEALTH).into();
            wait::for_ok(READY, format!("kube-proxy of {} to sync", node.name), || {
                proxy.must_run()?;
                http::get(&node.netns, health, "/healthz")
            })?;
        }
        Ok(())
    }
}

/// Ready, and the controllers have taken away the taint that keeps Pods off until it is.
fn is_usable(node: &NodeObject) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    is_ready && taints.into_iter().all(|taint| taint.key != "node.kubernetes.io/not-ready")
}
