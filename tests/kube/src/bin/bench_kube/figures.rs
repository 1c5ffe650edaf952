//! What is measured, and what is to be reached.

use std::collections::BTreeMap;

use lb_tests::{bounds::Bounds, spread::Spread};
use serde::Serialize;

/// At 10,000 Services; with fewer they hold all the more.
const SHARE: f64 = 0.6;
const RESTART_MS: f64 = 3_000.0;
const RSS_KIB: u64 = 100 * 1024;
const ADDRESS_P99_MS: f64 = 50.0;
const ANSWER_P50_MS: f64 = 10.0;
const ANSWER_P99_MS: f64 = 20.0;
/// Of an agent with 1,000 Services.
const AGENT_RSS_KIB: u64 = 30 * 1024;
const AGENT_SERVICES: usize = 1_000;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) services: usize,
    pub(crate) release_build: bool,
    /// Writes a second of the bare loop, before and after Herald's part.
    pub(crate) bare_rates: Vec<f64>,
    /// From the start of the controller until all Services that were there have addresses and all is told.
    pub(crate) before_seconds: f64,
    pub(crate) before_services_per_second: f64,
    pub(crate) before_writes_per_second: f64,
    /// Of the bare loop's rate.
    pub(crate) before_share: f64,
    /// Everything that the controller wrote meanwhile, by resource and verb.
    pub(crate) writes: BTreeMap<String, usize>,
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_kib: u64,
    pub(crate) peak_rss_kib: u64,
    /// From the start of the process until it says that it is ready, and until it has planned as the leader.
    pub(crate) restart_ready_ms: f64,
    pub(crate) restart_planned_ms: f64,
    pub(crate) restart_writes: BTreeMap<String, usize>,
    pub(crate) restart_rss_kib: u64,
    /// What the API server takes to create a Service among so many.
    pub(crate) create_ms: Spread,
    /// From then until its address is seen.
    pub(crate) address_ms: Spread,
    /// As many Services created while the controller runs: until all have addresses, of that the creation, and the rest.
    pub(crate) after_seconds: f64,
    pub(crate) after_creation_seconds: f64,
    pub(crate) after_lag_seconds: f64,
    /// From the API server's word that a Service is created until the first ARP answer.
    pub(crate) answer_ms: Spread,
    pub(crate) agent_services: usize,
    pub(crate) agent_rss_kib: u64,
    pub(crate) missed: Vec<String>,
}

impl Figures {
    /// What is not reached.
    pub(crate) fn judge(&self) -> Vec<String> {
        let mut bounds = Bounds::default();
        bounds.under("restart_ready_ms", self.restart_ready_ms, RESTART_MS);
        bounds.under("rss_kib", self.rss_kib as f64, RSS_KIB as f64);
        bounds.under("address_ms.p99", self.address_ms.p99, ADDRESS_P99_MS);
        bounds.under("answer_ms.p50", self.answer_ms.p50, ANSWER_P50_MS);
        bounds.under("answer_ms.p99", self.answer_ms.p99, ANSWER_P99_MS);
        if self.agent_services <= 2 * AGENT_SERVICES {
            bounds.under("agent_rss_kib", self.agent_rss_kib as f64, AGENT_RSS_KIB as f64);
        }
        bounds.at_least("before_share", self.before_share, SHARE);
        let wanted = BTreeMap::from(
            ["create virtualips", "patch services/status", "create events"]
                .map(|write| (write.to_owned(), self.services)),
        );
        let others = |(write, _): &(&String, &usize)| !write.ends_with(" leases");
        let written: BTreeMap<String, usize> =
            self.writes.iter().filter(others).map(|(write, count)| (write.clone(), *count)).collect();
        bounds.hold(written == wanted, || format!("written is {written:?}, to reach is {wanted:?}"));
        let rests = !self.restart_writes.iter().any(|write| others(&write));
        bounds.hold(rests, || format!("after the restart is written {:?}, to reach is nothing", self.restart_writes));
        bounds.missed()
    }
}
