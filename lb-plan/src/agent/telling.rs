//! What this node says, in the statuses of VirtualIPs, of the addresses that it holds: who, since when, why, who is next,
//! and who else uses them.
//!
//! A node names itself once for each transition of its own, and takes only its own name away. It does not insist: on
//! two segments an address may have two holders, and each would write itself in the place of the other for ever.
//!
//! Pure: the writer asks what is due, writes it, and says what was written. What was not written is due again.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lb_api::{VirtualIP, VirtualIPStatus, virtual_ip::name_of};

use super::frame::Mac;
use crate::ownership::{Machine, Why};

mod event;
mod stranger;

pub use stranger::Strangers;
use stranger::Warnings;

/// A standby that is another than before is told after it has been so for this long: who goes silent for a moment
/// changes a thousand statuses.
const SETTLED: Duration = Duration::from_secs(5);

/// An address that this node answers for, on whichever segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holding {
    /// The address.
    pub address: IpAddr,
    /// Why it was taken where it was taken last.
    pub why: Why,
    /// When that was, on the monotonic clock.
    pub since: Duration,
}

/// Everything that the machine holds, by address.
pub fn holdings(machine: &Machine) -> Vec<Holding> {
    let mut held: BTreeMap<IpAddr, Holding> = BTreeMap::new();
    for (key, _) in machine.entries().filter(|(_, generation)| generation.is_some()) {
        let Some(status) = machine.status(key) else { continue };
        let Ok(why) = status.holding else { continue };
        let holding = Holding { address: key.address, why, since: status.since };
        let latest = held.entry(key.address).or_insert(holding);
        if holding.since > latest.since {
            *latest = holding;
        }
    }
    held.into_values().collect()
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The one that only grows.
    pub monotonic: Duration,
    /// The one that people read.
    pub wall: Timestamp,
}

impl Moment {
    /// What people's clocks showed then.
    fn at(&self, monotonic: Duration) -> Timestamp {
        let ago = SignedDuration::try_from(self.monotonic.saturating_sub(monotonic)).unwrap_or_default();
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}

/// What this node sees.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// When.
    pub now: Moment,
    /// What it holds.
    pub holdings: &'a [Holding],
    /// Stations that are no node, by the address that they use and this node holds or retreated from.
    pub strangers: &'a BTreeMap<IpAddr, Mac>,
    /// Whether a node would take an address if this one died, as far as is known.
    pub stands_by: &'a dyn Fn(&str) -> bool,
}

/// A status to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    /// Of what, as it was judged.
    pub object: Arc<VirtualIP>,
    /// The status.
    pub status: VirtualIPStatus,
    /// Which transition it tells of; `None`: of none to this node.
    since: Option<Duration>,
    /// This node took it, and from whom, if that is known.
    taken: Option<Option<String>>,
    /// The condition of a stranger changed: who it is, or that it is gone.
    stranger: Option<Option<Mac>>,
}

/// What has been told. Ends with the process: a new one tells once what it holds and finds told otherwise.
#[derive(Debug)]
pub struct Teller {
    node: String,
    /// By name of the VirtualIP: the transition that its status was told of, and of which object of that name.
    told: BTreeMap<String, (Duration, Option<String>)>,
    /// The other node that a status named last.
    others: BTreeMap<String, String>,
    /// Standbys that are other than told, and since when.
    unsettled: BTreeMap<String, (Option<String>, Duration)>,
    warnings: Warnings,
}

impl Teller {
    /// Of this node.
    pub fn new(node: String) -> Self {
        Self {
            node,
            told: BTreeMap::new(),
            others: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            warnings: Warnings::default(),
        }
    }

