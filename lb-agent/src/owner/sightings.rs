//! What the kernel program tells of others who speak for our addresses, and the hardware addresses it tells them by.

use std::{collections::BTreeSet, time::Duration};

use lb_common::abi::{Station, StationKey};

use lb_plan::ownership::Input;

use super::Owner;
use crate::xdp::events::{Event, Kind};

impl Owner {
    /// Takes one event: it is counted, and told to who decides.
    pub(super) fn sighted(&mut self, now: Duration, event: &Event) {
        if let Some(count) = self.seen.counters.events.get_mut(event.kind as usize) {
            *count += 1;
        }
        tracing::debug!(?event, "told by the kernel program");
        self.tell(now, event);
    }

    /// Sees to it that no lost event matters. An answer that was not heard is asked for again; what gave way to a claim
    /// is a level in the map, which is read whenever a claim was lost, and from time to time.
    pub(super) fn audit_events(&mut self, now: Duration) {
        match self.told.lost() {
            Ok(lost) => {
                if lost.of(Kind::Sighting) > 0 {
                    self.deciding.machine.handle(now, Input::Missed);
                }
                if lost.of(Kind::Claim) > 0 {
                    self.deciding.rounds.all_again(now);
                }
            }
            Err(error) => self.report(vec![error]),
        }
        let Some(look) = self.deciding.rounds.due(now) else { return };
        let yields = self.tables.yields(look);
        self.deciding.rounds.done(now, look, yields.last, self.tables.entry_count());
        if !yields.failed.is_empty() {
            self.deciding.rounds.all_again(now);
        }
        if !yields.yielded.is_empty() {
            let count = yields.yielded.len();
            tracing::warn!(
                count,
                "the kernel program gave addresses away, and the events that say to whom are missing"
            );
        }
        self.tell_yields(now, &yields.yielded);
        self.report(yields.failed.into_iter().map(|(_, error)| error).collect());
    }

    /// Lets the program know the hardware addresses of the other nodes, once they have been listed. What failed, or was one
    /// of ours until now, is written with the next pass.
    pub(super) fn node_stations(&mut self) {
        if !self.deciding.has_met() {
            return;
        }
        let macs = self.deciding.peers.iter().flat_map(|peer| &peer.macs);
        let keys: BTreeSet<StationKey> =
            macs.map(|(segment, mac)| StationKey { segment: *segment, mac: *mac, pad: [0; 2] }).collect();
        let errors = self.stations.set(Station::Node, &keys);
        self.report(errors);
    }

    /// Lets the program know this node's own interfaces that hear each other.
    pub(super) fn own_stations(&mut self) {
        let own = self.seen.topology.own_addresses().into_iter();
        let keys: BTreeSet<StationKey> = own.map(|(segment, mac)| StationKey { segment, mac, pad: [0; 2] }).collect();
        let errors = self.stations.set(Station::Ours, &keys);
        self.report(errors);
    }
}
