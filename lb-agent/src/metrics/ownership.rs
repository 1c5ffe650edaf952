//! Who took what from whom, and what is known of the other nodes.

use lb_bfd::initiator::Reading;
use lb_plan::agent::stopwatch::Durations;
use prometheus::{
    Counter, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector, proto::MetricFamily,
};

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
    families.extend(waits(view)?.collect());
    let help = "Interfaces without an on-link address, on whose segment this node takes nothing.";
    let blind = IntGauge::new("herald_agent_blind_interfaces", help)?;
    blind.set(i64::try_from(view.blind.len()).unwrap_or(i64::MAX));
    families.extend(blind.collect());
    families.extend(peers(view)?.collect());
    let help = "From the last answer of a node that died to the decision to take its addresses.";
    families.extend(durations("herald_agent_detection_seconds", help, &view.detection)?);
    let help = "From the decision to take an address to its first announcement.";
    families.extend(durations("herald_agent_takeover_seconds", help, &view.takeover)?);
    Ok(families)
}

/// A histogram, as counters by hand: it was counted where it happened.
fn durations(name: &str, help: &str, durations: &Durations) -> prometheus::Result<Vec<MetricFamily>> {
    let buckets = IntCounterVec::new(Opts::new(format!("{name}_bucket"), help), &["le"])?;
    for (bound, within) in Durations::BOUNDS.iter().zip(durations.within) {
        buckets.with_label_values(&[bound.as_secs_f64().to_string()]).inc_by(within);
    }
    buckets.with_label_values(&["+Inf"]).inc_by(durations.count);
    let count = IntCounter::new(format!("{name}_count"), "How many there were.")?;
    count.inc_by(durations.count);
    let sum = Counter::new(format!("{name}_sum"), "Seconds of all of them.")?;
    sum.inc_by(durations.sum.as_secs_f64());
    Ok([buckets.collect(), count.collect(), sum.collect()].concat())
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

fn waits(view: &View) -> prometheus::Result<IntGaugeVec> {
    let options = Opts::new("herald_agent_waiting_addresses", "Entries that this node does not hold, by the reason.");
    let gauge = IntGaugeVec::new(options, &["why"])?;
    for (why, count) in view.waits.iter() {
        gauge.with_label_values(&[why.word()]).set(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    Ok(gauge)
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use lb_plan::ownership::{Counters, Loss, Why, WhyNot};

    use super::*;

    #[test]
    fn every_transition_and_what_led_to_it_is_counted() {
        let counters = Counters {
            takes: [(Why::Silent, 3)].into(),
            losses: [(Loss::Claimed, 1), (Loss::LetGo(WhyNot::LinkDown), 2)].into(),
            claims_heard: 4,
            claims_withstood: 5,
            duplicates: 6,
            strangers: 7,
            probes: 8,
            audits: 9,
            silent_answered: 10,
            silent_dead: 11,
        };
        let detection = Durations { count: 1, sum: Duration::from_millis(250), ..Durations::default() };
        let view = View {
            ownership: Arc::new(counters),
            peers: Arc::new([((2, "b".to_owned()), Reading::Down)].into()),
            waits: Arc::new([(WhyNot::NodeAbove, 12)].into()),
            detection,
            ..View::default()
        };

        let text = prometheus::TextEncoder::new().encode_to_string(&families(&view).unwrap()).unwrap();

        for line in [
            "herald_agent_takes_total{why=\"Silent\"} 3",
            "herald_agent_losses_total{why=\"Claimed\"} 1",
            "herald_agent_losses_total{why=\"LinkDown\"} 2",
            "herald_agent_waiting_addresses{why=\"NodeAbove\"} 12",
            "herald_agent_claims_heard_total 4",
            "herald_agent_claims_withstood_total 5",
            "herald_agent_duplicates_total 6",
            "herald_agent_strangers_total 7",
            "herald_agent_probes_total 8",
            "herald_agent_audits_total 9",
            "herald_agent_silent_answered_total 10",
            "herald_agent_silent_dead_total 11",
            "herald_agent_peer{node=\"b\",segment=\"2\",state=\"down\"} 1",
            "herald_agent_detection_seconds_bucket{le=\"+Inf\"} 1",
            "herald_agent_detection_seconds_sum 0.25",
            "herald_agent_takeover_seconds_bucket{le=\"0.005\"} 0",
            "herald_agent_takeover_seconds_count 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