    /// The statuses that this node has to write.
    pub fn due<'a>(&mut self, scene: Scene<'_>, objects: impl Iterator<Item = &'a Arc<VirtualIP>>) -> Vec<Telling> {
        let held: BTreeMap<String, &Holding> =
            scene.holdings.iter().map(|holding| (name_of(holding.address), holding)).collect();
        let strangers: BTreeMap<String, Mac> =
            scene.strangers.iter().map(|(address, mac)| (name_of(*address), *mac)).collect();
        self.told.retain(|name, _| held.contains_key(name));
        self.unsettled.retain(|name, _| held.contains_key(name));
        self.warnings.begin(scene.now.monotonic);
        let mut due = Vec::new();
        for object in objects {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            let holding = held.get(name).copied();
            let telling = self.of(scene, name, holding, object);
            let settled = holding.is_some_and(|holding| scene.now.monotonic >= holding.since + stranger::EVERY);
            due.extend(self.warn(scene.now, settled, strangers.get(name).copied(), telling, object));
        }
        due
    }

    /// Whether something will be due by time alone.
    pub fn waits(&self) -> bool {
        !self.unsettled.is_empty() || self.warnings.stand()
    }

    fn of(&mut self, scene: Scene<'_>, name: &str, held: Option<&Holding>, object: &Arc<VirtualIP>) -> Option<Telling> {
        let status = object.status.clone().unwrap_or_default();
        let named = status.holder.as_deref() == Some(self.node.as_str());
        if !named {
            self.unsettled.remove(name);
        }
        match &status.holder {
            Some(_) if named => drop(self.others.remove(name)),
            Some(other) if self.others.get(name) != Some(other) => {
                self.others.insert(name.to_owned(), other.clone());
            }
            Some(_) | None => {}
        }
        match held {
            Some(holding) if named => {
                self.note(name, holding.since, object);
                self.standby(scene, name, object, status)
            }
            Some(holding) if status.holder.is_none() || !self.has_told(name, holding.since, object) => {
                let is_news = holding.why != Why::TakenUp && !self.has_told(name, holding.since, object);
                Some(Telling {
                    status: VirtualIPStatus {
                        holder: Some(self.node.clone()),
                        since: Some(Time(scene.now.at(holding.since))),
                        why: Some(holding.why.word().to_owned()),
                        standby: self.next(scene, object),
                        ..status
                    },
                    since: Some(holding.since),
                    taken: is_news.then(|| self.others.get(name).cloned()),
                    ..Telling::of(object)
                })
            }
            None if named => Some(Telling {
                status: VirtualIPStatus { holder: None, since: None, why: None, standby: None, ..status },
                ..Telling::of(object)
            }),
            Some(_) | None => None,
        }
    }

    /// Another node would take it now than the status says.
    fn standby(
        &mut self,
        scene: Scene<'_>,
        name: &str,
        object: &Arc<VirtualIP>,
        status: VirtualIPStatus,
    ) -> Option<Telling> {
        let (next, now) = (self.next(scene, object), scene.now.monotonic);
        if next == status.standby {
            self.unsettled.remove(name);
            return None;
        }
        let unsettled = self.unsettled.entry(name.to_owned()).or_insert_with(|| (next.clone(), now));
        if unsettled.0 != next {
            *unsettled = (next.clone(), now);
        }
        let is_settled = now >= unsettled.1 + SETTLED;
        is_settled.then(|| Telling { status: VirtualIPStatus { standby: next, ..status }, ..Telling::of(object) })
    }

    /// The first of the ranked nodes, but for this one, that would take it.
    fn next(&self, scene: Scene<'_>, object: &VirtualIP) -> Option<String> {
        object.spec.nodes.iter().find(|node| **node != self.node && (scene.stands_by)(node)).cloned()
    }

    /// Adds what there is to say of a stranger.
    fn warn(
        &mut self,
        now: Moment,
        settled: bool,
        stranger: Option<Mac>,
        telling: Option<Telling>,
        object: &Arc<VirtualIP>,
    ) -> Option<Telling> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let status = telling.as_ref().map_or_else(|| object.status.as_ref(), |telling| Some(&telling.status));
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let Some(condition) = self.warnings.due(now, &self.node, name, settled, stranger, conditions) else {
            return telling;
        };
        let mut telling = telling.unwrap_or_else(|| Telling::of(object));
        telling.stranger = Some(stranger);
        telling.status.conditions.retain(|other| other.type_ != condition.type_);
        telling.status.conditions.push(condition);
        Some(telling)
    }

    /// It stands in the store.
    pub fn written(&mut self, now: Duration, telling: &Telling) {
        let Some(name) = &telling.object.metadata.name else { return };
        if let Some(since) = telling.since {
            self.note(name, since, &telling.object);
        }
        if let Some(stranger) = telling.stranger {
            self.warnings.written(now, name, stranger.is_some());
        }
    }

    fn note(&mut self, name: &str, since: Duration, object: &VirtualIP) {
        if !self.has_told(name, since, object) {
            self.told.insert(name.to_owned(), (since, object.metadata.uid.clone()));
        }
    }

    /// Of an address that is let go on one segment and held on another the transition is an earlier one.
    fn has_told(&self, name: &str, since: Duration, object: &VirtualIP) -> bool {
        self.told.get(name).is_some_and(|(told, uid)| *told >= since && *uid == object.metadata.uid)
    }
}

impl Telling {
    /// Nothing new of an object.
    fn of(object: &Arc<VirtualIP>) -> Self {
        let status = object.status.clone().unwrap_or_default();
        Self { object: Arc::clone(object), status, since: None, taken: None, stranger: None }
    }
}

#[cfg(test)]
mod tests;
