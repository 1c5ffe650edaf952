//! The whole wanted state of one node.
//!
//! Every VirtualIP has an entry on every segment: *answer* where the node holds it and may, *suppress* everywhere
//! else, because the address may stand on `lo` and the kernel would answer on any interface.
//!
//! One bad object costs itself a [`Problem`] and nobody else anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use lb_api::{Conflict, Failback, VirtualIP, virtual_ip::Phase};

use super::{
    table::{Action, EntryKey, Role, Segment, SegmentId, SegmentKey},
    topology::{Station, Topology},
};
use crate::ownership::{self, Machine, Why};

/// Solicited-node groups per interface. A socket's option memory ends near 2,300; beyond this the interface gets
/// every multicast frame instead.
pub const MAX_GROUPS: usize = 1_000;

/// What a node sees.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// This node's name.
    pub node: &'a str,
    /// Its place on its networks.
    pub topology: &'a Topology,
    /// What it holds.
    pub ownership: &'a dyn Ownership,
}

/// Which entries the node holds, and why.
pub trait Ownership: fmt::Debug {
    /// Why this node answers there; `None` if it does not.
    fn why(&self, key: EntryKey) -> Option<Why>;
}

impl Ownership for Machine {
    fn why(&self, key: EntryKey) -> Option<Why> {
        self.status(key)?.holding.ok()
    }
}

/// What a node wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePlan {
    /// What arriving frames belong to.
    pub segments: BTreeMap<SegmentKey, Segment>,
    /// Sorted by key, each key once.
    pub entries: Vec<(EntryKey, Action)>,
    /// Solicited-node groups by kernel index of the station.
    pub groups: BTreeMap<u32, Groups>,
    /// The addresses that this node holds, sorted.
    pub held: Vec<Held>,
    /// What is wrong with single objects.
    pub problems: Vec<Problem>,
}

/// An address that the node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The address.
    pub address: IpAddr,
    /// Why.
    pub why: Why,
}

/// The multicast groups that an interface must let pass (RFC 4861 §7.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// At most [`MAX_GROUPS`], the lowest first.
    pub joined: BTreeSet<Ipv6Addr>,
    /// There are more: the interface must pass every group.
    pub all_multicast: bool,
}

/// An object that could not be used, or not fully.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("VirtualIP {object}: {field}: {message}")]
pub struct Problem {
    /// Its name.
    pub object: String,
    /// The field.
    pub field: &'static str,
    /// What would be right.
    pub message: String,
}

/// Plans one node.
pub fn plan<'a>(snapshot: Snapshot<'_>, virtual_ips: impl Iterator<Item = &'a VirtualIP>) -> NodePlan {
    let domains = Domain::all(snapshot.topology);
    let mut out = NodePlan { segments: snapshot.topology.segments.clone(), ..NodePlan::default() };
    let mut groups = BTreeMap::new();
    for virtual_ip in virtual_ips {
        match virtual_ip.spec.address.parse::<IpAddr>() {
            Ok(address) => out.add(&mut groups, snapshot, &domains, address.to_canonical(), virtual_ip),
            Err(error) => out.problems.push(Problem {
                object: virtual_ip.metadata.name.clone().unwrap_or_default(),
                field: "spec.address",
                message: format!("{:?} is not an IPv4 or IPv6 address ({error})", virtual_ip.spec.address),
            }),
        }
    }
    out.finish(groups);
    out
}

impl NodePlan {
    fn add(
        &mut self,
        groups: &mut BTreeMap<u32, Vec<Ipv6Addr>>,
        snapshot: Snapshot<'_>,
        domains: &[Domain<'_>],
        address: IpAddr,
        virtual_ip: &VirtualIP,
    ) {
        let spec = &virtual_ip.spec;
        let ranked = spec.phase == Phase::Bound && spec.nodes.iter().any(|name| name == snapshot.node);
        let first = ranked && spec.nodes.first().is_some_and(|name| name == snapshot.node);
        let mut allowed_somewhere = false;
        for domain in domains {
            let key = EntryKey { segment: domain.id, address };
            let allowed = domain.allows(&spec.interfaces);
            allowed_somewhere |= allowed;
            let why = snapshot.ownership.why(key).filter(|_| allowed);
            self.entries.push((key, if why.is_some() { Action::Answer } else { Action::Suppress }));
            self.held.extend(why.map(|why| Held { address, why }));
            if let (IpAddr::V6(address), true) = (address, allowed && ranked) {
                let group = solicited_node(address);
                domain.answering.into_iter().for_each(|station| groups.entry(station).or_default().push(group));
            }
        }
        if first && !allowed_somewhere {
            self.problems.push(Problem {
                object: virtual_ip.metadata.name.clone().unwrap_or_default(),
                field: "spec.interfaces",
                message: nowhere_to_answer(&spec.interfaces),
            });
        }
    }

    fn finish(&mut self, wanted_groups: BTreeMap<u32, Vec<Ipv6Addr>>) {
        self.entries.sort_unstable();
        // Two objects of one address: answer sorts first, but who of two answers is unknown, so nobody does.
        self.entries.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = kept.1.max(later.1);
            }
            same
        });
        self.held.sort_unstable();
        self.held.dedup_by_key(|held| held.address);
        self.groups = wanted_groups.into_iter().map(|(station, groups)| (station, Groups::of(groups))).collect();
    }
}

