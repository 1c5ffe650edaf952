//! The lab that is kept over all runs, and one run in it.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use lb_tests::{
    asker::{Asker, Questions, Record},
    herald::{Agent, AgentOptions, Manifests, StandIn},
    lab::{INTERFACE, Lab, Shape},
    wait,
};

use crate::{
    figures::Run,
    flows::{self, Flows},
    scenario::Scenario,
};

const NODES: u8 = 5;
/// Addresses of the lab's network that nothing else uses, not even the asker: 192.0.2.32 to 159, and for IPv6 the same
/// numbers behind 0x100.
const FIRST: u8 = 32;
const LAST: u8 = 159;
/// For everything that has to happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Before the fault, and after all is settled again.
pub(crate) const MARGIN: Duration = Duration::from_millis(300);
/// How long a control run waits for the take-over that must not come.
const CONTROL: Duration = Duration::from_secs(2);

pub(crate) struct Stage {
    agents: Vec<Agent>,
    options: AgentOptions,
    manifests: Manifests,
    stand_in: StandIn,
    pub(crate) runs: usize,
    pub(crate) lab: Lab,
}

impl Stage {
    pub(crate) fn build() -> anyhow::Result<Self> {
        let mut lab = Lab::new(Shape { nodes: NODES, clients: 2, ..Shape::default() })?;
        lab.attach_pass()?;
        flows::connect(&lab)?;
        let manifests = Manifests::new(lab.dir().join("manifests"))?;
        let stand_in = manifests.stand_in()?;
        let options = AgentOptions { lease: "2s", on_term: "release", ..AgentOptions::default() };
        let agents: anyhow::Result<Vec<Agent>> =
            lab.nodes.iter().map(|node| Agent::start(&lab, node, &manifests, &options)).collect();
        let mut stage = Self { agents: agents?, options, manifests, stand_in, runs: 0, lab };
        stage.agents.iter_mut().try_for_each(|agent| agent.wait_ready(LIMIT))?;
        Ok(stage)
    }

    /// One run, after which the lab is as it was.
    pub(crate) fn run(&mut self, scenario: Scenario) -> anyhow::Result<Run> {
        if scenario == Scenario::Thousand {
            return self.thousand();
        }
        let (victim, next) = self.turn();
        let vips = self.addresses();
        if scenario == Scenario::NodeBack {
            self.fail(scenario, victim)?;
        }
        if scenario == Scenario::Control {
            let alone = self.ranking(victim)[..1].to_vec();
            vips.iter().try_for_each(|vip| self.stand_in.create(*vip, &alone))?;
        } else {
            self.create(&vips, victim)?;
        }
        let before = if scenario == Scenario::NodeBack { next } else { victim };
        self.wait_until_held(before, &vips)?;

        let asker = Asker::start(&self.lab.client().netns, INTERFACE, Questions::steady(vips.to_vec()))?;
        wait::until(LIMIT, "the first answers", || asker.answers() >= 100)?;
        let flows = Flows::start(&self.lab, &vips)?;
        wait::observe(MARGIN);
        let after = self.change(scenario, victim)?;
        if scenario == Scenario::Control {
            wait::observe(CONTROL);
        } else {
            self.wait_until_held(after, &vips)?;
        }
        wait::observe(MARGIN);
        // A lost byte of a stream is sent again after 200, then 400 ms.
        wait::observe(if scenario.bounds().is_some() { MARGIN * 2 } else { Duration::ZERO });
        let (record, flowed) = (asker.finish()?, flows.finish()?);
        if scenario == Scenario::ApiDown {
            self.hide_manifests(false)?;
        }
        let mut run = self.judge(&record, &vips, before, after, scenario);
        run.flows = flowed;
        self.tidy(&vips, victim, !matches!(scenario, Scenario::Upgrade | Scenario::NodeBack))?;
        Ok(run)
    }

    /// What the scenario is about; says who holds after it.
    fn change(&mut self, scenario: Scenario, victim: usize) -> anyhow::Result<usize> {
        match scenario {
            Scenario::NodeBack => {
                self.restore(victim)?;
                Ok(victim)
            }
            Scenario::Upgrade => {
                self.agents[victim].process().kill()?;
                self.agents[victim] = self.agent(victim)?;
                self.agents[victim].wait_ready(LIMIT)?;
                Ok(victim)
            }
            Scenario::NodeDeath
            | Scenario::Thousand
            | Scenario::ApiDown
            | Scenario::LinkCut
            | Scenario::AgentKilled
            | Scenario::Drain
            | Scenario::Control => {
                if scenario == Scenario::ApiDown {
                    self.hide_manifests(true)?;
                    wait::observe(MARGIN);
                }
                self.fail(scenario, victim)?;
                Ok((victim + 1) % self.agents.len())
            }
        }
    }

    /// Whose turn it is to fail, and who is next.
    pub(crate) fn turn(&mut self) -> (usize, usize) {
        let victim = self.runs % self.agents.len();
        self.runs += 1;
        (victim, (victim + 1) % self.agents.len())
    }

    /// Creates addresses that all nodes may hold, from `first` on.
    pub(crate) fn create(&self, vips: &[IpAddr], first: usize) -> anyhow::Result<()> {
        let ranked = self.ranking(first);
        vips.iter().try_for_each(|vip| self.stand_in.create(*vip, &ranked))
    }

