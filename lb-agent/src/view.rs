//! What the owner shows of itself: a value, replaced after every pass.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use lb_api::node::{Interface, LeaseState, ProxyState};
use lb_common::{event::Kind, lease::Millis};
use lb_plan::{
    agent::{Holding, Mac, stopwatch::Durations},
    ownership::{self, WhyNot},
};
use serde::Serialize;

use crate::liveness::Readings;

/// The agent after a pass. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// The store's digest of the objects that the last pass saw.
    pub(crate) manifests: Arc<str>,
    pub(crate) passes: u64,
    /// On the monotonic clock.
    pub(crate) completed_at: Duration,
    /// How long the last pass took.
    pub(crate) pass_took: Duration,
    /// The same of the last pass that planned anew: from a change to the maps.
    pub(crate) plan_took: Duration,
    pub(crate) lease: Lease,
    pub(crate) held: Arc<[Holding]>,
    /// Stations that are no node and use an address of this one.
    pub(crate) strangers: Arc<BTreeMap<IpAddr, Mac>>,
    /// How many entries this node does not hold, by the reason.
    pub(crate) waits: Arc<BTreeMap<WhyNot, usize>>,
    pub(crate) entries: usize,
    pub(crate) interfaces: Arc<Vec<Interface>>,
    /// Objects, interfaces and settings with an error in the last pass.
    pub(crate) problems: Arc<Vec<String>>,
    /// Interfaces of segments on which this node has no on-link address, and takes nothing.
    pub(crate) blind: Arc<Vec<String>>,
    /// Addresses that are being announced.
    pub(crate) announcing: usize,
    /// Every interface that is up has the program, and the lease is held.
    pub(crate) ready: bool,
    pub(crate) counters: Counters,
    /// What the ownership machine has counted.
    pub(crate) ownership: Arc<ownership::Counters>,
    /// How long failures took.
    pub(crate) detection: Durations,
    pub(crate) takeover: Durations,
    /// What is known of other nodes, by segment.
    pub(crate) peers: Arc<Readings>,
    /// What kube-proxy's health port says, if it is asked.
    pub(crate) proxy: Option<ProxyState>,
}

/// The lease as shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lease {
    pub(crate) state: LeaseState,
    pub(crate) epoch: u16,
    /// On the monotonic clock.
    pub(crate) deadline_millis: Millis,
    pub(crate) duration_millis: Millis,
}

/// Events since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) announcements: u64,
    pub(crate) announcement_errors: u64,
    pub(crate) lease_losses: u64,
    pub(crate) errors: u64,
    /// What the kernel program told, by kind.
    pub(crate) events: [u64; Kind::ALL.len()],
}
