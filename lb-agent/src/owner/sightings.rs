//! What the kernel program tells of others who speak for our addresses, and the hardware addresses it tells them by.

use std::{collections::BTreeSet, time::Duration};

use lb_common::abi::{Station, StationKey};

use super::Owner;
use crate::xdp::events::Event;

impl Owner {
    /// Takes one event: it is counted, and told to who decides.
    pub(super) fn sighted(&mut self, now: Duration, event: &Event) {
        if let Some(count) = self.seen.counters.events.get_mut(event.kind as usize) {
            *count += 1;
        }
        tracing::debug!(?event, "told by the kernel program");
        self.tell(now, event);
    }

    /// Looks for itself where events are missing.
    pub(super) fn audit_events(&mut self, now: Duration) {
        let lost = match self.told.lost() {
            Ok(0) => return,
            Ok(lost) => lost,
            Err(error) => return self.report(vec![error]),
        };
        match self.tables.yields() {
            Ok(yields) => {
                tracing::warn!(lost, ?yields, "events of the kernel program are missing; addresses it gave away");
                self.tell_yields(now, &yields);
            }
            Err(error) => self.report(vec![error]),
        }
    }

    /// Lets the program know this node's own interfaces that hear each other.
    pub(super) fn own_stations(&mut self) {
        let own = self.seen.topology.own_addresses().into_iter();
        let keys: BTreeSet<StationKey> = own.map(|(segment, mac)| StationKey { segment, mac, pad: [0; 2] }).collect();
        let errors = self.stations.set(Station::Ours, &keys);
        self.report(errors);
    }
}
