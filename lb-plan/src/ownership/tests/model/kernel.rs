//! The kernel's half of a node, as small as it can be: the table, the note of what was yielded, the lease latch and the
//! reflector. It goes on when the agent is stopped or dead, and ends only with the node.

use std::{collections::BTreeMap, time::Duration};

use super::super::Reflect;

/// The program of one node.
#[derive(Debug, Clone, Default)]
pub(super) struct Kernel {
    /// The node has power.
    pub(super) on: bool,
    /// Generation and epoch of each answer entry. The address is the slot.
    entries: BTreeMap<u8, (u32, u16)>,
    /// The program alone writes it.
    yielded: BTreeMap<u8, u32>,
    pub(super) epoch: u16,
    /// `None`: tripped, or never taken.
    pub(super) deadline: Option<Duration>,
    reflects: Option<(Reflect, u16)>,
    /// Rule 5 is in force.
    pub(super) yields: bool,
}

impl Kernel {
    pub(super) fn new(on: bool, yields: bool) -> Self {
        Self { on, yields, ..Self::default() }
    }

    pub(super) fn is_held(&self, now: Duration) -> bool {
        self.on && self.deadline.is_some_and(|deadline| now <= deadline)
    }

    /// What the first frame past the deadline does. There is always one: clients ask all the time.
    pub(super) fn trip(&mut self, now: Duration) {
        self.deadline = self.deadline.filter(|deadline| now <= *deadline);
    }

    /// The renewal program: extends the lease of the epoch that stands, or begins a new one.
    pub(super) fn renew(&mut self, now: Duration, epoch: u16, until: Duration) -> bool {
        let is_mine = self.epoch != epoch || self.is_held(now);
        if is_mine {
            self.epoch = epoch;
            self.deadline = Some(until);
        }
        is_mine
    }

    pub(super) fn answers(&self, now: Duration, address: u8) -> bool {
        let entry = self.entries.get(&address).filter(|(_, epoch)| *epoch == self.epoch);
        let yielded = self.yielded.get(&address).copied().unwrap_or(0);
        self.is_held(now) && entry.is_some_and(|(generation, _)| *generation > yielded)
    }

    /// A claim of another node's MAC arrived. The generation that yields to it.
    pub(super) fn hear_claim(&mut self, address: u8) -> Option<u32> {
        let (generation, _) = *self.entries.get(&address)?;
        if self.yields {
            self.yielded.insert(address, generation);
        }
        Some(generation)
    }

    pub(super) fn reflects(&self, now: Duration) -> Reflect {
        match self.reflects {
            Some((Reflect::Up, epoch)) if epoch == self.epoch && self.is_held(now) => Reflect::Up,
            _ => Reflect::AdminDown,
        }
    }

    pub(super) fn set_reflect(&mut self, reflects: Reflect) {
        self.reflects = Some((reflects, self.epoch));
    }

    pub(super) fn set_answer(&mut self, address: u8, generation: u32) {
        self.entries.insert(address, (generation, self.epoch));
    }

    pub(super) fn has_answer(&self, address: u8) -> bool {
        self.entries.get(&address).is_some_and(|(_, epoch)| *epoch == self.epoch)
    }

    pub(super) fn set_suppress(&mut self, address: u8) {
        self.entries.remove(&address);
    }

    /// What an agent that starts finds: the entries that answer.
    pub(super) fn standing(&self, now: Duration) -> Vec<(u8, u32)> {
        let answering = self.entries.iter().filter(|(address, _)| self.answers(now, **address));
        answering.map(|(address, (generation, _))| (*address, *generation)).collect()
    }

    pub(super) fn highest_generation(&self) -> u32 {
        let standing = self.entries.values().map(|(generation, _)| *generation);
        self.yielded.values().copied().chain(standing).max().unwrap_or(0)
    }

    /// An agent that starts over empties the table.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}
