//! Planning again when little has changed: what the last plan found is remembered, and only what a change can reach is
//! looked at.
//!
//! The part is planned by the very code that plans the whole ([`super::plan`]), with a [`Memory`] that answers for the
//! rest: which addresses are taken, how much each node carries, what was told. **Both give the same steps**, and a property
//! test holds them to it over the histories of all model tests. This rests on:
//! * A Service whose plan was complete, and that no change reaches ([`circle`]), would be planned as before, which is not
//!   at all: its slots are full, so it takes nothing, and whatever it shares an address or a key with is in the circle too.
//! * It is no more than a load to the ranking: groups that were kept are kept again, unless a node is over the bound.
//! * A Service that lacks something, or was told something, is in every circle until that has passed.
//!
//! Whatever is not so makes [`Planner::near`] give nothing, and the whole is planned: other kinds that changed, a deadline
//! that has come, doubts, a pool that is full while addresses are in quarantine, a node over the bound, a large circle.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Service, events::v1::Event};
use lb_api::{ConfigurationState, EndpointSlice, IPAddressPool, VirtualIP};

use super::{Plan, Snapshot, work_out};

mod circle;
mod learn;
mod memory;

pub(super) use memory::Memory;

/// An object as it was and as it is; never both `None`.
#[derive(Debug, Clone)]
pub struct Change<K> {
    /// `None` if it is new.
    pub before: Option<Arc<K>>,
    /// `None` if it is gone.
    pub now: Option<Arc<K>>,
}

/// What differs from what the last plan was made on. Of the kinds that are not here nothing may differ.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Of Services.
    pub services: Vec<Change<Service>>,
    /// Of VirtualIPs.
    pub virtual_ips: Vec<Change<VirtualIP>>,
    /// Of EndpointSlices.
    pub endpoint_slices: Vec<Change<EndpointSlice>>,
    /// Of Events.
    pub events: Vec<Change<Event>>,
    /// Of IPAddressPools: their status is Herald's own.
    pub ip_address_pools: Vec<Change<IPAddressPool>>,
    /// Of ConfigurationStates.
    pub configuration_states: Vec<Change<ConfigurationState>>,
}

/// Plans, and remembers.
#[derive(Debug, Default)]
pub struct Planner {
    memory: Option<Memory>,
}

impl Planner {
    /// Plans the whole: [`super::plan`].
    pub fn whole(&mut self, snapshot: Snapshot) -> Plan {
        self.memory = None;
        let (plan, learnt) = work_out(&snapshot, None, learn::learn);
        // What is in doubt cannot be told from a change of it.
        if snapshot.doubts.is_none() && snapshot.refused.is_empty() {
            let mut memory = Memory::new(snapshot);
            memory.set_deadline(plan.deadline);
            memory.add(learnt);
            self.memory = Some(memory);
        }
        plan
    }

    /// Plans what the changes since the last plan can reach; `None` if the whole has to be planned.
    pub fn near(&mut self, changes: Changes, now: Timestamp) -> Option<Plan> {
        // What is taken out is put back only if all went well.
        let mut memory = self.memory.take()?;
        let seeds = memory.take(changes)?;
        if memory.deadline().is_some_and(|deadline| deadline <= now) {
            return None;
        }
        let circle = circle::around(&memory, seeds)?;
        let touched = memory.lift(&circle)?;
        let snapshot = memory.part(&circle, now);
        let (mut plan, (learnt, is_sure)) =
            work_out(&snapshot, Some(&memory), |findings| (learn::learn(findings), findings.is_sure()));
        if !is_sure {
            return None;
        }
        memory.put_back(snapshot);
        plan.deadline = memory.note_deadline(plan.deadline);
        memory.add(learnt);
        if memory.is_crowded(&touched) {
            return None;
        }
        plan.figures = memory.figures();
        self.memory = Some(memory);
        Some(plan)
    }
}
