//! A lab of five nodes and two clients, to which faults happen.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use super::{
    account::{Line, lines},
    clock::Clock,
    log::{Entry, Fault, Node},
    plan::Step,
    wall,
};
use crate::{
    asker::{Asker, Questions, Stamp},
    herald::{self, Agent, AgentOptions, Manifests, StandIn},
    lab::{INTERFACE, Lab, Shape},
    need::Need,
    wait,
};

/// Nodes of the lab.
pub const NODES: usize = 5;
/// IPv4 addresses of the lab's network that nothing else uses: from 192.0.2.20.
const FIRST: u8 = 20;
/// How many these are: up to 192.0.2.159.
const V4: usize = 140;
/// For everything that has to happen.
const LIMIT: Duration = Duration::from_secs(60);

/// The lab, its agents, and the addresses that are in use.
pub struct Stage {
    /// By node.
    agents: Vec<Agent>,
    options: AgentOptions,
    manifests: Manifests,
    stand_in: StandIn,
    addresses: Vec<IpAddr>,
    /// By address: nodes, best first.
    rankings: Vec<Vec<Node>>,
    /// What is at work in the network.
    walls: Vec<Fault>,
    made: usize,
    copies: usize,
    lab: Lab,
}

/// What was seen while steps were done.
#[derive(Debug)]
pub struct Seen {
    /// What was done.
    pub log: Vec<Entry>,
    /// What the clients asked.
    pub lines: Vec<Line>,
    /// From when to when.
    pub span: Range<Stamp>,
}

impl Stage {
    /// What it needs of the machine.
    pub fn needs() -> Vec<Need> {
        let tools = ["unshare", "nsenter", "cp"].map(Need::Program);
        [herald::agent_needs(), vec![wall::NEEDS], tools.to_vec()].concat()
    }

    /// Five nodes whose agents have this `--lease`, and no address yet.
    pub fn build(lease: &'static str) -> anyhow::Result<Self> {
        let mut lab = Lab::new(Shape { nodes: u8::try_from(NODES)?, clients: 2, ..Shape::default() })?;
        lab.attach_pass()?;
        let manifests = Manifests::new(lab.dir().join("manifests"))?;
        let stand_in = manifests.stand_in()?;
        let options = AgentOptions { lease, on_term: "release", own_view: true, ..AgentOptions::default() };
        let agents: anyhow::Result<Vec<Agent>> =
            lab.nodes.iter().map(|node| Agent::launch(&lab, node, &manifests, &options)).collect();
        let mut stage = Self {
            agents: agents?,
            options,
            manifests,
            stand_in,
            addresses: Vec::new(),
            rankings: Vec::new(),
            walls: Vec::new(),
            made: 0,
            copies: 0,
            lab,
        };
        stage.agents.iter_mut().try_for_each(|agent| agent.wait_ready(LIMIT))?;
        Ok(stage)
    }

    /// The agents, by node.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Takes `count` addresses that were not in use for long, half of them IPv6, ranked by `ranking` of their number,
    /// and waits until the first of each holds it.
    pub fn take(&mut self, count: usize, ranking: impl Fn(usize) -> Vec<Node>) -> anyhow::Result<()> {
        let half = count.div_ceil(2);
        ensure!(self.addresses.is_empty() && half <= V4, "at most {V4} addresses of a family at once");
        for place in 0..count {
            let number = (self.made + place / 2) % V4;
            let address = if place % 2 == 0 { v4(number)? } else { v6(number)? };
            self.addresses.push(address);
            self.rankings.push(ranking(place));
            self.stand_in.create(address, &self.names(&self.rankings[place]))?;
        }
        self.made += half;
        for node in 0..NODES {
            let first = self.rankings.iter().filter(|ranking| ranking.first() == Some(&node)).count();
            self.wait_until_holding(node, first)?;
        }
        Ok(())
    }

    /// Lets go of all addresses.
    pub fn give_back(&mut self) -> anyhow::Result<()> {
        self.agents.iter_mut().try_for_each(|agent| agent.wait_ready(LIMIT))?;
        self.addresses.iter().try_for_each(|address| self.stand_in.release(*address))?;
        (0..NODES).try_for_each(|node| self.wait_until_holding(node, 0))?;
        self.addresses.iter().try_for_each(|address| self.stand_in.delete(*address))?;
        self.addresses.clear();
        self.rankings.clear();
        Ok(())
    }

