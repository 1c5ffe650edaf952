//! A cluster with Herald in it, a router on its segment, and what a user writes.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use lb_tests::{lab::Shape, need::Need, wait};
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{OURS, THEIRS},
};
use lb_tests_kube::{Cluster, ClusterShape, install, programs};
use serde_json::Value;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const V4: &str = "203.0.113.7/32";
pub(crate) const ROLE: &str = "herald-bgp-secrets";
/// Nothing that a log line might have by chance.
pub(crate) const PASSWORD: &str = "bulb-tin-harbour-91";
pub(crate) const WRONG: &str = "bulb-tin-harbour-92";

pub(crate) const SECRETS: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: metallb-system }
---
apiVersion: v1
kind: Secret
metadata: { name: routers, namespace: metallb-system }
type: kubernetes.io/basic-auth
stringData: { password: bulb-tin-harbour-91 }
---
apiVersion: v1
kind: Secret
metadata: { name: other, namespace: metallb-system }
type: kubernetes.io/basic-auth
stringData: { password: nobody-names-it }
";

pub(crate) const OBJECTS: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: pages, namespace: metallb-system }
spec: { addresses: [203.0.113.7/32] }
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: { name: pages, namespace: metallb-system }
spec: { ipAddressPools: [pages] }
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: { name: calm, namespace: metallb-system }
spec: {}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: { name: router, namespace: metallb-system }
spec:
  myASN: 64512
  peerASN: 64513
  peerAddress: 192.0.2.251
  bfdProfile: calm
  passwordSecret: { name: routers }
";

pub(crate) const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: { name: page, namespace: default }
spec:
  type: LoadBalancer
  ports: [{ port: 80 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: page-1, namespace: default, labels: { kubernetes.io/service-name: page } }
addressType: IPv4
endpoints: [{ addresses: [10.0.0.1], nodeName: node-1, conditions: { ready: true, serving: true } }]
ports: []
";

/// A BGPPeer.
pub(crate) fn peer(name: &str, address: &str, more: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: {name}, namespace: metallb-system}}\nspec:\n  \
         myASN: {OURS}\n  peerASN: {THEIRS}\n  peerAddress: {address}\n{more}"
    )
}

/// A peer whose Secret is not what a password comes in.
pub(crate) const UNUSABLE: &str = "
apiVersion: v1
kind: Secret
metadata: { name: plain, namespace: metallb-system }
stringData: { password: nobody-reads-it }
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: { name: third, namespace: metallb-system }
spec:
  myASN: 64512
  peerASN: 64513
  peerAddress: 192.0.2.99
  passwordSecret: { name: plain }
";

pub(crate) fn needs() -> Vec<Need> {
    [programs::needs(), install::needs()].concat()
}

pub(crate) struct Site {
    pub(crate) frr: Frr,
    pub(crate) cluster: Cluster,
}

