//! A segment with its nodes, a client that asks all the time, and the frames on their way.

use std::{collections::BTreeSet, time::Duration};

use super::{
    super::*,
    agent::{Agent, Event},
    check::Check,
    fault::Fault,
    kernel::Kernel,
};
use crate::ownership::rules::{Rule, Rules};

/// How long a lease stands without its agent.
pub(super) const LEASE: Duration = Duration::from_millis(1_500);
/// How long a node that starts over warms up.
pub(super) const WARM_UP: Duration = Duration::from_millis(300);
/// How long a frame takes.
const WIRE: Duration = Duration::from_millis(1);
/// How long a burst of loss or delay lasts, and by how much it delays.
pub(super) const BURST: Duration = Duration::from_millis(170);
/// How often the stranger claims.
const STRANGER: Duration = Duration::from_millis(450);

/// The intervals of the model: the relations of the real ones, in less time.
pub(super) fn timing() -> Timing {
    Timing {
        quiet_link: Duration::from_secs(1),
        ask_again: ms(300),
        hold_down: Duration::from_secs(1),
        hold_down_most: Duration::from_secs(4),
        damping: Duration::from_secs(10),
        refresh_fast: Duration::from_secs(1),
        refresh_slow: Duration::from_secs(4),
        late: ms(700),
        deaf: ms(800),
        audit_every: Duration::from_secs(1),
        stranger: Duration::from_secs(1),
        cold_start: ms(100),
        proxy_patience: ms(500),
        moves_within: Duration::from_secs(20),
        ..Timing::default()
    }
}

pub(super) fn name(node: usize) -> &'static str {
    ["a", "b", "c", "d", "e", "f", "g", "h"].get(node).copied().unwrap_or("x")
}

/// A frame on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Claim { address: u8, mac: Mac },
    Probe { address: u8, from: usize, to: Option<Mac> },
    Answer { address: u8, mac: Mac, to: usize },
}

/// What is explored.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// The ranking of each address.
    pub(super) rankings: Vec<Vec<usize>>,
    pub(super) nodes: usize,
    pub(super) conflict: Conflict,
    pub(super) rules: Rules,
}

/// Everything, at one moment.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) now: Duration,
    pub(super) setup: Setup,
    pub(super) kernels: Vec<Kernel>,
    pub(super) agents: Vec<Option<Agent>>,
    pub(super) links: Vec<bool>,
    /// Who hears whom is cut: (from, to). The client is the number after the last node.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// From when to when.
    pub(super) loses: Vec<(Duration, Duration)>,
    pub(super) delays_until: Vec<Duration>,
    pub(super) drains: Vec<bool>,
    /// Nodes that still go by the first ranking.
    pub(super) rankings: Vec<Vec<Vec<usize>>>,
    pub(super) released: bool,
    pub(super) stranger: Option<Duration>,
    frames: Vec<(Duration, usize, Frame)>,
    pub(super) faults: BTreeSet<Fault>,
    pub(super) changed_at: Duration,
    /// The last fault that was no burst of loss.
    pub(super) broken_at: Duration,
    pub(super) check: Check,
    /// At how many moments everything was checked.
    pub(super) steps: u64,
    pub(super) trace: Vec<(Duration, String)>,
}

impl Model {
    /// All nodes start at once.
    pub(super) fn new(setup: Setup) -> Self {
        let nodes = setup.nodes;
        let now = Duration::from_secs(10);
        let kernel = Kernel::new(true, setup.rules.has(Rule::Yield));
        let mut model = Self {
            now,
            kernels: vec![kernel; nodes],
            agents: vec![None; nodes],
            links: vec![true; nodes],
            cut: BTreeSet::new(),
            loses: vec![Default::default(); nodes],
            delays_until: vec![Duration::ZERO; nodes],
            drains: vec![false; nodes],
            rankings: vec![setup.rankings.clone(); nodes],
            released: false,
            stranger: None,
            frames: Vec::new(),
            faults: BTreeSet::new(),
            changed_at: now,
            broken_at: now,
            check: Check::new(now + ms(1_200), setup.rankings.len(), nodes),
            trace: Vec::new(),
            steps: 0,
            setup,
        };
        (0..nodes).for_each(|node| model.start_agent(node));
        model
    }

    pub(super) fn client(&self) -> usize {
        self.setup.nodes
    }

    pub(super) fn start_agent(&mut self, node: usize) {
        let Some(kernel) = self.kernels.get_mut(node) else { return };
        let link = self.links[node];
        self.agents[node] = Some(Agent::start(self.now, node, self.setup.nodes, link, kernel, self.setup.rules));
        self.tell_rankings(node);
        if let (true, Some(agent)) = (self.drains[node], &mut self.agents[node]) {
            agent.machine.handle(self.now, Input::Drain(true));
        }
    }

    /// Tells a node's agent how the addresses are ranked, as far as it knows.
    pub(super) fn tell_rankings(&mut self, node: usize) {
        let Some(agent) = &mut self.agents[node] else { return };
        for (address, ranking) in (1..).zip(&self.rankings[node]) {
            agent.rank(self.now, address, ranking, self.released, self.setup.conflict);
        }
    }

    /// Whether a frame of `from` reaches `to` now.
    pub(super) fn hears(&self, to: usize, from: usize) -> bool {
        let there = |node: usize| node == self.client() || (self.kernels[node].on && self.links[node]);
        let lost = from < self.setup.nodes && self.now < self.loses[from].1;
        there(from) && there(to) && !lost && !self.cut.contains(&(from, to))
    }

    pub(super) fn both_ways(&self, one: usize, other: usize) -> bool {
        self.hears(one, other) && self.hears(other, one)
    }

