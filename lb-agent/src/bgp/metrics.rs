//! MetalLB's metrics of BGP and BFD, by its names and labels, and how long changes take to the wire.
//!
//! Its native mode labels with `peer`, its FRR modes with `peer` and `vrf`; a query of either works here. `peer` is
//! `address:port` for BGP and `address` for BFD. The default VRF is `default`, as FRR calls it.

use std::collections::HashMap;

use lb_common::bfd::State;
use prometheus::{
    IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::sync::watch;

use super::{PeerStatus, Speaker, SpeakerStatus, ToWire};
use crate::bfd::{Bfd, SessionStatus};

const LABELS: [&str; 2] = ["peer", "vrf"];

/// A gauge or counter: its name, what it says, and how it is read.
type Reading<T> = (&'static str, &'static str, fn(&T) -> u64);

const BGP_GAUGES: [Reading<PeerStatus>; 3] = [
    ("metallb_bgp_session_up", "BGP session state (1 is up, 0 is down)", |peer| u64::from(peer.is_established())),
    (
        "metallb_bgp_announced_prefixes_total",
        "Number of prefixes currently being advertised on the BGP session",
        |peer| peer.bgp.told,
    ),
    ("metallb_bgp_pending_prefixes_total", "Number of prefixes that should be advertised on the BGP session", |peer| {
        peer.bgp.wanted
    }),
];

const BGP_COUNTERS: [Reading<PeerStatus>; 9] = [
    ("metallb_bgp_updates_total", "Number of BGP UPDATE messages sent", |peer| peer.bgp.counters.sent.update),
    ("metallb_bgp_updates_total_received", "Number of BGP UPDATE messages received", |peer| {
        peer.bgp.counters.received.update
    }),
    ("metallb_bgp_opens_sent", "Number of BGP open messages sent", |peer| peer.bgp.counters.sent.open),
    ("metallb_bgp_opens_received", "Number of BGP open messages received", |peer| peer.bgp.counters.received.open),
    ("metallb_bgp_notifications_sent", "Number of BGP notification messages sent", |peer| {
        peer.bgp.counters.sent.notification
    }),
    ("metallb_bgp_keepalives_sent", "Number of BGP keepalive messages sent", |peer| peer.bgp.counters.sent.keepalive),
    ("metallb_bgp_keepalives_received", "Number of BGP keepalive messages received", |peer| {
        peer.bgp.counters.received.keepalive
    }),
    ("metallb_bgp_total_sent", "Number of total BGP messages sent", |peer| peer.bgp.counters.sent.total()),
    ("metallb_bgp_total_received", "Number of total BGP messages received", |peer| peer.bgp.counters.received.total()),
];

const BFD_GAUGES: [Reading<SessionStatus>; 1] =
    [("metallb_bfd_session_up", "BFD session state (1 is up, 0 is down)", |session| {
        u64::from(session.state == State::Up)
    })];

const BFD_COUNTERS: [Reading<SessionStatus>; 5] = [
    ("metallb_bfd_control_packet_input", "Number of received BFD control packets", |session| session.counters.received),
    ("metallb_bfd_control_packet_output", "Number of sent BFD control packets", |session| session.counters.sent),
    ("metallb_bfd_echo_packet_input", "Number of received BFD echo packets", |session| session.counters.echoes),
    ("metallb_bfd_session_up_events", "Number of BFD session up events", |session| session.counters.ups),
    ("metallb_bfd_session_down_events", "Number of BFD session down events", |session| session.counters.downs),
];

/// Reads the speaker and BFD when it is asked.
#[derive(Debug)]
pub struct SpeakerMetrics {
    status: watch::Receiver<SpeakerStatus>,
    bfd: Bfd,
    /// One of many: a registry tells collectors apart by what they describe.
    name: Desc,
}

impl SpeakerMetrics {
    /// Reads this speaker.
    ///
    /// # Errors
    /// When a name or label is none that Prometheus takes.
    pub fn new(speaker: &Speaker) -> prometheus::Result<Self> {
        let [(name, help, _), ..] = BGP_GAUGES;
        let labels = LABELS.map(str::to_owned).to_vec();
        let name = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Self { status: speaker.status(), bfd: speaker.bfd().clone(), name })
    }
}

impl Collector for SpeakerMetrics {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.name]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let status = self.status.borrow().clone();
        families(&status, &self.bfd.sessions()).unwrap_or_else(|error| {
            tracing::warn!("metrics of BGP: {error}");
            Vec::new()
        })
    }
}

