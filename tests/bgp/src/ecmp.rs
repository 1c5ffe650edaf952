//! A router that spreads traffic over all nodes that announce an address, and what becomes of that traffic when a node
//! leaves or dies.
//!
//! ```text
//! client-1 ──► router-1 (FRR: bgpd, zebra, bfdd; the kernel forwards by flow) ──► node-1, node-2, node-3
//! ```
//!
//! The client knows the way to the address through the router alone; nodes answer it directly.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use lb_tests::{herald::AgentOptions, wait};
use serde_json::Value;

use crate::{
    pages::Pages,
    scene::{self, LIMIT, Scene, Setting, V4},
    traffic::{Attempt, Failure, Traffic, Waiting, answered, failures},
};

const NODES: u8 = 3;
/// Between two requests: what a time until the traffic is back is measured by.
const PACE: Duration = Duration::from_millis(2);
/// Connections that are open while a node is drained.
const OPEN: usize = 60;
/// Before and after what happens.
const MARGIN: Duration = Duration::from_millis(300);

/// The site.
#[derive(Debug)]
pub struct Ecmp {
    scene: Scene,
    pages: Vec<Option<Pages>>,
}

/// What a drain did to the traffic.
#[derive(Debug)]
pub struct Drained {
    /// New connections during all of it.
    pub attempts: usize,
    /// Of these the failed ones that were not in flight: they could not be made, or had nothing to do with the change.
    pub failed: Vec<Failure>,
    /// Of these those that were in flight when the router changed its ways, and were cut by it: made by way of one node,
    /// gone on by way of another.
    pub in_flight: usize,
    /// Connections that were open before it, and how many of them were answered after it.
    pub open: usize,
    /// Of these.
    pub kept: usize,
    /// Who answered once the router had heard of it.
    pub after: BTreeSet<String>,
}

/// What a node's death did to the traffic.
#[derive(Debug)]
pub struct Killed {
    /// From the death until the first connection after the last one that failed.
    pub back: Duration,
    /// New connections that failed.
    pub failed: usize,
    /// Of so many.
    pub attempts: usize,
}

