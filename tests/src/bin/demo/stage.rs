//! Sets the stage: the lab, the manifests, one controller, three agents, and the Service's pages on every node.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use lb_tests::{
    herald::{Agent, AgentOptions, Controller, Manifests, Mode, Observer},
    http::PageServer,
    lab::{INTERFACE, Lab, Shape},
    wait,
};

use crate::interrupt::Interrupt;

const NODES: u8 = 3;
/// Addresses of each family that the example Service asks for.
const COUNT: usize = 3;
const NAMESPACE: &str = "default";
const SERVICE: &str = "web";
const LIMIT: Duration = Duration::from_secs(30);

/// Everything that runs. Fields are dropped in this order: programs first, the lab last.
pub(crate) struct Stage {
    pub(crate) agents: Vec<Agent>,
    _controller: Controller,
    _servers: Vec<PageServer>,
    pub(crate) observer: Observer,
    pub(crate) mode: Mode,
    pub(crate) addresses: Vec<IpAddr>,
    manifests: Manifests,
    pub(crate) lab: Lab,
}

impl Stage {
    /// Builds it all and waits until every address is held by the first of its nodes.
    pub(crate) fn set(examples: &Path, mode: Mode, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let start = Instant::now();
        let mut lab = Lab::new(Shape { nodes: NODES, ..Shape::default() }).context("build the lab")?;
        interrupt.removes(&lab);
        lab.attach_pass()?;
        println!("Lab {} stands: {NODES} nodes and a client on one segment ({:.1?}).", lab.id(), start.elapsed());

        let manifests = Manifests::copy_of(examples, lab.dir().join("manifests"))?;
        let observer = manifests.observe()?;
        let controller = Controller::start(&lab, &manifests, &[])?;
        let options = AgentOptions { mode, ..AgentOptions::default() };
        let agents = lab
            .nodes
            .iter()
            .map(|node| Agent::start(&lab, node, &manifests, &options))
            .collect::<anyhow::Result<Vec<_>>>()?;
        println!(
            "One controller and {NODES} agents run on a copy of {} ({:.1?}).",
            examples.display(),
            start.elapsed()
        );

        let addresses = wait_for_addresses(&observer)?;
        println!("Service {NAMESPACE}/{SERVICE} has {} addresses ({:.1?}).", addresses.len(), start.elapsed());
        lab.put_on_lo(&addresses)?;
        let servers = serve(&lab, &addresses)?;
        wait_for_holders(&observer, &addresses)?;
        println!("Every address has a holder and is on `lo` of every node ({:.1?}).\n", start.elapsed());
        Ok(Self { agents, _controller: controller, _servers: servers, observer, mode, addresses, manifests, lab })
    }

    /// The agent of a node.
    pub(crate) fn agent(&self, node: &str) -> anyhow::Result<&Agent> {
        self.agents.iter().find(|agent| agent.node().name == node).with_context(|| format!("no agent on {node}"))
    }

    /// Commands for a user who kept the stage.
    pub(crate) fn what_to_try(&self) -> String {
        let client = self.lab.client().netns.name();
        let node = self.lab.nodes.first().map_or("", |node| node.netns.name());
        let manifests = self.manifests.dir().display();
        let pick =
            |v4: bool| self.addresses.iter().find(|a| a.is_ipv4() == v4).map(IpAddr::to_string).unwrap_or_default();
        let (v4, v6) = (pick(true), pick(false));
        let pid = self.agents.first().map_or(0, Agent::pid);
        let commands = [
            (format!("ip netns exec {client} arping -c 3 -I {INTERFACE} {v4}"), "who has it"),
            (format!("ip netns exec {client} ndisc6 {v6} {INTERFACE}"), ""),
            (format!("ip netns exec {client} curl http://{v4}/"), "the page names the node"),
            (format!("kill -STOP {pid}"), "the agent on node-1: answers go on for the lease"),
            (format!("kill -CONT {pid}"), ""),
            (format!("$EDITOR {manifests}/"), "change the count, the pool, the Service"),
            (format!("cat {manifests}/.herald/objects/virtualips/_/{v4}.yaml"), "what the controller decided"),
            (format!("ip netns exec {node} curl -s http://127.0.0.1:7480/state"), "an agent of itself; also /metrics"),
        ];
        let lines = commands.iter().map(|(command, what)| match *what {
            "" => format!("\n  {command}"),
            what => format!("\n  # {what}\n  {command}"),
        });
        format!("It keeps running until Ctrl-C. In another terminal, as root, try:{}", lines.collect::<String>())
    }
}

fn wait_for_addresses(observer: &Observer) -> anyhow::Result<Vec<IpAddr>> {
    let what = format!("{COUNT} IPv4 and {COUNT} IPv6 addresses in the status of {NAMESPACE}/{SERVICE}");
    Ok(wait::for_ok(LIMIT, what, || {
        let addresses = observer.addresses(NAMESPACE, SERVICE);
        let v4 = addresses.iter().filter(|address| address.is_ipv4()).count();
        if (v4, addresses.len() - v4) == (COUNT, COUNT) { Ok(addresses) } else { Err(addresses) }
    })?)
}

fn wait_for_holders(observer: &Observer, addresses: &[IpAddr]) -> anyhow::Result<()> {
    // The node that starts first holds all until the others are there.
    let missing = || addresses.iter().copied().filter(|address| !observer.is_at_home(*address)).collect::<Vec<_>>();
    wait::for_ok(LIMIT, "every address to be held by the first of its nodes", || match missing() {
        missing if missing.is_empty() => Ok(()),
        missing => Err(missing),
    })?;
    Ok(())
}

/// A page per node and address that names the node.
fn serve(lab: &Lab, addresses: &[IpAddr]) -> anyhow::Result<Vec<PageServer>> {
    let each = lab.nodes.iter().flat_map(|node| addresses.iter().map(move |address| (node, *address)));
    each.map(|(node, address)| PageServer::start(&node.netns, SocketAddr::new(address, 80), format!("{}\n", node.name)))
        .collect()
}