    /// Takes the addresses away, and brings back who failed.
    pub(crate) fn tidy(&mut self, vips: &[IpAddr], victim: usize, failed: bool) -> anyhow::Result<()> {
        vips.iter().try_for_each(|vip| self.stand_in.release(*vip))?;
        if failed {
            self.restore(victim)?;
        }
        (0..self.agents.len()).try_for_each(|agent| self.wait_until_holding(agent, 0, vips))?;
        vips.iter().try_for_each(|vip| self.stand_in.delete(*vip))
    }

    fn ranking(&self, first: usize) -> Vec<&str> {
        let nodes = self.lab.nodes.iter().cycle().skip(first).take(usize::from(NODES));
        nodes.map(|node| node.name.as_str()).collect()
    }

    /// Moves the folder of manifests away, so that no agent can read or write an object: what an API server that is down
    /// is to them.
    fn hide_manifests(&self, hide: bool) -> anyhow::Result<()> {
        let (here, away) = (self.manifests.dir(), self.manifests.dir().with_extension("away"));
        let (from, to) = if hide { (here, away.as_path()) } else { (away.as_path(), here) };
        fs::rename(from, to).with_context(|| format!("move {} to {}", from.display(), to.display()))
    }

    fn addresses(&self) -> [IpAddr; 2] {
        let last = FIRST + u8::try_from(self.runs % usize::from(LAST - FIRST + 1)).unwrap_or_default();
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x100 + u16::from(last));
        [Ipv4Addr::new(192, 0, 2, last).into(), v6.into()]
    }

    fn agent(&self, node: usize) -> anyhow::Result<Agent> {
        Agent::launch(&self.lab, &self.lab.nodes[node], &self.manifests, &self.options)
    }

    pub(crate) fn fail(&mut self, scenario: Scenario, victim: usize) -> anyhow::Result<()> {
        match scenario {
            Scenario::LinkCut => self.cable(victim, "down"),
            Scenario::AgentKilled => self.agents[victim].process().kill(),
            Scenario::Drain => self.agents[victim].process().term(LIMIT).map(drop),
            Scenario::NodeDeath
            | Scenario::Thousand
            | Scenario::ApiDown
            | Scenario::Upgrade
            | Scenario::NodeBack
            | Scenario::Control => {
                self.cable(victim, "down")?;
                self.agents[victim].process().kill()
            }
        }
    }

    /// Puts the cable back and starts the agent, whichever is missing, and waits until others rely on it.
    fn restore(&mut self, victim: usize) -> anyhow::Result<()> {
        self.cable(victim, "up")?;
        if self.agents[victim].process().must_run().is_err() {
            self.agents[victim] = self.agent(victim)?;
        }
        self.agents[victim].wait_ready(LIMIT)
    }

    /// Takes a node's cable out of the switch, or puts it back.
    fn cable(&self, node: usize, state: &str) -> anyhow::Result<()> {
        let name = &self.lab.nodes[node].name;
        let status = self.lab.switch.command("ip").args(["link", "set", name, state]).status()?;
        ensure!(status.success(), "ip link set {name} {state}: {status}");
        Ok(())
    }

    pub(crate) fn wait_until_held(&self, holder: usize, vips: &[IpAddr]) -> anyhow::Result<()> {
        self.wait_until_holding(holder, vips.len(), vips)
    }

    fn wait_until_holding(&self, agent: usize, count: usize, vips: &[IpAddr]) -> anyhow::Result<()> {
        let agent = &self.agents[agent];
        let wanted = format!("{} to hold {count} of {} addresses", agent.node().name, vips.len());
        wait::for_ok(LIMIT, wanted, || {
            let state = agent.state().map_err(|error| format!("{error:#}"))?;
            let holds = state["holds"].as_array().into_iter().flatten().filter_map(|address| address.as_str());
            let holds: BTreeSet<IpAddr> = holds.filter_map(|held| held.parse().ok()).collect();
            let held = vips.iter().filter(|vip| holds.contains(vip)).count();
            if held == count { Ok(()) } else { Err(format!("it holds {held}")) }
        })?;
        Ok(())
    }

    pub(crate) fn judge(
        &self,
        record: &Record,
        vips: &[IpAddr],
        before: usize,
        after: usize,
        scenario: Scenario,
    ) -> Run {
        let (old, new) = (self.lab.nodes[before].mac, self.lab.nodes[after].mac);
        let mut run = Run {
            gaps_us: Vec::new(),
            sent: record.all().sent(),
            unanswered: record.all().unanswered(),
            answered_twice: record.all().answered_twice(),
            in_order: true,
            flows: flows::All::new(),
            announced: None,
        };
        for vip in vips {
            let mut replies: Vec<_> = record.all().of(*vip).flat_map(|request| &request.replies).copied().collect();
            replies.sort_by_key(|reply| reply.at);
            let gap = if scenario.moves() {
                let last = replies.iter().filter(|reply| reply.mac == old).map(|reply| reply.at).max();
                let first = replies.iter().filter(|reply| reply.mac == new).map(|reply| reply.at).min();
                // A new holder that answers before the old one is silent leaves no gap at all.
                last.zip(first).map(|(last, first)| if first > last { first - last } else { Duration::ZERO })
            } else {
                let end = record.all().requests().last().map(|request| request.at);
                let times: Vec<_> = replies.iter().map(|reply| reply.at).chain(end).collect();
                times.windows(2).map(|pair| if pair[1] > pair[0] { pair[1] - pair[0] } else { Duration::ZERO }).max()
            };
            run.in_order &= gap.is_some() && replies.iter().all(|reply| reply.mac == old || reply.mac == new);
            run.gaps_us.push(gap.and_then(|gap| u64::try_from(gap.as_micros()).ok()).unwrap_or(u64::MAX));
        }
        run
    }
}