impl Ecmp {
    /// Builds it with BFD 3 × 50 ms. `None` (and said so) if this machine cannot run it.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let agents = AgentOptions { on_term: "release", ..AgentOptions::default() };
        let setting = Setting { nodes: NODES, clients: 1, agents, bfd_millis: 50 };
        let Some(scene) = Scene::start(&setting)? else { return Ok(None) };
        let (lab, router) = (&scene.lab, &scene.lab.routers[0]);
        lab.put_on_lo(&[address().ip()])?;
        // By ports, as routers of a data centre do; and a redirect would show the client the way past the router.
        router.netns.set_sysctl("ipv4/fib_multipath_hash_policy", "1")?;
        router.netns.set_sysctl("ipv4/conf/all/send_redirects", "0")?;
        router.netns.set_sysctl("ipv4/conf/eth0/send_redirects", "0")?;
        let client = lab.client();
        let added = client.netns.command("ip").args(["route", "add", V4, "via", &router.v4.to_string()]).status()?;
        ensure!(added.success(), "ip route add: {added}");
        let pages = lab.nodes.iter().map(|node| Pages::start(node, address()).map(Some)).collect::<Result<_, _>>()?;
        let site = Self { scene, pages };
        site.wait_for_hops(&[0, 1, 2])?;
        Ok(Some(site))
    }

    /// Drains a node as an operator does, under traffic: cordon, end of its agent, end of what it serves.
    pub fn drain(&mut self, node: usize) -> anyhow::Result<Drained> {
        let others: Vec<usize> = (0..usize::from(NODES)).filter(|other| *other != node).collect();
        let number = u8::try_from(node + 1)?;
        let traffic = self.traffic()?;
        let open = Waiting::open(self.scene.lab.client(), address(), OPEN)?;
        let told = Instant::now();
        self.scene.manifests.write("nodes.yaml", &scene::nodes(NODES, &[number]))?;
        self.wait_for_hops(&others).context("the router prefers those that are not drained")?;
        let heard = Instant::now();
        self.scene.agents[node].process().term(LIMIT)?;
        wait::for_ok(LIMIT, "the routes of the drained node to be withdrawn", || {
            let paths = self.scene.frr.paths(V4).map_err(|error| format!("{error:#}"))?;
            if paths.len() == others.len() { Ok(()) } else { Err(format!("{paths:?}")) }
        })?;
        let kept = open.ask();
        self.pages[node] = None;
        wait::observe(MARGIN);
        let after = answered(&traffic.since(heard));
        let attempts = traffic.finish()?;
        let was_in_flight = |attempt: &&Attempt| {
            attempt.began < heard && attempt.ended >= told && matches!(attempt.answer, Err(Failure::Cut(_)))
        };
        let (in_flight, failed): (Vec<&Attempt>, Vec<&Attempt>) =
            failures(&attempts).into_iter().partition(was_in_flight);
        let failed = failed.into_iter().filter_map(|attempt| attempt.answer.clone().err()).collect();
        Ok(Drained { attempts: attempts.len(), failed, in_flight: in_flight.len(), open: OPEN, kept, after })
    }

    /// A node dies under traffic: all its processes and its link at once.
    pub fn kill(&mut self, node: usize) -> anyhow::Result<Killed> {
        let others: Vec<usize> = (0..usize::from(NODES)).filter(|other| *other != node).collect();
        let traffic = self.traffic()?;
        let died = Instant::now();
        self.cable(node, "down")?;
        self.scene.agents[node].process().kill()?;
        self.wait_for_hops(&others).context("the router takes the dead node out")?;
        wait::observe(MARGIN);
        let attempts = traffic.finish()?;
        let attempts: Vec<Attempt> = attempts.into_iter().filter(|attempt| attempt.began >= died).collect();
        let last = failures(&attempts).last().map_or(died, |attempt| attempt.began);
        let back = attempts.iter().find(|attempt| attempt.began > last).context("no request came through")?;
        let failed = failures(&attempts).len();
        Ok(Killed { back: back.began.duration_since(died), failed, attempts: attempts.len() })
    }

    /// Makes all as it was before a node was drained or died.
    pub fn restore(&mut self, node: usize) -> anyhow::Result<()> {
        self.scene.manifests.write("nodes.yaml", &scene::nodes(NODES, &[]))?;
        self.cable(node, "up")?;
        if self.pages[node].is_none() {
            self.pages[node] = Some(Pages::start(&self.scene.lab.nodes[node], address())?);
        }
        if self.scene.agents[node].process().must_run().is_err() {
            self.scene.start_agent(node)?;
        }
        self.wait_for_hops(&[0, 1, 2])?;
        // BFD of the node that came back is up before the next one dies.
        wait::for_ok(LIMIT, "BFD to be up with all nodes", || {
            let peers = self.scene.frr.bfd().map_err(|error| format!("{error:#}"))?;
            let up = peers.iter().filter(|peer| peer["status"] == "up" && peer["receive-interval"] == 50).count();
            if up == usize::from(NODES) { Ok(()) } else { Err(format!("{peers:?}")) }
        })?;
        Ok(())
    }

    /// Traffic that is known to reach every node.
    fn traffic(&self) -> anyhow::Result<Traffic> {
        let traffic = Traffic::start(self.scene.lab.client(), address(), PACE)?;
        let began = Instant::now();
        wait::for_ok(LIMIT, "every node to answer", || {
            let nodes = answered(&traffic.since(began));
            if nodes.len() == usize::from(NODES) { Ok(()) } else { Err(nodes) }
        })?;
        Ok(traffic)
    }

    /// Waits until the router's kernel sends the traffic to these nodes and no others.
    fn wait_for_hops(&self, nodes: &[usize]) -> anyhow::Result<()> {
        let wanted: BTreeSet<String> = nodes.iter().map(|node| self.scene.lab.nodes[*node].v4.to_string()).collect();
        wait::for_ok(LIMIT, format!("the kernel's next hops to be {wanted:?}"), || {
            let hops = self.hops().map_err(|error| format!("{error:#}"))?;
            if hops == wanted { Ok(()) } else { Err(format!("{hops:?}")) }
        })?;
        Ok(())
    }

    fn hops(&self) -> anyhow::Result<BTreeSet<String>> {
        let mut ip = self.scene.lab.routers[0].netns.command("ip");
        let text = crate::read(ip.args(["-json", "route", "show", V4]))?;
        let routes: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let route = &routes[0];
        let several = route["nexthops"].as_array().into_iter().flatten();
        let gateways = several.chain([route]).filter_map(|hop| hop["gateway"].as_str());
        Ok(gateways.map(str::to_owned).collect())
    }

    fn cable(&self, node: usize, state: &str) -> anyhow::Result<()> {
        let lab = &self.scene.lab;
        let set = lab.switch.command("ip").args(["link", "set", &lab.nodes[node].name, state]).status()?;
        ensure!(set.success(), "ip link set {} {state}: {set}", lab.nodes[node].name);
        Ok(())
    }
}

fn address() -> SocketAddr {
    let (address, _) = V4.split_once('/').expect("a prefix");
    SocketAddr::new(address.parse().expect("a constant address"), 80)
}
