//! Host settings: `arp_announce`, solicited-node groups, allmulticast.
//!
//! [`steps`] is pure: from what is recorded, wanted and observed to the changes. [`HostSettings`] makes them, groups
//! at a bounded rate, each recorded before it is made.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::Ipv6Addr,
    time::Duration,
};

use anyhow::Context;
use lb_plan::agent::Groups;

use crate::{
    net::{Requests, addresses, links::Observed, sysctl, sysctl::Sysctls},
    undo::{Record, Undo},
};

/// Changes of one round: 20 every 10 ms are 2,000 a second, which a kernel and an MLD-snooping switch bear.
const STEPS_PER_ROUND: usize = 20;
/// Time between rounds.
const ROUND: Duration = Duration::from_millis(10);

/// What the plan wants of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Stations by name.
    pub(crate) arp_announce: BTreeSet<String>,
    /// By kernel index of the station.
    pub(crate) groups: BTreeMap<u32, Groups>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Join(u32, Ipv6Addr),
    Leave(u32, Ipv6Addr),
    AllMulticast(u32, bool),
}

impl Step {
    fn index(&self) -> u32 {
        let (Self::Join(index, _) | Self::Leave(index, _) | Self::AllMulticast(index, _)) = self;
        *index
    }
}

/// Puts the changes of failing interfaces behind all others, each group in its order.
fn failing_last(steps: &mut [Step], failing: &BTreeSet<u32>) {
    steps.sort_by_key(|step| failing.contains(&step.index()));
}

/// The settings' owner.
#[derive(Debug)]
pub(crate) struct HostSettings {
    undo: Undo,
    sysctls: Sysctls,
    queue: VecDeque<Step>,
    /// Interfaces whose last change failed: theirs come last, so that they hold up no other.
    failing: BTreeSet<u32>,
    next_round: Duration,
}

impl HostSettings {
    pub(crate) fn new(undo: Undo, sysctls: Sysctls) -> Self {
        Self { undo, sysctls, queue: VecDeque::new(), failing: BTreeSet::new(), next_round: Duration::ZERO }
    }

    /// Sets what is quick, and queues the rest.
    pub(crate) fn plan(&mut self, wanted: &Wanted, observed: &BTreeMap<u32, Observed>) -> Vec<anyhow::Error> {
        self.note_names(wanted, observed);
        let mut errors = self.arp_announce(&wanted.arp_announce);
        self.undo.record.groups.retain(|index, groups| observed.contains_key(index) && !groups.is_empty());
        self.undo.record.all_multicast.retain(|index| observed.contains_key(index));
        let mut steps = steps(&self.undo.record, wanted, observed);
        self.failing.retain(|index| steps.iter().any(|step| step.index() == *index));
        failing_last(&mut steps, &self.failing);
        for step in &steps {
            note(&mut self.undo.record, step);
        }
        // One that is joined and wanted is ours, whoever recorded it.
        for (index, groups) in &wanted.groups {
            let joined = observed.get(index).map(|link| &link.joined).into_iter().flatten();
            let ours = joined.filter(|group| groups.joined.contains(*group));
            self.undo.record.groups.entry(*index).or_default().extend(ours);
        }
        match self.undo.save().context("host settings stay as they are") {
            Ok(()) => self.queue = steps.into(),
            Err(error) => errors.push(error),
        }
        errors
    }

    /// When [`Self::round`] is due; `None` if nothing is queued.
    pub(crate) fn next(&self) -> Option<Duration> {
        (!self.queue.is_empty()).then_some(self.next_round)
    }

    /// Whether the host is as it was last wanted, as far as is known.
    pub(crate) fn settled(&self) -> bool {
        self.queue.is_empty() && self.failing.is_empty()
    }

    /// Whether everything was tried and something of it must be tried again.
    pub(crate) fn failed(&self) -> bool {
        self.queue.is_empty() && !self.failing.is_empty()
    }

    /// Makes some of the queued changes, and notes in `observed` what they changed.
    pub(crate) async fn round(
        &mut self,
        now: Duration,
        requests: &Requests,
        observed: &mut BTreeMap<u32, Observed>,
    ) -> Vec<anyhow::Error> {
        let mut errors = Vec::new();
        for _ in 0..STEPS_PER_ROUND {
            let Some(step) = self.queue.pop_front() else { break };
            match make(requests, &step).await {
                Ok(()) => {
                    self.failing.remove(&step.index());
                    forget(&mut self.undo.record, &step);
                    observe(observed, &step);
                }
                Err(error) => {
                    self.failing.insert(step.index());
                    errors.push(error);
                }
            }
        }
        self.next_round = now + ROUND;
        if self.queue.is_empty() {
            errors.extend(self.undo.save().map_err(anyhow::Error::from).err());
        }
        errors
    }

