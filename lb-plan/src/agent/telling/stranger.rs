//! The condition of an address that a station uses which is no node (rule 9): set once by who holds it, and taken back
//! when nobody has been heard for as long as a holder that retreated would wait.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lb_api::names::vip_condition::{GONE, IN_USE, STRANGER};

use super::Moment;
use crate::{
    agent::{frame::Mac, table::EntryKey},
    ownership::{Machine, WhyNot},
};

/// Between two writes about one address: two strangers may take turns.
pub(super) const EVERY: Duration = Duration::from_secs(60);

/// The stations that the machine told of, as long as they count.
#[derive(Debug, Clone, Default)]
pub struct Strangers(BTreeMap<EntryKey, (Mac, Duration)>);

impl Strangers {
    /// The machine told of one: it does so every 10 s while it is heard and the address is held.
    pub fn note(&mut self, now: Duration, key: EntryKey, mac: Mac) {
        self.0.insert(key, (mac, now));
    }

    /// By address, who was heard within the last minute, or keeps this node from holding it.
    pub fn current(&mut self, now: Duration, machine: &Machine) -> BTreeMap<IpAddr, Mac> {
        self.0.retain(|key, (_, at)| {
            let retreats = machine.status(*key).is_some_and(|status| status.holding == Err(WhyNot::Stranger));
            now < *at + EVERY || retreats
        });
        self.0.iter().map(|(key, (mac, _))| (key.address, *mac)).collect()
    }

    /// Whether nobody counts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The conditions that stand because of this node.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    /// By name of the VirtualIP: when it was written.
    written: BTreeMap<String, Duration>,
    /// The first look: what an earlier process saw may not have been heard again yet.
    began: Option<Duration>,
}

impl Warnings {
    pub(super) fn begin(&mut self, now: Duration) {
        self.began.get_or_insert(now);
    }

    /// Whether one of this node's stands.
    pub(super) fn stand(&self) -> bool {
        !self.written.is_empty()
    }

    /// The condition to write, if it is another than there is. `settled`: the address has been held for so long that a
    /// stranger would have been heard.
    pub(super) fn due(
        &self,
        now: Moment,
        node: &str,
        name: &str,
        settled: bool,
        stranger: Option<Mac>,
        conditions: &[Condition],
    ) -> Option<Condition> {
        let stands = conditions.iter().find(|one| one.type_ == STRANGER && one.status == "True");
        let condition = |status: &str, reason: &str, message: String| Condition {
            type_: STRANGER.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: Time(now.wall),
            observed_generation: None,
        };
        match (stranger, stands) {
            (Some(mac), _) => {
                let message = format!("{} uses the address too and is no node; seen by {node}", text(mac));
                let same = stands.is_some_and(|stands| stands.message == message);
                let recent = self.written.get(name).is_some_and(|at| now.monotonic < *at + EVERY);
                // It is news that there is one; which one of several it is can wait.
                (!same && (stands.is_none() || !recent)).then(|| condition("True", IN_USE, message))
            }
            (None, Some(stands)) => {
                let listened = self.began.is_some_and(|began| now.monotonic >= began + EVERY);
                let is_ours = self.written.contains_key(name) || settled && listened;
                is_ours.then(|| condition("False", GONE, stands.message.clone()))
            }
            (None, None) => None,
        }
    }

    /// The condition stands in the store, and says that there is one or that there is none.
    pub(super) fn written(&mut self, now: Duration, name: &str, there_is: bool) {
        match there_is {
            true => drop(self.written.insert(name.to_owned(), now)),
            false => drop(self.written.remove(name)),
        }
    }
}

/// A hardware address as people write it.
pub(super) fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