    /// Asks from both sides for all addresses at `rate` while the steps are done, each in its time, until `length` is
    /// over. The record is the kernel's receive times; the client goes before everything else.
    pub fn perform(&mut self, steps: &[Step], length: Duration, rate: u32) -> anyhow::Result<Seen> {
        self.record(steps, length, rate, false)
    }

    /// The same without a step, where what is not urgent is starved on purpose: only that the recorder itself was late
    /// makes a sample void.
    pub fn perform_starved(&mut self, length: Duration, rate: u32) -> anyhow::Result<Seen> {
        self.record(&[], length, rate, true)
    }

    fn record(&mut self, steps: &[Step], length: Duration, rate: u32, starved: bool) -> anyhow::Result<Seen> {
        let mut askers = Vec::new();
        for (station, client) in (0..).zip(&self.lab.clients) {
            let questions = Questions { rate, station, urgent: true, ..Questions::steady(self.addresses.clone()) };
            askers.push(Asker::start(&client.netns, INTERFACE, questions)?);
        }
        for asker in &askers {
            wait::until(LIMIT, "the first answers", || asker.answers() > 0)?;
        }
        let start = Stamp::now()?;
        let mut log: Vec<Entry> = Vec::new();
        let clock = Clock::start(starved);
        self.follow(steps, length, &mut log)?;
        log.extend(clock.stalls()?);
        let end = Stamp::now()?;
        let mut seen = Vec::new();
        for (client, asker) in askers.into_iter().enumerate() {
            let record = asker.finish()?;
            ensure!(record.strays().is_empty(), "answers to no question: {:?}", record.strays());
            seen.extend(lines(client, &record, |mac| self.lab.nodes.iter().position(|node| node.mac == mac)));
        }
        Ok(Seen { log, lines: seen, span: start..end })
    }

    fn follow(&mut self, steps: &[Step], length: Duration, log: &mut Vec<Entry>) -> anyhow::Result<()> {
        // Every moment at which something is due, in order: a step and whether it begins.
        let begins = steps.iter().enumerate().map(|(number, step)| (step.at, true, number));
        let ends = steps.iter().enumerate().map(|(number, step)| (step.at + step.lasts, false, number));
        let due: BTreeSet<(Duration, bool, usize)> = begins.chain(ends).collect();
        let mut entries = vec![None; steps.len()];
        let started = Instant::now();
        for (at, _, number) in due {
            // A step that lasts no time is due twice in one moment.
            let begin = entries[number].is_none();
            wait::observe(at.saturating_sub(started.elapsed()));
            let fault = &steps[number].fault;
            let before = Stamp::now()?;
            if begin {
                self.begin(fault).with_context(|| format!("do: {fault}"))?;
                entries[number] = Some(log.len());
                log.push(Entry { fault: fault.clone(), begun: before..Stamp::now()?, undone: None });
            } else if let Some(entry) = entries[number].and_then(|entry| log.get_mut(entry)) {
                self.undo(fault).with_context(|| format!("undo: {fault}"))?;
                entry.undone = Some(before..Stamp::now()?);
            }
        }
        wait::observe(length.saturating_sub(started.elapsed()));
        Ok(())
    }

    fn begin(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match fault {
            Fault::NodeDies(node) => {
                self.cable(*node, "down")?;
                self.agents[*node].process().kill()
            }
            Fault::LinkCut(node) => self.cable(*node, "down"),
            Fault::AgentKilled(node) => self.agents[*node].process().kill(),
            Fault::AgentStopped(node) => self.agents[*node].stop(),
            Fault::Drained(node) => self.agents[*node].process().term(LIMIT).map(drop),
            Fault::Upgraded(node) => {
                self.agents[*node].process().kill()?;
                self.launch(*node)
            }
            Fault::Divided(_) | Fault::OneWay(..) | Fault::Loss(_) => {
                self.walls.push(fault.clone());
                wall::raise(&self.lab, &self.walls)
            }
            Fault::Stale(node) => {
                self.copies += 1;
                self.agents[*node].freeze_view(&self.lab.dir().join(format!("copy-{}", self.copies)))
            }
            Fault::Reranked(from) => self.rank(*from),
            Fault::Stalled => Ok(()),
        }
    }