    /// Settings follow the interface, not its name.
    fn note_names(&mut self, wanted: &Wanted, observed: &BTreeMap<u32, Observed>) {
        let record = &mut self.undo.record;
        let names = || observed.iter().map(|(index, observed)| (*index, observed.link.name.as_str()));
        record.follow_names(names());
        record.names.retain(|index, _| observed.contains_key(index));
        let stations = names().filter(|(_, name)| wanted.arp_announce.contains(*name));
        record.names.extend(stations.map(|(index, name)| (index, name.to_owned())));
    }

    fn arp_announce(&mut self, wanted: &BTreeSet<String>) -> Vec<anyhow::Error> {
        let mut errors = Vec::new();
        for name in wanted {
            errors.extend(self.set_arp_announce(name).err());
        }
        let gone: Vec<String> =
            self.undo.record.arp_announce.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in gone {
            if let Some(before) = self.undo.record.arp_announce.remove(&name) {
                errors.extend(restore_arp_announce(&self.sysctls, &name, before).err());
            }
        }
        errors
    }

    fn set_arp_announce(&mut self, name: &str) -> anyhow::Result<()> {
        let failed = || format!("set arp_announce of {name}");
        let now = self.sysctls.arp_announce(name).with_context(failed)?;
        if now == sysctl::BEST_LOCAL_ADDRESS {
            return Ok(());
        }
        self.undo.record.arp_announce.insert(name.to_owned(), now);
        self.undo.save().with_context(failed)?;
        self.sysctls.set_arp_announce(name, sysctl::BEST_LOCAL_ADDRESS).with_context(failed)
    }
}

/// Puts `arp_announce` back, unless somebody else has changed it since or the interface is gone.
pub(crate) fn restore_arp_announce(sysctls: &Sysctls, name: &str, before: u8) -> anyhow::Result<()> {
    match sysctls.arp_announce(name) {
        Ok(sysctl::BEST_LOCAL_ADDRESS) => {
            sysctls.set_arp_announce(name, before).with_context(|| format!("restore arp_announce of {name}"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("read arp_announce of {name}")),
    }
}

/// The changes from observed to wanted. Only what is recorded as ours is taken back.
fn steps(record: &Record, wanted: &Wanted, observed: &BTreeMap<u32, Observed>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, groups) in &wanted.groups {
        let Some(link) = observed.get(index) else { continue };
        if groups.all_multicast && !link.all_multicast {
            steps.push(Step::AllMulticast(*index, true));
        }
        steps.extend(groups.joined.difference(&link.joined).map(|group| Step::Join(*index, *group)));
    }
    for (index, ours) in &record.groups {
        let Some(link) = observed.get(index) else { continue };
        let needed = |group: &Ipv6Addr| wanted.groups.get(index).is_some_and(|groups| groups.joined.contains(group));
        let unneeded = ours.iter().filter(|group| link.joined.contains(*group) && !needed(group));
        steps.extend(unneeded.map(|group| Step::Leave(*index, *group)));
    }
    for index in &record.all_multicast {
        if !wanted.groups.get(index).is_some_and(|groups| groups.all_multicast) {
            steps.push(Step::AllMulticast(*index, false));
        }
    }
    steps
}

/// Records a change before it is made.
fn note(record: &mut Record, step: &Step) {
    match step {
        Step::Join(index, group) => drop(record.groups.entry(*index).or_default().insert(*group)),
        Step::AllMulticast(index, true) => drop(record.all_multicast.insert(*index)),
        Step::Leave(..) | Step::AllMulticast(_, false) => {}
    }
}

/// Forgets what has been taken back.
fn forget(record: &mut Record, step: &Step) {
    match step {
        Step::Leave(index, group) => {
            if let Some(groups) = record.groups.get_mut(index) {
                groups.remove(group);
            }
        }
        Step::AllMulticast(index, false) => drop(record.all_multicast.remove(index)),
        Step::Join(..) | Step::AllMulticast(_, true) => {}
    }
}

/// Groups are no events to us, so what was changed is noted here.
fn observe(observed: &mut BTreeMap<u32, Observed>, step: &Step) {
    let Some(link) = observed.get_mut(&step.index()) else { return };
    match step {
        Step::Join(_, group) => drop(link.joined.insert(*group)),
        Step::Leave(_, group) => drop(link.joined.remove(group)),
        Step::AllMulticast(_, on) => link.all_multicast = *on,
    }
}

/// Makes one change.
pub(crate) async fn make(requests: &Requests, step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Join(index, group) => addresses::join(requests, *index, *group)
            .await
            .with_context(|| format!("join {group} on interface {index}")),
        Step::Leave(index, group) => addresses::leave(requests, *index, *group)
            .await
            .with_context(|| format!("leave {group} on interface {index}")),
        Step::AllMulticast(index, on) => {
            if *on {
                tracing::warn!(interface = index, "too many IPv6 addresses for single groups: allmulticast is set");
            }
            addresses::set_all_multicast(requests, *index, *on)
                .await
                .with_context(|| format!("set allmulticast of interface {index}"))
        }
    }
}

#[cfg(test)]
mod tests;
