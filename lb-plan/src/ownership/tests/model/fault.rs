//! What can go wrong, and how it is put right: each fault toggles.

use super::{
    super::*,
    agent::Event,
    segment::{BURST, Model},
};

/// One fault of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Fault {
    /// The node and all its processes die, or it boots.
    Power(usize),
    /// The agent's process is killed, or started again.
    Process(usize),
    /// The agent is stopped or goes on.
    Stop(usize),
    /// The link loses its carrier, or has it again.
    Link(usize),
    /// Nothing gets through between it and all others.
    Isolate(usize),
    /// It hears nobody.
    Deaf(usize),
    /// Nobody hears it.
    Mute(usize),
    /// Two nodes do not hear each other.
    Apart(usize, usize),
    /// All its frames are lost for a moment.
    Lose(usize),
    /// All its frames are late for a moment, but for its reflector's.
    Delay(usize),
    /// The node drains, or does so no longer.
    Drain(usize),
    /// The ranking turns round; this node is not told.
    Stale(usize),
    /// The address is released, or bound again.
    Release,
    /// A station that is no node begins to claim the first address, or goes.
    Stranger,
}

impl Fault {
    /// All faults of a segment with so many nodes.
    pub(super) fn all(nodes: usize) -> Vec<Self> {
        let of_node = |node| {
            [
                Self::Power(node),
                Self::Process(node),
                Self::Stop(node),
                Self::Link(node),
                Self::Isolate(node),
                Self::Deaf(node),
                Self::Mute(node),
                Self::Lose(node),
                Self::Delay(node),
                Self::Drain(node),
                Self::Stale(node),
            ]
        };
        let pairs = (0..nodes).flat_map(|one| (one + 1..nodes).map(move |other| Self::Apart(one, other)));
        (0..nodes).flat_map(of_node).chain(pairs).chain([Self::Release]).collect()
    }
}

impl Model {
    /// Does or undoes a fault.
    pub(super) fn strike(&mut self, fault: Fault) {
        self.trace.push((self.now, format!("FAULT {fault:?}")));
        self.faults.insert(fault);
        self.changed_at = self.now;
        if !matches!(fault, Fault::Lose(_)) {
            self.broken_at = self.now;
        }
        match fault {
            Fault::Power(node) => self.power(node),
            Fault::Process(node) if self.agents[node].is_some() => self.agents[node] = None,
            Fault::Process(node) if self.kernels[node].on => self.start_agent(node),
            Fault::Process(_) => {}
            Fault::Stop(node) => {
                if let Some(agent) = &mut self.agents[node] {
                    agent.stopped = !agent.stopped;
                }
            }
            Fault::Link(node) => {
                self.links[node] = !self.links[node];
                self.tell(node, Event::Link(self.links[node]));
            }
            Fault::Isolate(node) => self.others(node).into_iter().for_each(|other| self.cut_both(node, other)),
            Fault::Deaf(node) => self.others(node).into_iter().for_each(|other| self.toggle(other, node)),
            Fault::Mute(node) => self.others(node).into_iter().for_each(|other| self.toggle(node, other)),
            Fault::Apart(one, other) => self.cut_both(one, other),
            Fault::Lose(node) => {
                // Bursts close upon each other are one silence for who waits for an answer.
                let near = self.loses.iter().filter(|(_, until)| self.now <= *until + ms(200)).map(|(from, _)| *from);
                let from = near.min().unwrap_or(self.now);
                self.loses[node] = (from, self.now + BURST);
            }
            Fault::Delay(node) => self.delays_until[node] = self.now + BURST,
            Fault::Drain(node) => {
                self.drains[node] = !self.drains[node];
                let drains = self.drains[node];
                if let Some(agent) = &mut self.agents[node] {
                    agent.machine.handle(self.now, Input::Drain(drains));
                }
            }
            Fault::Stale(node) => self.turn_rankings(node),
            Fault::Release => {
                self.released = !self.released;
                (0..self.setup.nodes).for_each(|node| self.tell_rankings(node));
            }
            Fault::Stranger => self.stranger = if self.stranger.is_some() { None } else { Some(self.now) },
        }
    }

    fn power(&mut self, node: usize) {
        if self.kernels[node].on {
            self.agents[node] = None;
            self.kernels[node] = super::kernel::Kernel::new(false, self.kernels[node].yields);
        } else {
            self.kernels[node].on = true;
            self.start_agent(node);
        }
    }

    fn others(&self, node: usize) -> Vec<usize> {
        (0..=self.client()).filter(|other| *other != node).collect()
    }

    fn cut_both(&mut self, one: usize, other: usize) {
        self.toggle(one, other);
        self.toggle(other, one);
    }

    fn toggle(&mut self, from: usize, to: usize) {
        if !self.cut.remove(&(from, to)) {
            self.cut.insert((from, to));
        }
    }

    /// Turns every ranking round for all but `stale`; who was stale before is told.
    fn turn_rankings(&mut self, stale: usize) {
        let mut turned: Vec<Vec<usize>> = self.setup.rankings.clone();
        turned.iter_mut().for_each(|ranking| ranking.reverse());
        self.setup.rankings.clone_from(&turned);
        for node in 0..self.setup.nodes {
            if node != stale {
                self.rankings[node].clone_from(&turned);
                self.tell_rankings(node);
            }
        }
    }
}