impl Groups {
    fn of(mut groups: Vec<Ipv6Addr>) -> Self {
        groups.sort_unstable();
        groups.dedup();
        let all_multicast = groups.len() > MAX_GROUPS;
        Self { joined: groups.into_iter().take(MAX_GROUPS).collect(), all_multicast }
    }
}

fn nowhere_to_answer(interfaces: &[String]) -> String {
    match interfaces {
        [] => "this node is the first ranked, but has no interface that could answer for it".to_owned(),
        named => format!("this node is the first ranked, but has none of the interfaces {named:?}"),
    }
}

/// The addresses as the ownership machine takes them, each with the segments on which it may be answered. An address of
/// two objects is nobody's, because who of two should answer is unknown; one that cannot be read is left out.
pub fn addresses<'a>(
    segments: &'a Segments,
    virtual_ips: impl Iterator<Item = &'a VirtualIP>,
) -> Vec<ownership::Address<'a>> {
    let mut addresses: Vec<ownership::Address<'a>> =
        virtual_ips.filter_map(|object| segments.address(object)).collect();
    addresses.sort_by_key(|address| address.address);
    addresses.dedup_by(|later, kept| {
        let same = later.address == kept.address;
        if same {
            kept.nodes = &[];
        }
        same
    });
    addresses
}

/// Which segments the interfaces that a VirtualIP names are.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    all: Vec<SegmentId>,
    named: BTreeMap<Vec<String>, Vec<SegmentId>>,
}

impl Segments {
    /// For a topology and the objects that will be asked for.
    pub fn of<'a>(topology: &Topology, virtual_ips: impl Iterator<Item = &'a VirtualIP>) -> Self {
        let domains = Domain::all(topology);
        let mut segments = Self { all: domains.iter().map(|domain| domain.id).collect(), named: BTreeMap::new() };
        for interfaces in virtual_ips.map(|object| &object.spec.interfaces).filter(|named| !named.is_empty()) {
            if !segments.named.contains_key(interfaces) {
                let allowed = domains.iter().filter(|domain| domain.allows(interfaces)).map(|domain| domain.id);
                segments.named.insert(interfaces.clone(), allowed.collect());
            }
        }
        segments
    }

    /// An object as the ownership machine takes it; `None` if its address cannot be read.
    pub fn address<'a>(&'a self, object: &'a VirtualIP) -> Option<ownership::Address<'a>> {
        let spec = &object.spec;
        let segments = if spec.interfaces.is_empty() { Some(&self.all) } else { self.named.get(&spec.interfaces) };
        Some(ownership::Address {
            address: spec.address.parse::<IpAddr>().ok()?.to_canonical(),
            phase: spec.phase,
            nodes: &spec.nodes,
            segments: segments.map(Vec::as_slice).unwrap_or_default(),
            failback: match spec.failback {
                None => ownership::Failback::AtOnce,
                Some(Failback::After(wait)) => ownership::Failback::After(wait),
                Some(Failback::Never) => ownership::Failback::Never,
            },
            conflict: match spec.conflict {
                None | Some(Conflict::Defend) => ownership::Conflict::Defend,
                Some(Conflict::Retreat) => ownership::Conflict::Retreat,
            },
        })
    }
}

/// A broadcast domain and the names under which a VirtualIP may allow it.
struct Domain<'a> {
    id: SegmentId,
    names: Vec<&'a str>,
    answering: Option<u32>,
}

impl<'a> Domain<'a> {
    fn all(topology: &'a Topology) -> Vec<Self> {
        let ids = topology.segment_ids();
        ids.into_iter()
            .map(|id| Self {
                id,
                names: topology.on_segment(id).map(|station| station.name.as_str()).collect(),
                answering: answering(topology, id).map(|station| station.index),
            })
            .collect()
    }

    fn allows(&self, interfaces: &[String]) -> bool {
        interfaces.is_empty() || interfaces.iter().any(|name| self.names.contains(&name.as_str()))
    }
}

/// The one station that answers on a segment.
pub fn answering(topology: &Topology, segment: SegmentId) -> Option<&Station> {
    topology.on_segment(segment).find(|station| station.role == Role::Holds)
}

/// The solicited-node group of an address (RFC 4291 §2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

#[cfg(test)]
mod tests;
