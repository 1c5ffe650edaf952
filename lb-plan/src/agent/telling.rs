//! What this node says, in the statuses of VirtualIPs, of the addresses that it holds.
//!
//! A node names itself once for each transition of its own, and takes only its own name away. It does not insist: on
//! two segments an address may have two holders, and each would write itself in the place of the other for ever.
//!
//! Pure: the writer asks what is due, writes it, and says what was written. What was not written is due again.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lb_api::{VirtualIP, VirtualIPStatus, virtual_ip::name_of};

use crate::ownership::{Machine, Why};

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

/// A status to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    /// Of what, as it was judged.
    pub object: Arc<VirtualIP>,
    /// The status.
    pub status: VirtualIPStatus,
    /// Which transition it tells of; `None`: this node does not hold it any more.
    since: Option<Duration>,
}

/// What has been told. Ends with the process: a new one tells once what it holds and finds told otherwise.
#[derive(Debug)]
pub struct Teller {
    node: String,
    /// By name of the VirtualIP: the transition that its status was told of, and of which object of that name.
    told: BTreeMap<String, (Duration, Option<String>)>,
}

impl Teller {
    /// Of this node.
    pub const fn new(node: String) -> Self {
        Self { node, told: BTreeMap::new() }
    }

    /// The statuses that this node has to write.
    pub fn due<'a>(
        &mut self,
        now: Moment,
        holdings: &[Holding],
        objects: impl Iterator<Item = &'a Arc<VirtualIP>>,
    ) -> Vec<Telling> {
        let held: BTreeMap<String, &Holding> =
            holdings.iter().map(|holding| (name_of(holding.address), holding)).collect();
        self.told.retain(|name, _| held.contains_key(name));
        let mut due = Vec::new();
        for object in objects {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            due.extend(self.of(now, name, held.get(name).copied(), object));
        }
        due
    }

    fn of(&mut self, now: Moment, name: &str, held: Option<&Holding>, object: &Arc<VirtualIP>) -> Option<Telling> {
        let status = object.status.clone().unwrap_or_default();
        let named = status.holder.as_deref() == Some(self.node.as_str());
        match held {
            Some(holding) if named => {
                self.note(name, holding.since, object);
                None
            }
            Some(holding) if status.holder.is_none() || !self.has_told(name, holding.since, object) => Some(Telling {
                object: Arc::clone(object),
                status: VirtualIPStatus {
                    holder: Some(self.node.clone()),
                    since: Some(Time(now.at(holding.since))),
                    why: Some(holding.why.word().to_owned()),
                    ..status
                },
                since: Some(holding.since),
            }),
            None if named => Some(Telling {
                object: Arc::clone(object),
                status: VirtualIPStatus { holder: None, since: None, why: None, ..status },
                since: None,
            }),
            Some(_) | None => None,
        }
    }

    /// It stands in the store.
    pub fn written(&mut self, telling: &Telling) {
        if let (Some(name), Some(since)) = (&telling.object.metadata.name, telling.since) {
            self.note(name, since, &telling.object);
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

#[cfg(test)]
mod tests;