fn families(status: &SpeakerStatus, sessions: &[SessionStatus]) -> prometheus::Result<Vec<MetricFamily>> {
    let peers: Vec<_> = status.peers.values().map(|peer| (labels_of_peer(peer), peer)).collect();
    let sessions: Vec<_> = sessions.iter().map(|session| (labels_of_session(session), session)).collect();
    let mut families = Vec::new();
    for reading in BGP_GAUGES {
        families.extend(gauge(reading, &peers)?);
    }
    for reading in BGP_COUNTERS {
        families.extend(counter(reading, &peers)?);
    }
    for reading in BFD_GAUGES {
        families.extend(gauge(reading, &sessions)?);
    }
    for reading in BFD_COUNTERS {
        families.extend(counter(reading, &sessions)?);
    }
    families.extend(to_wire(&peers)?);
    Ok(families)
}

fn gauge<T>((name, help, read): Reading<T>, all: &[([String; 2], &T)]) -> prometheus::Result<Vec<MetricFamily>> {
    let gauge = IntGaugeVec::new(Opts::new(name, help), &LABELS)?;
    for (labels, one) in all {
        gauge.with_label_values(labels).set(i64::try_from(read(one)).unwrap_or(i64::MAX));
    }
    Ok(gauge.collect())
}

/// Two peers with one address are one to MetalLB's labels: they are counted together.
fn counter<T>((name, help, read): Reading<T>, all: &[([String; 2], &T)]) -> prometheus::Result<Vec<MetricFamily>> {
    let counter = IntCounterVec::new(Opts::new(name, help), &LABELS)?;
    for (labels, one) in all {
        counter.with_label_values(labels).inc_by(read(one));
    }
    Ok(counter.collect())
}

/// A histogram of every peer, as counters by hand: they were counted where it happened.
fn to_wire(peers: &[([String; 2], &PeerStatus)]) -> prometheus::Result<Vec<MetricFamily>> {
    let name = "herald_bgp_change_to_wire_seconds";
    let buckets = IntCounterVec::new(
        Opts::new(format!("{name}_bucket"), "From a change of a peer's routes to its last octet written."),
        &["peer", "le"],
    )?;
    let count = IntCounterVec::new(Opts::new(format!("{name}_count"), "Changes that were told."), &["peer"])?;
    let sum = prometheus::CounterVec::new(Opts::new(format!("{name}_sum"), "Seconds of all changes."), &["peer"])?;
    for ([peer, _], status) in peers {
        let ToWire { buckets: counts, count: all, sum: seconds } = status.to_wire;
        for (bound, within) in ToWire::BOUNDS.iter().zip(counts) {
            buckets.with_label_values(&[peer.as_str(), &bound.to_string()]).inc_by(within);
        }
        buckets.with_label_values(&[peer.as_str(), "+Inf"]).inc_by(all);
        count.with_label_values(&[peer]).inc_by(all);
        sum.with_label_values(&[peer]).inc_by(seconds);
    }
    Ok([buckets.collect(), count.collect(), sum.collect()].concat())
}

fn labels_of_peer(peer: &PeerStatus) -> [String; 2] {
    let endpoint = &peer.session.endpoint;
    [endpoint.to_string(), vrf(endpoint.device.as_deref())]
}

fn labels_of_session(session: &SessionStatus) -> [String; 2] {
    [session.path.peer.to_string(), vrf(session.path.device.as_deref())]
}

fn vrf(device: Option<&str>) -> String {
    device.unwrap_or("default").to_owned()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use lb_bgp::{Asn, PeerAs, PeerConfig, RouterId};

    use super::*;
    use crate::{
        bfd::{Counters, Path},
        bgp::{Endpoint, Session},
    };

    #[test]
    fn names_and_labels_are_metallbs() {
        let asn = Asn::new(64_512).unwrap();
        let config = PeerConfig::new(asn, PeerAs::Internal, RouterId::new("192.0.2.1".parse().unwrap()).unwrap());
        let session = Session { config, endpoint: Endpoint::new("192.0.2.251".parse().unwrap()) };
        let mut peer = PeerStatus::refused(Arc::new(session), String::new());
        (peer.bgp.told, peer.bgp.counters.sent.update) = (3, 5);
        let peers = BTreeMap::from([("router".to_owned(), peer)]);
        let path = Path { peer: "192.0.2.251".parse().unwrap(), local: None, device: None, multihop: false };
        let bfd = SessionStatus { counters: Counters { downs: 2, ..Counters::default() }, ..SessionStatus::new(path) };

        let families = families(&SpeakerStatus { peers, listener: None }, &[bfd]).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();

        for line in [
            "metallb_bgp_session_up{peer=\"192.0.2.251:179\",vrf=\"default\"} 0",
            "metallb_bgp_announced_prefixes_total{peer=\"192.0.2.251:179\",vrf=\"default\"} 3",
            "metallb_bgp_updates_total{peer=\"192.0.2.251:179\",vrf=\"default\"} 5",
            "metallb_bfd_session_up{peer=\"192.0.2.251\",vrf=\"default\"} 0",
            "metallb_bfd_session_down_events{peer=\"192.0.2.251\",vrf=\"default\"} 2",
            "herald_bgp_change_to_wire_seconds_bucket{le=\"+Inf\",peer=\"192.0.2.251:179\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
