//! Prometheus metrics: read from the kernel's counters and the view when they are asked for.

pub(crate) mod ownership;

use anyhow::Context;
use aya::maps::{Map, MapData, PerCpuArray};
use lb_api::node::LeaseState;
use lb_common::{
    abi,
    event::{Budget, Kind},
    outcome,
};
use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::sync::watch;

use crate::{view::View, xdp::pins::Pins};

/// A registry with everything the agent shows.
pub(crate) fn registry(pins: &Pins, view: watch::Receiver<View>) -> anyhow::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(Frames::open(pins)?)).context("register the frame counters")?;
    registry.register(Box::new(Lost::open(pins)?)).context("register the counters of lost events")?;
    registry.register(Box::new(Agent { view })).context("register the agent's metrics")?;
    Ok(registry)
}

/// The kernel's counters by outcome, summed over the CPUs. They live as long as the pinned map.
struct Frames {
    outcomes: PerCpuArray<MapData, u64>,
    counter: IntCounterVec,
}

impl Frames {
    fn open(pins: &Pins) -> anyhow::Result<Self> {
        let path = pins.map(abi::name::OUTCOMES);
        let data = MapData::from_pin(&path).with_context(|| format!("open the pinned map {}", path.display()))?;
        let outcomes =
            PerCpuArray::try_from(Map::PerCpuArray(data)).context("the outcome counters are of another type")?;
        Ok(Self { outcomes, counter: frames_counter()? })
    }
}

fn frames_counter() -> prometheus::Result<IntCounterVec> {
    let options = Opts::new("herald_agent_frames_total", "ARP and neighbour discovery frames by what became of them.");
    IntCounterVec::new(options, &["outcome"])
}

impl Collector for Frames {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A counter of this collection alone: the sums are in the kernel.
        let Ok(counter) = frames_counter() else { return Vec::new() };
        for (index, name) in (0_u32..).zip(outcome::names()) {
            if let Ok(values) = self.outcomes.get(&index, 0) {
                counter.with_label_values(&[name]).inc_by(values.iter().sum());
            }
        }
        counter.collect()
    }
}

/// The agent's own state.
struct Agent {
    view: watch::Receiver<View>,
}

impl Collector for Agent {
    /// Unchecked: names are fixed below and appear nowhere else.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let view = self.view.borrow().clone();
        families(&view).unwrap_or_else(|error| {
            tracing::warn!("metrics: {error}");
            Vec::new()
        })
    }
}

fn families(view: &View) -> prometheus::Result<Vec<MetricFamily>> {
    let mut families = Vec::new();
    let held = i64::from(view.lease.state == LeaseState::Held);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let gauges = [
        ("herald_agent_lease_held", "1 while the agent vouches for its table.", held),
        ("herald_agent_lease_epoch", "The epoch of the lease.", i64::from(view.lease.epoch)),
        ("herald_agent_entries", "Addresses in the table, counted per segment.", count(view.entries)),
        ("herald_agent_held_addresses", "Addresses that this node holds.", count(view.held.len())),
        ("herald_agent_announcing_addresses", "Addresses that are being announced.", count(view.announcing)),
        ("herald_agent_problems", "Objects, interfaces and settings with an error.", count(view.problems.len())),
    ];
    for (name, help, value) in gauges {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value);
        families.extend(gauge.collect());
    }
    let counters = [
        ("herald_agent_passes_total", "Completed passes.", view.passes),
        (
            "herald_agent_lease_losses_total",
            "Leases that ran out before they were renewed.",
            view.counters.lease_losses,
        ),
        ("herald_agent_announcements_total", "Copies of announcements sent.", view.counters.announcements),
        ("herald_agent_announcement_errors_total", "Copies that were not sent.", view.counters.announcement_errors),
        ("herald_agent_errors_total", "Operations that failed.", view.counters.errors),
    ];
    for (name, help, value) in counters {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        families.extend(counter.collect());
    }
    families.extend(events(&view.counters.events)?.collect());
    families.extend(ownership::families(view)?);
    let durations = [
        ("herald_agent_pass_seconds", "How long the last pass took.", view.pass_took),
        ("herald_agent_plan_seconds", "How long the last pass took that planned anew.", view.plan_took),
    ];
    for (name, help, value) in durations {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value.as_secs_f64());
        families.extend(gauge.collect());
    }
    let options = Opts::new("herald_agent_attach", "How each interface is attached: 1 for its mode.");
    let attach = IntGaugeVec::new(options, &["interface", "mode"])?;
    for interface in view.interfaces.iter() {
        let mode = format!("{:?}", interface.attach.mode).to_lowercase();
        attach.with_label_values(&[interface.name.as_str(), &mode]).set(1);
    }
    families.extend(attach.collect());
    Ok(families)
}

/// What the kernel program told.
fn events(counts: &[u64]) -> prometheus::Result<IntCounterVec> {
    let options = Opts::new(
        "herald_agent_events_total",
        "Frames of others that concern our addresses, as the kernel program told.",
    );
    let counter = IntCounterVec::new(options, &["kind"])?;
    for (kind, count) in Kind::ALL.iter().zip(counts) {
        counter.with_label_values(&[kind.name()]).inc_by(*count);
    }
    Ok(counter)
}

/// What the kernel program did not tell, for want of room or of budget. Lives as long as the pinned map.
struct Lost {
    budgets: PerCpuArray<MapData, Budget>,
    counter: IntCounterVec,
}

impl Lost {
    fn open(pins: &Pins) -> anyhow::Result<Self> {
        let path = pins.map(abi::name::BUDGETS);
        let data = MapData::from_pin(&path).with_context(|| format!("open the pinned map {}", path.display()))?;
        let budgets = PerCpuArray::try_from(Map::PerCpuArray(data)).context("the budgets are of another type")?;
        Ok(Self { budgets, counter: lost_counter()? })
    }
}

fn lost_counter() -> prometheus::Result<IntCounterVec> {
    let options = Opts::new("herald_agent_events_lost_total", "Events that the kernel program could not tell.");
    IntCounterVec::new(options, &["kind"])
}

impl Collector for Lost {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(counter) = lost_counter() else { return Vec::new() };
        for kind in Kind::ALL {
            if let Ok(budgets) = self.budgets.get(&(kind as u32), 0) {
                counter.with_label_values(&[kind.name()]).inc_by(budgets.iter().map(|budget| budget.lost).sum());
            }
        }
        counter.collect()
    }
}
