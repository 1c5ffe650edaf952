//! Nodes with agents, a controller, a router, and a Service that is announced by BGP alone.

use std::time::Duration;

use lb_tests::{
    herald::{self, Agent, AgentOptions, Controller, Manifests},
    lab::{Lab, Shape},
    need,
};
use serde_json::Value;

use crate::{
    frr::{self, Frr},
    stage::{OURS, THEIRS},
};

/// Debug builds on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);
/// What the Service gets: the pool has one address of each family.
pub const V4: &str = "203.0.113.7/32";
/// Of IPv6.
pub const V6: &str = "2001:db8:7::7/128";

/// How a scene is built.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Nodes, each with an agent.
    pub nodes: u8,
    /// Stations on the segment that are neither.
    pub clients: u8,
    /// How agents are started.
    pub agents: AgentOptions,
    /// Between two BFD packets in either direction, in milliseconds; three may be missed.
    pub bfd_millis: u32,
}

impl Setting {
    /// So many nodes, and a BFD that a busy machine does not trouble.
    pub fn of(nodes: u8) -> Self {
        Self { nodes, clients: 0, agents: AgentOptions::default(), bfd_millis: 300 }
    }
}

/// What was built.
#[derive(Debug)]
pub struct Scene {
    /// The agents, by node.
    pub agents: Vec<Agent>,
    /// The router.
    pub frr: Frr,
    /// What the user wrote.
    pub manifests: Manifests,
    /// Where all of it stands.
    pub lab: Lab,
    options: AgentOptions,
    _controller: Controller,
}

impl Scene {
    /// Builds one. `None` (and said so) if this machine cannot run it.
    pub fn start(setting: &Setting) -> anyhow::Result<Option<Self>> {
        let needs = [herald::agent_needs(), herald::controller_needs()].concat();
        if !need::met(&needs) || !crate::met() {
            return Ok(None);
        }
        let &Setting { nodes, clients, bfd_millis, .. } = setting;
        let lab = Lab::new(Shape { nodes, clients, routers: 1, snooping: false })?;
        let manifests = Manifests::new(lab.dir().join("manifests"))?;
        let profile = format!("spec: {{receiveInterval: {bfd_millis}, transmitInterval: {bfd_millis}}}");
        for (file, text) in [
            ("nodes.yaml", self::nodes(nodes, &[])),
            ("objects.yaml", OBJECTS.replace("spec: {}", &profile)),
            ("peer.yaml", peer("router", THEIRS, "  enableGracefulRestart: true\n  bfdProfile: calm\n")),
            ("slice.yaml", slice(true)),
        ] {
            manifests.write(file, &text)?;
        }
        let addresses: Vec<String> = lab.nodes.iter().map(|node| node.v4.to_string()).collect();
        let neighbours: Vec<_> =
            addresses.iter().map(|address| (address.as_str(), OURS, "NEIGHBOUR bfd profile calm\n")).collect();
        let profile = format!("  transmit-interval {bfd_millis}\n  receive-interval {bfd_millis}\n");
        let config = frr::bgpd(THEIRS, &neighbours) + "\nbfd\n profile calm\n" + &profile;
        let frr = Frr::start(&lab, &lab.routers[0], &config)?;
        let controller = Controller::start(&lab, &manifests, &[])?;
        let options = setting.agents.clone();
        let mut scene = Self { agents: Vec::new(), frr, _controller: controller, manifests, lab, options };
        for node in 0..usize::from(nodes) {
            let agent = scene.agent(node)?;
            scene.agents.push(agent);
        }
        Ok(Some(scene))
    }

    /// Starts an agent that has ended again.
    pub fn start_agent(&mut self, node: usize) -> anyhow::Result<()> {
        self.agents[node] = self.agent(node)?;
        Ok(())
    }

    fn agent(&self, node: usize) -> anyhow::Result<Agent> {
        Agent::start(&self.lab, &self.lab.nodes[node], &self.manifests, &self.options)
    }

    /// The next hops of a prefix's valid paths, in order; of IPv6 the global ones.
    pub fn next_hops(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
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

    /// The nodes' IPv4 addresses, as the router names next hops.
    pub fn own_v4(&self) -> Vec<String> {
        self.lab.nodes.iter().map(|node| node.v4.to_string()).collect()
    }

    /// The same of IPv6.
    pub fn own_v6(&self) -> Vec<String> {
        self.lab.nodes.iter().map(|node| node.v6.to_string()).collect()
    }
}

/// What the router's BFD has counted of its first peer.
pub fn bfd_counters(frr: &Frr) -> anyhow::Result<Value> {
    let peers = frr.json("show bfd peers counters json")?;
    Ok(peers[0].clone())
}

/// Nodes; these of them are cordoned, by their numbers from 1.
pub fn nodes(count: u8, cordoned: &[u8]) -> String {
    let node = |number| {
        let cordoned = cordoned.contains(&number);
        format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: node-{number}\nspec:\n  unschedulable: {cordoned}\n---\n"
        )
    };
    (1..=count).map(node).collect()
}

/// A BGPPeer: the router, as the AS that it is or is not in.
pub fn peer(name: &str, peer_as: u32, more: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata:\n  name: {name}\n  namespace: metallb-system\nspec:\n  \
         myASN: {OURS}\n  peerASN: {peer_as}\n  peerAddress: 192.0.2.251\n  dualStackAddressFamily: true\n{more}"
    )
}

/// One endpoint on the first node, which serves or does not.
pub fn slice(serves: bool) -> String {
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
