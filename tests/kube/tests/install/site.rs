//! A cluster with Herald in it, and what the tests do to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use lb_api::virtual_ip::name_of;
use lb_tests::{
    lab::{INTERFACE, Shape},
    wait,
};
use lb_tests_kube::{Cluster, ClusterShape, ProxyMode, install};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The addresses are on the segment's link, so that a client asks for them by ARP and NDP.
const CLASS: &str = "
apiVersion: network.deckhouse.io/v1alpha1
kind: MetalLoadBalancerClass
metadata: { name: segment }
spec:
  type: L2
  addressPool: [192.0.2.100-192.0.2.150, '2001:db8:2::100-2001:db8:2::150']
";

pub(crate) struct Site {
    pub(crate) cluster: Cluster,
}

impl Site {
    /// Three nodes and a client, Herald installed, and a class.
    pub(crate) fn start(mode: ProxyMode) -> anyhow::Result<Self> {
        Self::start_as("base", mode)
    }

    /// The same by another kustomization of `deploy`.
    pub(crate) fn start_as(kustomization: &str, mode: ProxyMode) -> anyhow::Result<Self> {
        let lab = Shape { nodes: 3, clients: 1, ..Shape::default() };
        let shape = ClusterShape { lab, proxy: Some(mode), images: install::images()?, ..ClusterShape::default() };
        let mut cluster = Cluster::start(shape)?;
        cluster.install_herald(kustomization)?;
        cluster.kubectl().apply(CLASS)?;
        Ok(Self { cluster })
    }

    pub(crate) fn deploy(&self, name: &str, replicas: u8) -> anyhow::Result<()> {
        let kubectl = self.cluster.kubectl();
        let replicas = format!("--replicas={replicas}");
        kubectl.run(&["create", "deployment", name, "--image=lab/page", &replicas, "--port=8080"])?;
        kubectl.run(&["rollout", "status", &format!("deployment/{name}"), "--timeout=60s"])?;
        Ok(())
    }

    /// Exposes a Deployment by three addresses of each family. Returns the addresses that the Service shows, once it
    /// shows all.
    pub(crate) fn expose(&self, name: &str, policy: &str) -> anyhow::Result<Vec<IpAddr>> {
        let overrides = serde_json::json!({
            "apiVersion": "v1",
            "metadata": { "annotations": {
                "network.deckhouse.io/metal-load-balancer-class": "segment",
                "network.deckhouse.io/l2-load-balancer-external-ips-count": "3",
            } },
            "spec": { "ipFamilyPolicy": "PreferDualStack", "externalTrafficPolicy": policy },
        });
        let overrides = format!("--overrides={overrides}");
        let deployment = format!("deployment/{name}");
        let expose = ["expose", &deployment, "--type=LoadBalancer", "--port=80", "--target-port=8080", &overrides];
        self.cluster.kubectl().run(&expose)?;
        let addresses = self.addresses(name, 6)?;
        ensure!(addresses.iter().filter(|address| address.is_ipv4()).count() == 3, "{addresses:?}");
        Ok(addresses)
    }

    pub(crate) fn patch(&self, service: &str, patch: &str) -> anyhow::Result<()> {
        self.cluster.kubectl().run(&["patch", "service", service, "--type=merge", &format!("--patch={patch}")])?;
        Ok(())
    }

    /// The nodes that the Pods of a Deployment run on.
    pub(crate) fn nodes_of(&self, deployment: &str) -> anyhow::Result<BTreeSet<String>> {
        let pods = self.cluster.kubectl().json(&["get", "pods", "--selector", &format!("app={deployment}")])?;
        let pods = pods["items"].as_array().context("a list of Pods")?;
        Ok(pods.iter().filter_map(|pod| Some(pod["spec"]["nodeName"].as_str()?.to_owned())).collect())
    }

