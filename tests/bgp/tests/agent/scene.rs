//! Nodes with agents, a controller, a router, and a Service that is announced by BGP alone.

use std::time::Duration;

use lb_tests::{
    herald::{self, Agent, AgentOptions, Controller, Manifests},
    lab::Lab,
    need,
};
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{OURS, THEIRS},
};
use serde_json::Value;

/// Debug builds on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// What the Service gets: the pool has one address of each family.
pub(crate) const V4: &str = "203.0.113.7/32";
pub(crate) const V6: &str = "2001:db8:7::7/128";

pub(crate) struct Scene {
    pub(crate) agents: Vec<Agent>,
    pub(crate) frr: Frr,
    _controller: Controller,
    pub(crate) manifests: Manifests,
    lab: Lab,
}

impl Scene {
    /// `None` (and said so) if this machine cannot run it.
    pub(crate) fn start(nodes: u8) -> anyhow::Result<Option<Self>> {
        let needs = [herald::agent_needs(), herald::controller_needs()].concat();
        if !need::met(&needs) {
            return Ok(None);
        }
        let Some(lab) = lb_tests_bgp::stage::lab(nodes, 1)? else { return Ok(None) };
        let manifests = Manifests::new(lab.dir().join("manifests"))?;
        for (file, text) in [
            ("nodes.yaml", self::nodes(nodes, false)),
            ("objects.yaml", OBJECTS.to_owned()),
            ("peer.yaml", peer("router", THEIRS, "  enableGracefulRestart: true\n  bfdProfile: calm\n")),
            ("slice.yaml", slice(true)),
        ] {
            manifests.write(file, &text)?;
        }
        let addresses: Vec<String> = lab.nodes.iter().map(|node| node.v4.to_string()).collect();
        let neighbours: Vec<_> =
            addresses.iter().map(|address| (address.as_str(), OURS, "NEIGHBOUR bfd profile calm\n")).collect();
        let config = frr::bgpd(THEIRS, &neighbours) + "\nbfd\n profile calm\n  transmit-interval 300\n";
        let frr = Frr::start(&lab, &lab.routers[0], &config)?;
        let controller = Controller::start(&lab, &manifests, &[])?;
        let mut scene = Self { agents: Vec::new(), frr, _controller: controller, manifests, lab };
        for node in 0..usize::from(nodes) {
            let agent = scene.agent(node)?;
            scene.agents.push(agent);
        }
        Ok(Some(scene))
    }

    /// Starts an agent that has ended again.
    pub(crate) fn start_agent(&mut self, node: usize) -> anyhow::Result<()> {
        self.agents[node] = self.agent(node)?;
        Ok(())
    }

    fn agent(&self, node: usize) -> anyhow::Result<Agent> {
        Agent::start(&self.lab, &self.lab.nodes[node], &self.manifests, &AgentOptions::default())
    }

    /// The next hops of a prefix's valid paths, in order; of IPv6 the global ones.
    pub(crate) fn next_hops(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let valid = self.frr.paths(prefix)?.into_iter().filter(|path| path["valid"] == true);
        let hop = |path: Value| {
            let hops = path["nexthops"].as_array().cloned().unwrap_or_default();
            let global = hops.iter().filter_map(|hop| hop["ip"].as_str()).find(|ip| !ip.starts_with("fe80"));
            global.map(str::to_owned)
        };
        let mut hops: Vec<String> = valid.filter_map(hop).collect();
        hops.sort_unstable();
        Ok(hops)
    }

    pub(crate) fn own_v4(&self) -> Vec<String> {
        self.lab.nodes.iter().map(|node| node.v4.to_string()).collect()
    }

    pub(crate) fn own_v6(&self) -> Vec<String> {
        self.lab.nodes.iter().map(|node| node.v6.to_string()).collect()
    }
}

/// Nodes; the first one may be cordoned.
pub(crate) fn nodes(count: u8, cordoned: bool) -> String {
    let node = |number| {
        let cordoned = cordoned && number == 1;
        format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: node-{number}\nspec:\n  unschedulable: {cordoned}\n---\n"
        )
    };
    (1..=count).map(node).collect()
}

/// A BGPPeer: the router, as the AS that it is or is not in.
pub(crate) fn peer(name: &str, peer_as: u32, more: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata:\n  name: {name}\n  namespace: metallb-system\nspec:\n  \
         myASN: {OURS}\n  peerASN: {peer_as}\n  peerAddress: 192.0.2.251\n  dualStackAddressFamily: true\n{more}"
    )
}

/// One endpoint on the first node, which serves or does not.
pub(crate) fn slice(serves: bool) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: web-1\n  namespace: default\n  labels:\n    \
         kubernetes.io/service-name: web\naddressType: IPv4\nendpoints:\n- addresses: [10.0.0.1]\n  nodeName: node-1\n  \
         conditions:\n    ready: {serves}\n    serving: {serves}\nports: []\n"
    )
}

const OBJECTS: &str = r#"apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: web
  namespace: metallb-system
spec:
  addresses: [203.0.113.7/32, "2001:db8:7::7/128"]
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata:
  name: web
  namespace: metallb-system
spec:
  ipAddressPools: [web]
  communities: ["64512:100", "large:64512:1:2"]
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata:
  name: calm
  namespace: metallb-system
spec: {}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: default
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  selector:
    app: web
  ports:
  - port: 80
"#;