    pub(super) fn answers(&self, node: usize, address: u8) -> bool {
        self.kernels[node].answers(self.now, address)
    }

    /// Lets everything happen until `end`, or until something is wrong.
    pub(super) fn run(&mut self, end: Duration) {
        while self.check.violation.is_none() {
            self.settle();
            let next = self.next().filter(|next| *next <= end).unwrap_or(end);
            Check::account(self, next);
            self.steps += 1;
            let ended = next >= end && self.next().is_none_or(|due| due > end);
            self.now = self.now.max(next);
            if ended {
                break;
            }
        }
    }

    /// Does all that is due now.
    fn settle(&mut self) {
        for _ in 0..100 {
            self.kernels.iter_mut().for_each(|kernel| kernel.trip(self.now));
            self.play_stranger();
            let due: Vec<(Duration, usize, Frame)> =
                self.frames.iter().filter(|(at, ..)| *at <= self.now).copied().collect();
            self.frames.retain(|(at, ..)| *at > self.now);
            for (_, to, frame) in due {
                self.deliver(to, frame);
            }
            self.observe();
            if !self.turns() {
                return;
            }
        }
        self.check.violation = Some("an agent does not come to rest".to_owned());
    }

    fn observe(&mut self) {
        for node in 0..self.setup.nodes {
            let Some(mut agent) = self.agents[node].take() else { continue };
            agent
                .observe(self.now, |other| self.both_ways(node, other).then(|| self.kernels[other].reflects(self.now)));
            if self.hears(node, self.client()) {
                agent.heard_at = self.now;
            }
            self.agents[node] = Some(agent);
        }
    }

    /// Whether any agent did something.
    fn turns(&mut self) -> bool {
        let mut any = false;
        for node in 0..self.setup.nodes {
            let Some(agent) = &mut self.agents[node] else { continue };
            if agent.stopped || agent.next().is_none_or(|due| due > self.now) {
                continue;
            }
            any = true;
            let (frames, takes) = agent.turn(self.now, &mut self.kernels[node]);
            for (address, why) in takes {
                self.trace.push((self.now, format!("{} takes {address}: {}", name(node), why.word())));
                Check::take(self, node, address, why);
            }
            frames.into_iter().for_each(|frame| self.send(node, frame));
        }
        any
    }

    fn send(&mut self, from: usize, frame: Frame) {
        if !matches!(frame, Frame::Probe { .. }) {
            self.trace.push((self.now, format!("{} sends {frame:?}", name(from))));
        }
        let delay = from < self.setup.nodes && self.now < self.delays_until[from];
        let at = self.now + WIRE + if delay { ms(300) } else { Duration::ZERO };
        for to in (0..=self.client()).filter(|to| *to != from) {
            let addressed = match frame {
                Frame::Claim { .. } => true,
                Frame::Probe { to: mac_of, .. } => mac_of.is_none_or(|wanted| wanted == mac(name(to))),
                Frame::Answer { to: asker, .. } => asker == to,
            };
            if addressed && self.hears(to, from) {
                self.frames.push((at, to, frame));
            }
        }
    }

    fn deliver(&mut self, to: usize, frame: Frame) {
        if to == self.client() {
            if let Frame::Claim { address, mac } = frame {
                self.check.client_learns(address, mac);
            }
            return;
        }
        if !self.kernels[to].on || !self.links[to] {
            return;
        }
        let at = self.now;
        match frame {
            Frame::Probe { address, from, .. } if self.answers(to, address) => {
                self.send(to, Frame::Answer { address, mac: mac(name(to)), to: from });
            }
            Frame::Probe { .. } => {}
            Frame::Answer { address, mac, .. } => {
                self.tell(to, Event::Sighting { address, mac, says: Says::Answer, at })
            }
            Frame::Claim { address, mac: claimant } => {
                Check::hear(self, to, address, claimant);
                let is_node = (0..self.setup.nodes).any(|node| mac(name(node)) == claimant);
                let yielded = is_node.then(|| self.kernels[to].hear_claim(address)).flatten();
                self.tell(to, Event::Sighting { address, mac: claimant, says: Says::Claim { yielded }, at });
            }
        }
    }

    pub(super) fn tell(&mut self, node: usize, event: Event) {
        if let Some(agent) = &mut self.agents[node] {
            agent.inbox.push_back(event);
            agent.heard_at = self.now;
        }
    }

    fn play_stranger(&mut self) {
        let Some(due) = self.stranger.filter(|due| *due <= self.now) else { return };
        self.stranger = Some(due + STRANGER);
        let frame = Frame::Claim { address: 1, mac: mac("x") };
        for to in 0..self.setup.nodes {
            self.frames.push((self.now + WIRE, to, frame));
        }
    }

    fn next(&self) -> Option<Duration> {
        let agents = self.agents.iter().flatten().filter_map(Agent::next);
        let frames = self.frames.iter().map(|(at, ..)| *at);
        let leases = self.kernels.iter().filter_map(|kernel| kernel.deadline).map(|deadline| deadline + ms(1));
        let bursts = self.loses.iter().map(|(_, until)| *until).filter(|until| *until > self.now);
        agents.chain(frames).chain(leases).chain(bursts).chain(self.stranger).min()
    }

    /// What later steps depend on, for telling states apart.
    pub(super) fn fingerprint(&self) -> String {
        let agents: Vec<Option<String>> =
            self.agents.iter().map(|agent| agent.as_ref().map(Agent::fingerprint)).collect();
        format!(
            "{agents:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
            self.kernels, self.links, self.cut, self.loses, self.drains, self.rankings, self.frames, self.check
        )
    }
}
