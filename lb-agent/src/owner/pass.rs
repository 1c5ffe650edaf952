//! One pass: look, plan, apply, announce, vouch, show.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use lb_api::{
    VirtualIP,
    node::{AttachMode, Interface, LeaseState},
};
use lb_plan::agent::{
    self, Action, Operation, SegmentId, Snapshot, Station, Table as _, Topology, announce::Target, plan::answering,
    table,
};

use super::{Links, Owner};
use crate::{
    clock, host,
    view::{Lease, View},
    xdp::attach,
};

/// Which addresses' announcements begin, and which end.
#[derive(Default)]
struct Turns {
    answering: Vec<(SegmentId, IpAddr)>,
    not_answering: BTreeSet<(SegmentId, IpAddr)>,
}

impl Owner {
    /// Runs one pass to its end.
    pub(super) async fn pass(&mut self) {
        let began = clock::monotonic();
        self.seen.lost = false;
        let links = self.look(began).await;
        if !self.seen.looked {
            // Without links the plan would be empty, and would take away what an earlier agent left.
            self.show(began, true);
            return;
        }
        let listing = self.virtual_ips.current();
        let (changed, objects_changed) = self.take_listing(began, listing);
        let replan = links == Links::Changed || objects_changed || std::mem::take(&mut self.seen.retry);
        if replan {
            self.apply(began, links == Links::Changed, &changed);
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

    fn apply(&mut self, now: Duration, looked: bool, changed: &[Arc<VirtualIP>]) {
        let before = stations_by_segment(&self.seen.topology);
        if looked {
            let links: Vec<agent::Link> = self.seen.observed.values().map(|observed| observed.link.clone()).collect();
            self.seen.topology = Topology::of(&links, &self.config);
        }
        self.take_standing(now);
        let mut turns = self.apply_first(changed);
        let listed = self.seen.listing.iter().flat_map(|listing| listing.objects.values()).map(|object| &**object);
        let objects = listed.chain(self.seen.leaving.objects());
        self.seen.plan = agent::plan(Snapshot { node: &self.args.node, topology: &self.seen.topology }, objects);
        self.own_stations();
        turns.extend(self.apply_tables());
        // The table stands: from here on it may answer, and only then may a frame meet the program.
        if !self.keeper.is_held() {
            self.vouch(self.args.lease.millis());
        }
        if self.keeper.is_held() {
            self.attach();
        }
        self.schedule_turns(turns, &before);
        self.host_settings();
        let problems = self.seen.plan.problems.iter().cloned().map(anyhow::Error::new).collect();
        let retry = self.seen.retry;
        self.report(problems);
        // What is wrong in an object stays wrong until it changes.
        self.seen.retry = retry;
    }

    /// What the changed objects ask for, ahead of the whole plan: with 10,000 addresses a plan takes longer than a
    /// change may. The whole plan follows in the same pass and judges these entries like all others.
    fn apply_first(&mut self, changed: &[Arc<VirtualIP>]) -> Turns {
        let mut turns = Turns::default();
        if !self.keeper.is_held() || self.tables.segments() != &self.seen.topology.segments {
            return turns;
        }
        let snapshot = Snapshot { node: &self.args.node, topology: &self.seen.topology };
        let entries = agent::plan(snapshot, changed.iter().map(|object| &**object)).entries;
        for (key, action) in entries {
            if self.tables.action(key) == Some(action) {
                continue;
            }
            let operation = Operation::SetEntry(key, action);
            // What fails here is tried again, and reported, by the whole plan.
            if self.tables.apply(operation).is_ok() {
                turns.note(operation);
            }
        }
        turns
    }

    fn apply_tables(&mut self) -> Turns {
        let operations = table::diff(&self.tables, &self.seen.plan.segments, &self.seen.plan.entries);
        let mut turns = Turns::default();
        let mut errors = Vec::new();
        for operation in operations {
            match self.tables.apply(operation) {
                Ok(()) => turns.note(operation),
                Err(error) => errors.push(error),
            }
        }
        self.report(errors);
        turns
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
        let mut errors = Vec::new();
        match self.object.responder() {
            Ok(program) => self.attachments.ensure(program, &interfaces),
            Err(error) => errors.push(error),
        }
        errors.extend(self.attachments.retain(wanted));
        // What the kernel reports of these links is from before; the next look is a true one.
        self.note_attached();
        self.report(errors);
    }

    fn note_attached(&mut self) {
        for (index, attach) in self.attachments.iter() {
            if let (Some(observed), true) = (self.seen.observed.get_mut(&index), attach.mode != AttachMode::None) {
                observed.xdp = attach.mode;
            }
        }
    }

    /// Announces what is newly held, and all of a segment when its station came up or changed its MAC.
    fn schedule_turns(&mut self, turns: Turns, before: &BTreeMap<SegmentId, Station>) {
        let stations = stations_by_segment(&self.seen.topology);
        let index_of = |segment| stations.get(&segment).filter(|station| station.running).map(|station| station.index);
        if !turns.not_answering.is_empty() {
            let ended: BTreeSet<Target> = turns
                .not_answering
                .iter()
                .filter_map(|(segment, address)| Some(Target { ifindex: index_of(*segment)?, address: *address }))
                .collect();
            self.schedule.retain(|target| !ended.contains(target));
        }
        for (segment, address) in turns.answering {
            if let Some(ifindex) = index_of(segment) {
                self.schedule.start(Target { ifindex, address });
            }
        }
        for (segment, station) in &stations {
            let same = before
                .get(segment)
                .is_none_or(|old| (old.index, old.mac, old.running) == (station.index, station.mac, station.running));
            if same || !station.running {
                continue;
            }
            for key in self.tables.answers_on(*segment) {
                self.schedule.start(Target { ifindex: station.index, address: key.address });
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
    fn announce(&mut self) {
        if self.schedule.is_empty() || !self.keeper.is_held() {
            return;
        }
        for target in self.schedule.poll(clock::monotonic()) {
            let station = self.seen.topology.stations.iter().find(|station| station.index == target.ifindex);
            let Some(station) = station.filter(|station| station.running) else { continue };
            match self.announcer.send(station, target.address) {
                Ok(()) => self.seen.counters.announcements += 1,
                // Repeats make up for a full queue; a link that went down is in the next event.
                Err(error) => {
                    self.seen.counters.announcement_errors += 1;
                    tracing::debug!(address = %target.address, interface = station.name, "announce: {error}");
                }
            }
        }
    }

    /// Publishes the view. What only a plan changes is made anew only after one.
    fn show(&mut self, began: Duration, replanned: bool) {
        let now = clock::monotonic();
        let took = now.saturating_sub(began);
        if replanned {
            self.view.held = self.seen.plan.held.as_slice().into();
            self.view.interfaces = Arc::new(self.interfaces());
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

impl Turns {
    fn extend(&mut self, later: Self) {
        self.answering.extend(later.answering);
        self.not_answering.extend(later.not_answering);
    }

    fn note(&mut self, operation: Operation) {
        match operation {
            Operation::SetEntry(key, Action::Answer) => self.answering.push((key.segment, key.address)),
            Operation::SetEntry(key, Action::Suppress) | Operation::RemoveEntry(key) => {
                self.not_answering.insert((key.segment, key.address));
            }
            Operation::SetSegment(..) | Operation::RemoveSegment(_) => {}
        }
    }
}

fn stations_by_segment(topology: &Topology) -> BTreeMap<SegmentId, Station> {
    let ids = topology.segment_ids().into_iter();
    ids.filter_map(|id| Some((id, answering(topology, id)?.clone()))).collect()
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
