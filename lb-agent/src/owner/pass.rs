//! One pass: look, plan, apply, announce, vouch, show.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lb_api::{
    VirtualIP,
    node::{AttachMode, Interface, LeaseState},
};
use lb_plan::agent::{self, Operation, Snapshot, Table as _, Topology, table};

use super::{Links, Owner};
use crate::{
    clock, host,
    view::{Lease, View},
    xdp::attach,
};

/// Between two plans of all that only single objects caused.
const PLANS: Duration = Duration::from_millis(100);

impl Owner {
    /// Runs one pass to its end.
    pub(super) async fn pass(&mut self) {
        let began = clock::monotonic();
        self.seen.lost = false;
        let links = self.look(began).await;
        if !self.seen.looked {
            // Without links the plan would be empty, and would take away what an earlier agent left. Nor is this a pass in
            // which nothing was held: the statuses that say otherwise stay.
            return self.show_problems();
        }
        if links == Links::Changed {
            self.take_links(began);
        }
        self.learn(began, links);
        let listing = self.virtual_ips.current();
        let (changed, others) = self.take_listing(began, listing);
        let standing = self.take_standing(began);
        let all = standing || others || links == Links::Changed || self.seen.retry;
        if all {
            self.set_addresses(began);
        } else {
            self.set_changed(began, &changed);
        }
        self.act(clock::monotonic());
        if !all {
            self.apply_new(&changed);
        }
        self.seen.unplanned |= !changed.is_empty();
        let replan = all || self.seen.retry || self.plan_due().is_some_and(|due| due <= began);
        self.seen.retry = false;
        if replan {
            self.apply();
        } else {
            if self.keeper.is_held() && !self.attachments.complete() {
                self.attach();
            }
            if links == Links::Same {
                // Sysctls change without an event.
                self.host_settings();
            }
        }
        if self.host.next().is_some_and(|due| due <= began) {
            let errors = self.host.round(began, &self.requests, &mut self.seen.observed).await;
            let retry = self.seen.retry;
            self.report(errors);
            // What failed comes again after the rest of the queue, not instead of it.
            self.seen.retry = retry || self.host.failed();
        }
        self.announce();
        self.vouch(self.args.lease.millis());
        self.show(began, replan || !self.attachments.complete());
    }

    /// What the links make of this node's place on its networks.
    fn take_links(&mut self, now: Duration) {
        let links: Vec<agent::Link> = self.seen.observed.values().map(|observed| observed.link.clone()).collect();
        let topology = Topology::of(&links, &self.config);
        if topology != self.seen.topology {
            self.seen.topology = topology;
            let stations: BTreeSet<u32> = self.seen.topology.stations.iter().map(|station| station.index).collect();
            self.schedule.retain(|target| stations.contains(&target.ifindex));
        }
        self.set_links(now);
    }

    /// When what changed in single objects must be in the plan of all. What they answer is in the table before.
    pub(super) fn plan_due(&self) -> Option<Duration> {
        self.seen.unplanned.then_some(self.seen.planned_at + PLANS)
    }

    /// Suppresses the addresses of new objects at once, ahead of the plan of all that would take 12 ms with 10,000
    /// addresses: what this node answers the machine has said already.
    fn apply_new(&mut self, changed: &[Arc<VirtualIP>]) {
        if self.tables.segments() != &self.seen.topology.segments || !self.keeper.is_held() {
            return;
        }
        let ownership = &self.deciding.machine;
        let snapshot = Snapshot { node: &self.args.node, topology: &self.seen.topology, ownership };
        let plan = agent::plan(snapshot, changed.iter().map(|object| &**object));
        let new = plan.entries.into_iter().filter(|(key, _)| !self.tables.has(*key)).collect::<Vec<_>>();
        let applied = new.into_iter().map(|(key, action)| self.tables.apply(Operation::SetEntry(key, action)));
        let errors = applied.filter_map(Result::err).collect();
        self.report(errors);
    }

    fn apply(&mut self) {
        self.seen.unplanned = false;
        self.seen.planned_at = clock::monotonic();
        let listed = self.seen.listing.iter().flat_map(|listing| listing.objects.values()).map(|object| &**object);
        let objects = listed.chain(self.seen.leaving.objects());
        let ownership = &self.deciding.machine;
        self.seen.plan =
            agent::plan(Snapshot { node: &self.args.node, topology: &self.seen.topology, ownership }, objects);
        self.own_stations();
        self.apply_tables();
        // The table stands: from here on it may answer, and only then may a frame meet the program.
        if !self.keeper.is_held() {
            self.vouch(self.args.lease.millis());
        }
        if self.keeper.is_held() {
            self.attach();
        }
        self.host_settings();
        let problems = self.seen.plan.problems.iter().cloned().map(anyhow::Error::new).collect();
        let retry = self.seen.retry;
        self.report(problems);
        // What is wrong in an object stays wrong until it changes.
        self.seen.retry = retry;
    }

