//! Who took what from whom, and what is known of the other nodes.

use lb_bfd::initiator::Reading;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, core::Collector, proto::MetricFamily};

use crate::view::View;

/// Every state that a peer is shown in: 1 for its own, 0 for the others.
const STATES: [&str; 4] = ["up", "admin-down", "down", "unknown"];

pub(super) fn families(view: &View) -> prometheus::Result<Vec<MetricFamily>> {
    let counted = &view.ownership;
    let mut families = Vec::new();
    let takes = counted.takes.iter().map(|(why, count)| (why.word(), *count));
    let help = "Addresses that this node took, by the reason.";
    families.extend(by_reason("herald_agent_takes_total", help, takes)?.collect());
    let losses = counted.losses.iter().map(|(why, count)| (why.word(), *count));
    let help = "Addresses that this node gave up, by the reason.";
    families.extend(by_reason("herald_agent_losses_total", help, losses)?.collect());
    let counters = [
        (
            "herald_agent_claims_heard_total",
            "Claims of other nodes for addresses that this node held.",
            counted.claims_heard,
        ),
        ("herald_agent_claims_withstood_total", "Of these, those that it kept by its MAC.", counted.claims_withstood),
        (
            "herald_agent_duplicates_total",
            "Answers of other nodes for addresses that this node held.",
            counted.duplicates,
        ),
        ("herald_agent_strangers_total", "Frames of stations that are no node for our addresses.", counted.strangers),
        ("herald_agent_probes_total", "Questions for addresses sent.", counted.probes),
        ("herald_agent_audits_total", "Audits of addresses that others hold.", counted.audits),
        (
            "herald_agent_silent_answered_total",
            "Silent nodes that answered when asked: false alarms.",
            counted.silent_answered,
        ),
        ("herald_agent_silent_dead_total", "Silent nodes that did not.", counted.silent_dead),
    ];
    for (name, help, value) in counters {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        families.extend(counter.collect());
    }
    families.extend(peers(view)?.collect());
    Ok(families)
}

fn by_reason<'a>(
    name: &str,
    help: &str,
    counts: impl Iterator<Item = (&'a str, u64)>,
) -> prometheus::Result<IntCounterVec> {
    let counter = IntCounterVec::new(Opts::new(name, help), &["why"])?;
    for (why, count) in counts {
        counter.with_label_values(&[why]).inc_by(count);
    }
    Ok(counter)
}

fn peers(view: &View) -> prometheus::Result<IntGaugeVec> {
    let options = Opts::new("herald_agent_peer", "What S-BFD says of each node that is watched: 1 for its state.");
    let gauge = IntGaugeVec::new(options, &["node", "segment", "state"])?;
    for ((segment, node), reading) in view.peers.iter() {
        let is = state(*reading);
        for state in STATES {
            gauge.with_label_values(&[node.as_str(), &segment.to_string(), state]).set(i64::from(state == is));
        }
    }
    Ok(gauge)
}

/// The word for a reading.
pub(crate) const fn state(reading: Reading) -> &'static str {
    match reading {
        Reading::Up => "up",
        Reading::AdminDown => "admin-down",
        Reading::Down => "down",
        Reading::Unknown { .. } => "unknown",
    }
}