impl Site {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let lab = Shape { nodes: 2, clients: 0, routers: 1, snooping: false };
        let mut cluster = Cluster::start(ClusterShape { lab, images: install::images()?, ..ClusterShape::default() })?;
        cluster.install_herald("base")?;
        let lab = cluster.lab();
        let own: Vec<String> = lab.nodes.iter().map(|node| node.v4.to_string()).collect();
        let lines = format!("NEIGHBOUR password {PASSWORD}\nNEIGHBOUR bfd profile calm\n");
        let neighbours: Vec<_> = own.iter().map(|address| (address.as_str(), OURS, lines.as_str())).collect();
        let config = frr::bgpd(THEIRS, &neighbours) + "\nbfd\n profile calm\n  transmit-interval 300\n";
        let frr = Frr::start(lab, &lab.routers[0], &config)?;
        Ok(Self { frr, cluster })
    }

    /// The nodes' addresses, as the router names next hops.
    pub(crate) fn own(&self) -> Vec<String> {
        self.cluster.lab().nodes.iter().map(|node| node.v4.to_string()).collect()
    }

    /// Waits until the router has the route from exactly these nodes.
    pub(crate) fn wait_for_routes(&self, wanted: &[String]) -> anyhow::Result<()> {
        wait::for_ok(LIMIT, format!("{V4} by {wanted:?}"), || {
            let paths = self.frr.paths(V4)?;
            let hop = |path: &Value| path["nexthops"][0]["ip"].as_str().unwrap_or_default().to_owned();
            let mut hops: Vec<String> = paths.iter().filter(|path| path["valid"] == true).map(hop).collect();
            hops.sort_unstable();
            ensure!(hops == wanted, "{hops:?}: {}", self.sessions()?);
            Ok(())
        })?;
        Ok(())
    }

    fn sessions(&self) -> anyhow::Result<Value> {
        let nodes = self.cluster.kubectl().json(&["get", "lbnode"])?;
        let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
        Ok(nodes.iter().map(|node| node["status"]["sessions"].clone()).collect())
    }

    /// The Secrets that agents may read.
    pub(crate) fn allowed(&self) -> anyhow::Result<Vec<String>> {
        let role = self.cluster.kubectl().json(&["--namespace", "metallb-system", "get", "role", ROLE])?;
        let rules = role["rules"].as_array().cloned().unwrap_or_default();
        let mut names = Vec::new();
        for rule in rules {
            ensure!(rule["verbs"] == serde_json::json!(["get", "watch"]), "{rule}");
            let named = rule["resourceNames"].as_array().context("a rule without names allows every Secret")?;
            names.extend(named.iter().filter_map(|name| name.as_str().map(str::to_owned)));
        }
        Ok(names)
    }

    /// All ServiceBGPStatuses.
    pub(crate) fn statuses(&self) -> anyhow::Result<Vec<Value>> {
        let all = self.cluster.kubectl().json(&["get", "servicebgpstatuses", "--all-namespaces"])?;
        Ok(all["items"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until these nodes and no others say that they tell these peers.
    pub(crate) fn wait_for_statuses(&self, wanted: &[(&str, &[&str])]) -> anyhow::Result<()> {
        let wanted: BTreeMap<String, Value> =
            wanted.iter().map(|(node, peers)| ((*node).to_owned(), serde_json::json!(peers))).collect();
        wait::for_ok(LIMIT, format!("the statuses to be {wanted:?}"), || {
            let all = self.statuses()?;
            let node = |one: &Value| one["status"]["node"].as_str().unwrap_or_default().to_owned();
            let found: BTreeMap<String, Value> =
                all.iter().map(|one| (node(one), one["status"]["peers"].clone())).collect();
            ensure!(found == wanted && all.len() == wanted.len(), "{all:?}");
            Ok(())
        })?;
        Ok(())
    }

    /// Waits until the ConfigurationState of each node's speaker says this.
    pub(crate) fn wait_for_states(&self, result: &str, summary: &str) -> anyhow::Result<()> {
        wait::for_ok(LIMIT, format!("the speakers' states to be {result}"), || {
            let speakers = "--selector=metallb.io/component-type=speaker";
            let all = self.cluster.kubectl().json(&["get", "configurationstates", "--all-namespaces", speakers])?;
            let all = all["items"].as_array().cloned().unwrap_or_default();
            let says = |one: &Value| {
                let status = &one["status"];
                let text = status["errorSummary"].as_str().unwrap_or_default();
                status["result"] == result && text.starts_with(summary) && text.is_empty() == summary.is_empty()
            };
            let names: Vec<&str> = all.iter().filter_map(|one| one["metadata"]["name"].as_str()).collect();
            ensure!(names == ["speaker-node-1", "speaker-node-2"] && all.iter().all(says), "{all:?}");
            Ok(())
        })?;
        Ok(())
    }

    /// Writes another password into the Secret.
    pub(crate) fn password(&self, password: &str) -> anyhow::Result<()> {
        let patch = format!(r#"--patch={{"stringData": {{"password": "{password}"}}}}"#);
        let kubectl = self.cluster.kubectl();
        kubectl.run(&["--namespace", "metallb-system", "patch", "secret", "routers", "--type=merge", &patch])?;
        Ok(())
    }

    /// What every Pod of Herald has printed.
    pub(crate) fn logs(&self) -> anyhow::Result<Vec<(String, String)>> {
        let pods = self.cluster.kubectl().json(&["--namespace", install::NAMESPACE, "get", "pods"])?;
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let log = |pod: &Value| {
            let name = pod["metadata"]["name"].as_str().context("a Pod has a name")?.to_owned();
            let container = pod["spec"]["containers"][0]["name"].as_str().context("a container has a name")?;
            let log = self.cluster.pod_log(install::NAMESPACE, &name, container)?;
            Ok((name, log))
        };
        let logs: Vec<(String, String)> = pods.iter().map(log).collect::<anyhow::Result<_>>()?;
        ensure!(logs.len() >= 3, "{} logs", logs.len());
        Ok(logs)
    }

    pub(crate) fn done(self) {
        drop(self.frr);
        self.cluster.done();
    }
}