    fn undo(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match fault {
            Fault::NodeDies(node) => {
                // What was in the kernel of a node that died is gone.
                self.agents[*node].cleanup()?;
                self.cable(*node, "up")?;
                self.launch(*node)
            }
            Fault::LinkCut(node) => self.cable(*node, "up"),
            Fault::AgentKilled(node) | Fault::Drained(node) => self.launch(*node),
            Fault::AgentStopped(node) => self.agents[*node].cont(),
            Fault::Divided(_) | Fault::OneWay(..) | Fault::Loss(_) => {
                self.walls.retain(|wall| wall != fault);
                wall::raise(&self.lab, &self.walls)
            }
            Fault::Stale(node) => self.agents[*node].thaw_view(),
            Fault::Upgraded(_) | Fault::Reranked(_) | Fault::Stalled => Ok(()),
        }
    }

    /// Turns every ranking from a place on.
    fn rank(&mut self, from: usize) -> anyhow::Result<()> {
        for (address, nodes) in self.addresses.iter().zip(&mut self.rankings) {
            nodes[from..].rotate_left(1);
            let names: Vec<&str> = nodes.iter().map(|node| self.lab.nodes[*node].name.as_str()).collect();
            self.stand_in.rank(*address, &names)?;
        }
        Ok(())
    }

    /// Puts up with whatever a failure left: no address in use, every fault undone, every agent ready.
    pub fn start_over(&mut self) -> anyhow::Result<()> {
        self.walls.clear();
        wall::raise(&self.lab, &self.walls)?;
        for node in 0..NODES {
            self.cable(node, "up")?;
            self.agents[node].process().kill()?;
            self.launch(node)?;
            self.agents[node].wait_ready(LIMIT)?;
        }
        self.give_back()
    }

    /// How many addresses all agents say that they took, ever.
    pub fn takes(&self) -> anyhow::Result<f64> {
        let of = |agent: &Agent| Ok(agent.metrics()?.sum("herald_agent_takes_total", &[]).unwrap_or_default());
        self.agents.iter().map(of).sum()
    }

    /// The lab's folder.
    pub fn folder(&self) -> PathBuf {
        self.lab.dir()
    }

    /// The last lines of every agent's log, for a failure.
    pub fn log_tails(&mut self) -> String {
        self.agents.iter_mut().map(|agent| agent.process().log_tail()).collect::<Vec<_>>().join("\n")
    }

    /// Copies every agent's log to a folder that outlives the lab.
    pub fn keep_logs(&self, folder: &PathBuf) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        for node in &self.lab.nodes {
            let name = format!("agent-{}.log", node.name);
            std::fs::copy(self.lab.dir().join(&name), folder.join(&name)).with_context(|| format!("keep {name}"))?;
        }
        Ok(())
    }

    fn launch(&mut self, node: Node) -> anyhow::Result<()> {
        self.agents[node] = Agent::launch(&self.lab, &self.lab.nodes[node], &self.manifests, &self.options)?;
        Ok(())
    }

    /// Takes a node's cable out of the switch, or puts it back.
    fn cable(&self, node: Node, state: &str) -> anyhow::Result<()> {
        let name = &self.lab.nodes[node].name;
        let status = self.lab.switch.command("ip").args(["link", "set", name, state]).status()?;
        ensure!(status.success(), "ip link set {name} {state}: {status}");
        Ok(())
    }

    fn names(&self, nodes: &[Node]) -> Vec<&str> {
        nodes.iter().map(|node| self.lab.nodes[*node].name.as_str()).collect()
    }

    /// Waits until a node says that it holds this many of the addresses in use.
    pub fn wait_until_holding(&self, node: Node, count: usize) -> anyhow::Result<()> {
        let agent = &self.agents[node];
        wait::for_ok(LIMIT, format!("{} to hold {count}", agent.node().name), || {
            let state = agent.state().map_err(|error| format!("{error:#}"))?;
            let holds = state["holds"].as_array().into_iter().flatten();
            let held: BTreeSet<IpAddr> = holds.filter_map(|address| address.as_str()?.parse().ok()).collect();
            let held = self.addresses.iter().filter(|address| held.contains(address)).count();
            if held == count { Ok(()) } else { Err(format!("{held}")) }
        })?;
        Ok(())
    }
}

fn v4(number: usize) -> anyhow::Result<IpAddr> {
    Ok(Ipv4Addr::new(192, 0, 2, FIRST + u8::try_from(number)?).into())
}

fn v6(number: usize) -> anyhow::Result<IpAddr> {
    Ok(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 1, u16::from(FIRST) + u16::try_from(number)?).into())
}
