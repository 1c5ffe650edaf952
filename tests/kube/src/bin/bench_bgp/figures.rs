//! What is measured, and what is to be reached.

use lb_tests::{bounds::Bounds, spread::Spread};
use serde::Serialize;

const BACK_P90_MS: f64 = 250.0;
const WITHDRAWN_P50_MS: f64 = 5.0;
const WITHDRAWN_P99_MS: f64 = 10.0;
const CREATED_P50_MS: f64 = 10.0;
const TOLD_MS: f64 = 1_000.0;
const RSS_KIB: f64 = 60.0 * 1024.0;
/// Of one processor.
const IDLE_PERCENT: f64 = 1.0;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) release_build: bool,
    pub(crate) ecmp: Option<Ecmp>,
    pub(crate) latency: Option<Latency>,
    pub(crate) prefixes: Option<Prefixes>,
    pub(crate) missed: Vec<String>,
}

/// A router spreads traffic over three nodes.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ecmp {
    /// From the death of a node to the first connection after the last that failed.
    pub(crate) back_ms: Spread,
    /// Connections that failed, by death.
    pub(crate) failed: Vec<usize>,
    /// While a node was drained.
    pub(crate) drain_connections: usize,
    pub(crate) drain_failed: usize,
    /// Cut because they were being made while the router changed its ways.
    pub(crate) drain_in_flight: usize,
    /// Connections that were open when the drain began, and how many of them were answered after it.
    pub(crate) drain_open: usize,
    pub(crate) drain_kept: usize,
}

/// From the write at the API server to the message at the router.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) services: usize,
    /// An EndpointSlice whose last endpoint serves no more.
    pub(crate) withdrawn_ms: Spread,
    /// The same when it serves again.
    pub(crate) told_again_ms: Spread,
    /// A new Service.
    pub(crate) created_ms: Spread,
    /// Tellings and withdrawals that no change asked for.
    pub(crate) unasked: usize,
    /// Sessions of a peer that was left alone while another one was changed; 1 is the one from the start.
    pub(crate) sessions_of_the_other: usize,
    pub(crate) sessions_of_the_changed: usize,
}

/// Many prefixes to four routers.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Prefixes {
    pub(crate) prefixes: u32,
    pub(crate) routers: usize,
    /// From the first session's establishment until all are told everything.
    pub(crate) told_ms: f64,
    /// Of a process that does nothing else; with the routes as they are planned.
    pub(crate) rss_kib: u64,
    /// Processor time of ten idle seconds, in hundredths of one processor.
    pub(crate) idle_percent: f64,
}

impl Figures {
    /// What is not reached.
    pub(crate) fn judge(&self) -> Vec<String> {
        let mut bounds = Bounds::default();
        if let Some(ecmp) = &self.ecmp {
            bounds.under("ecmp.back_ms.p90", ecmp.back_ms.p90, BACK_P90_MS);
            bounds.under("ecmp.drain_failed", ecmp.drain_failed as f64, 1.0);
        }
        if let Some(latency) = &self.latency {
            bounds.under("latency.withdrawn_ms.p50", latency.withdrawn_ms.p50, WITHDRAWN_P50_MS);
            bounds.under("latency.withdrawn_ms.p99", latency.withdrawn_ms.p99, WITHDRAWN_P99_MS);
            bounds.under("latency.created_ms.p50", latency.created_ms.p50, CREATED_P50_MS);
            bounds.under("latency.unasked", latency.unasked as f64, 1.0);
            bounds.under("latency.sessions_of_the_other", latency.sessions_of_the_other as f64, 2.0);
        }
        if let Some(prefixes) = &self.prefixes {
            bounds.under("prefixes.told_ms", prefixes.told_ms, TOLD_MS);
            bounds.under("prefixes.rss_kib", prefixes.rss_kib as f64, RSS_KIB);
            bounds.under("prefixes.idle_percent", prefixes.idle_percent, IDLE_PERCENT);
        }
        bounds.missed()
    }
}
