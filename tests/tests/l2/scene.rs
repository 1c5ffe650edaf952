//! A lab with agents on some nodes and addresses that the tests rank themselves.

use std::{net::IpAddr, time::Duration};

use anyhow::Context as _;
use lb_tests::{
    asker::{Asker, Questions},
    herald::{self, Agent, AgentOptions, Manifests, Pins, StandIn},
    lab::{Host, INTERFACE, Lab, Shape},
    need::{self, Need},
    wait,
};

/// A debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Scene {
    pub(crate) agents: Vec<Agent>,
    pub(crate) manifests: Manifests,
    /// `None`: a controller writes the VirtualIPs.
    stand_in: Option<StandIn>,
    pub(crate) lab: Lab,
}

/// `None` (and said so) if this machine cannot run it.
pub(crate) fn scene(nodes: u8) -> anyhow::Result<Option<Scene>> {
    build(nodes, true, Vec::new())
}

/// The same for a controller that writes the VirtualIPs.
pub(crate) fn scene_to_control(nodes: u8) -> anyhow::Result<Option<Scene>> {
    build(nodes, false, herald::controller_needs())
}

fn build(nodes: u8, with_stand_in: bool, more: Vec<Need>) -> anyhow::Result<Option<Scene>> {
    let needs: Vec<Need> = herald::agent_needs().into_iter().chain(more).collect();
    if !need::met(&needs) {
        return Ok(None);
    }
    let mut lab = Lab::new(Shape { nodes, ..Shape::default() })?;
    lab.attach_pass()?;
    let manifests = Manifests::new(lab.dir().join("manifests"))?;
    let stand_in = with_stand_in.then(|| manifests.stand_in()).transpose()?;
    Ok(Some(Scene { agents: Vec::new(), manifests, stand_in, lab }))
}

/// An IPv4 and an IPv6 address that read the same: 192.0.2.100 and 2001:db8:2::100.
pub(crate) fn pair(number: u8) -> [IpAddr; 2] {
    let v6 = format!("2001:db8:2::{number}").parse().expect("a decimal number is a group of an address");
    [IpAddr::from([192, 0, 2, number]), v6]
}

impl Scene {
    /// Ranks a pair of addresses over these nodes, by index, best first.
    pub(crate) fn rank(&self, number: u8, nodes: &[usize]) -> anyhow::Result<()> {
        let names: Vec<_> = nodes.iter().map(|&index| self.lab.nodes[index].name.as_str()).collect();
        pair(number).into_iter().try_for_each(|address| self.stand_in()?.create(address, &names))
    }

    /// Who writes the VirtualIPs.
    pub(crate) fn stand_in(&self) -> anyhow::Result<&StandIn> {
        self.stand_in.as_ref().context("a controller writes the VirtualIPs")
    }

    /// Takes a node's cable out of the switch, or puts it back.
    pub(crate) fn cable(&self, node: usize, state: &str) -> anyhow::Result<()> {
        let name = &self.node(node).name;
        let status = self.lab.switch.command("ip").args(["link", "set", name, state]).status()?;
        anyhow::ensure!(status.success(), "ip link set {name} {state}: {status}");
        Ok(())
    }

    /// Starts an agent on every node and waits until they hold what they are ranked first for.
    pub(crate) fn start_agents(&mut self, options: &AgentOptions) -> anyhow::Result<()> {
        for node in &self.lab.nodes {
            self.agents.push(Agent::start(&self.lab, node, &self.manifests, options)?);
        }
        Ok(())
    }

    /// Waits until an agent's table has this many entries.
    pub(crate) fn wait_for_entries(&self, agent: usize, entries: usize) -> anyhow::Result<()> {
        wait::for_ok(LIMIT, format!("{entries} entries in the table"), || {
            let state = self.agents[agent].state().map_err(|error| format!("{error:#}"))?;
            if state["entries"] == entries { Ok(()) } else { Err(state.to_string()) }
        })?;
        Ok(())
    }

    /// Waits until this agent holds these addresses, and no other agent any of them.
    pub(crate) fn wait_until_held(&self, holder: usize, vips: &[IpAddr]) -> anyhow::Result<()> {
        let held_by = |agent: &Agent| -> anyhow::Result<usize> {
            let state = agent.state()?;
            let holds = state["holds"].as_array().into_iter().flatten().filter_map(|address| address.as_str());
            Ok(holds.filter(|held| vips.iter().any(|vip| vip.to_string() == *held)).count())
        };
        let wanted: Vec<usize> =
            (0..self.agents.len()).map(|agent| if agent == holder { vips.len() } else { 0 }).collect();
        wait::for_ok(LIMIT, format!("agent {holder} alone to hold {vips:?}"), || {
            let held: anyhow::Result<Vec<usize>> = self.agents.iter().map(held_by).collect();
            match held {
                Ok(held) if held == wanted => Ok(()),
                other => Err(format!("held by agent: {other:?}")),
            }
        })?;
        Ok(())
    }

    pub(crate) fn node(&self, index: usize) -> &Host {
        &self.lab.nodes[index]
    }

    pub(crate) fn pins(&self, agent: usize) -> Pins {
        self.agents[agent].pins()
    }

    /// Asks for addresses 1,000 times a second and family from the client, and waits until the first answers come.
    pub(crate) fn ask(&self, addresses: &[IpAddr]) -> anyhow::Result<Asker> {
        let asker = self.ask_in_silence(addresses)?;
        wait::until(LIMIT, "the first answers", || asker.answers() >= 100)?;
        Ok(asker)
    }

    /// The same without an answer to wait for.
    pub(crate) fn ask_in_silence(&self, addresses: &[IpAddr]) -> anyhow::Result<Asker> {
        Asker::start(&self.lab.client().netns, INTERFACE, Questions::steady(addresses.to_vec()))
    }
}