    /// The name of the agent's Pod on a node.
    pub(crate) fn agent_of(&self, node: &str) -> anyhow::Result<String> {
        Ok(self.cluster.agent(node)?["metadata"]["name"].as_str().context("a Pod has a name")?.to_owned())
    }

    pub(crate) fn agent_log(&self, pod: &str) -> anyhow::Result<String> {
        self.cluster.pod_log(install::NAMESPACE, pod, "agent")
    }

    /// What a browser makes of the page behind an address, in the client's namespace.
    pub(crate) fn browse(&self, address: IpAddr) -> anyhow::Result<String> {
        let url = url(address);
        let mut browser = self.cluster.lab().client().netns.command("chromium");
        browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"]);
        browser.arg(format!("--user-data-dir={}", self.cluster.lab().dir().join("browser").display()));
        let output = browser.args(["--timeout=20000", "--dump-dom", &url]).output().context("start chromium")?;
        ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Merges a patch into an object of Herald's group as whoever has the token; an error is the API server's message.
    pub(crate) fn patch_as(&self, token: &str, path: &str, patch: &str) -> anyhow::Result<()> {
        self.cluster.patch_as(token, &format!("lb.herald.dev/v1alpha1/{path}"), patch)
    }

    /// Whether a node's interface has an XDP program.
    pub(crate) fn is_attached(&self, node: &str) -> anyhow::Result<bool> {
        let mut ip = self.cluster.node(node)?.netns.command("ip");
        let output = ip.args(["link", "show", "dev", INTERFACE]).output().context("start ip")?;
        ensure!(output.status.success(), "ip link: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).contains("prog/xdp"))
    }

    /// What a Service shows, once it shows so many addresses.
    pub(crate) fn addresses(&self, service: &str, count: usize) -> anyhow::Result<Vec<IpAddr>> {
        Ok(wait::for_ok(LIMIT, format!("{count} addresses of {service}"), || {
            let found = self.cluster.kubectl().json(&["get", "service", service])?;
            let ingress = found["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
            let addresses: Vec<IpAddr> =
                ingress.iter().filter_map(|entry| entry["ip"].as_str()?.parse().ok()).collect();
            ensure!(addresses.len() == count, "{}", found["status"]);
            Ok(addresses)
        })?)
    }

    /// Which node says that it holds each address, once all are held.
    pub(crate) fn holders(&self, addresses: &[IpAddr]) -> anyhow::Result<BTreeMap<IpAddr, String>> {
        Ok(wait::for_ok(LIMIT, "a holder of each address", || {
            addresses
                .iter()
                .map(|address| {
                    let vip = self.cluster.kubectl().json(&["get", "vip", &name_of(*address)])?;
                    let holder = vip["status"]["holder"].as_str();
                    Ok((*address, holder.with_context(|| format!("{address} is held by nobody"))?.to_owned()))
                })
                .collect::<anyhow::Result<_>>()
        })?)
    }

    /// The page behind an address, fetched by curl from the client; tried until the way is there.
    pub(crate) fn page(&self, address: IpAddr) -> anyhow::Result<Page> {
        Ok(wait::for_ok(LIMIT, format!("a page of {address}"), || self.fetch(address))?)
    }

    /// The same, once.
    pub(crate) fn fetch(&self, address: IpAddr) -> anyhow::Result<Page> {
        let url = url(address);
        let client = self.cluster.lab().client();
        let mut curl = client.netns.command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "2", &url]);
        let output = curl.output().context("start curl")?;
        ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Page::parse(&String::from_utf8_lossy(&output.stdout))
    }

    pub(crate) fn done(self) {
        self.cluster.done();
    }
}

fn url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("http://{v4}/"),
        IpAddr::V6(v6) => format!("http://[{v6}]/"),
    }
}

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) pod: String,
    pub(crate) client: IpAddr,
}

impl Page {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let line = |start: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(start));
            found.with_context(|| format!("a page without {start:?}: {text}"))
        };
        Ok(Self { pod: line("pod ")?.to_owned(), client: line("client ")?.parse()? })
    }
}