    fn apply_tables(&mut self) {
        // What is applied is in the tables; a second copy of thousands of entries is nobody's.
        let entries = std::mem::take(&mut self.seen.plan.entries);
        let operations = table::diff(&self.tables, &self.seen.plan.segments, &entries);
        let errors: Vec<_> =
            operations.into_iter().filter_map(|operation| self.tables.apply(operation).err()).collect();
        self.report(errors);
    }

    fn attach(&mut self) {
        let wanted = &self.seen.topology.attach;
        let interfaces: Vec<attach::Interface<'_>> = wanted
            .iter()
            .filter_map(|(index, up)| {
                let observed = self.seen.observed.get(index)?;
                Some(attach::Interface { index: *index, name: &observed.link.name, up: *up, xdp: observed.xdp })
            })
            .collect();
        self.attachments.ensure(&mut self.object, &interfaces);
        let errors = self.attachments.retain(wanted);
        // What the kernel reports of these links is from before; the next look is a true one.
        self.note_attached();
        self.report(errors);
    }

    fn note_attached(&mut self) {
        for (index, attach) in self.attachments.iter() {
            let is_xdp = matches!(attach.mode, AttachMode::Native | AttachMode::Generic);
            if let (Some(observed), true) = (self.seen.observed.get_mut(&index), is_xdp) {
                observed.xdp = attach.mode;
            }
        }
    }

    fn host_settings(&mut self) {
        let wanted = host::Wanted {
            arp_announce: self.seen.topology.stations.iter().map(|station| station.name.clone()).collect(),
            groups: self.seen.plan.groups.clone(),
        };
        let errors = self.host.plan(&wanted, &self.seen.observed);
        self.report(errors);
    }

    /// Sends the copies that are due.
    pub(super) fn announce(&mut self) {
        if self.schedule.is_empty() || !self.keeper.is_held() {
            return;
        }
        let due = self.schedule.poll(clock::monotonic());
        self.send_copies(&due);
    }

    /// Publishes what is wrong, and nothing of what is held.
    fn show_problems(&mut self) {
        self.view.completed_at = clock::monotonic();
        self.view.counters = self.seen.counters;
        self.view.problems = Arc::new(self.seen.reported.iter().cloned().collect());
        self.published.send_replace(self.view.clone());
    }

    /// Publishes the view. What only a plan changes is made anew only after one.
    fn show(&mut self, began: Duration, replanned: bool) {
        let now = clock::monotonic();
        let took = now.saturating_sub(began);
        if replanned || std::mem::take(&mut self.deciding.changed) {
            self.view.held = agent::holdings(&self.deciding.machine).into();
            self.view.waits = Arc::new(self.deciding.machine.waits());
        }
        if !self.deciding.strangers.is_empty() || !self.view.strangers.is_empty() {
            let strangers = self.deciding.strangers.current(now, &self.deciding.machine);
            if *self.view.strangers != strangers {
                self.view.strangers = Arc::new(strangers);
            }
        }
        if replanned {
            self.view.interfaces = Arc::new(self.interfaces());
            let blind = self.seen.topology.stations.iter().filter(|is| self.deciding.blind.contains(&is.segment));
            self.view.blind = Arc::new(blind.map(|station| station.name.clone()).collect());
            let clean = !self.seen.retry && self.host.settled() && self.seen.plan.problems.is_empty();
            if clean {
                self.seen.reported.clear();
            }
            self.view.problems = Arc::new(self.seen.reported.iter().cloned().collect());
        }
        let held = self.keeper.is_held();
        self.view = View {
            manifests: self.seen.listing.as_ref().map(|listing| Arc::clone(&listing.digest)).unwrap_or_default(),
            passes: self.view.passes + 1,
            completed_at: now,
            pass_took: took,
            plan_took: if replanned { took } else { self.view.plan_took },
            lease: Lease {
                state: if held { LeaseState::Held } else { LeaseState::Lost },
                epoch: self.keeper.epoch(),
                deadline_millis: self.keeper.deadline(),
                duration_millis: self.args.lease.millis(),
            },
            entries: self.tables.entry_count(),
            announcing: self.schedule.len(),
            ready: held && self.attachments.complete(),
            counters: self.seen.counters,
            ownership: Arc::new(self.deciding.machine.counters().clone()),
            peers: self.deciding.shown_readings(&self.view.peers),
            proxy: self.deciding.proxy.state(),
            detection: self.deciding.stopwatch.detection(),
            takeover: self.deciding.stopwatch.takeover(),
            ..self.view.clone()
        };
        self.published.send_replace(self.view.clone());
    }

    fn interfaces(&self) -> Vec<Interface> {
        let indexes: BTreeSet<u32> = self
            .seen
            .topology
            .attach
            .keys()
            .copied()
            .chain(self.seen.topology.stations.iter().map(|station| station.index))
            .collect();
        let observed = indexes.iter().filter_map(|index| self.seen.observed.get(index));
        observed
            .map(|observed| Interface {
                name: observed.link.name.clone(),
                index: observed.link.index,
                mac: observed.link.mac.map(text).unwrap_or_default(),
                addresses: observed.link.addresses.iter().map(ToString::to_string).collect(),
                carrier: observed.link.up && observed.link.carrier,
                attach: self.attachments.get(observed.link.index),
            })
            .collect()
    }
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
