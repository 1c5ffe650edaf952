//! From the node's links to stations (where the node speaks), segments (what an arriving frame belongs to) and
//! attach points (where the program sits).
//!
//! | Device | Program on | Frames arrive as |
//! |---|---|---|
//! | plain | itself | itself |
//! | bond | itself (the driver passes it to the slaves) | its slaves, and itself for generic XDP |
//! | bridge | its ports | its ports |
//! | VLAN | where its lower device has it | the lower device's arrivals with the tag |
//!
//! Interfaces are left out by *name*, as MetalLB does, and for what they are: no Ethernet, no broadcast, no ARP, a
//! master above them. Two stations with a common on-link network stand on one segment, and only one of them answers.
//!
//! Limits: at most two tags; a NIC that strips tags before XDP shows tagged frames as untagged ones (`rxvlan off`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::{
    frame::Mac,
    table::{Role, Segment, SegmentId, SegmentKey},
};

mod names;

pub use names::NamePatterns;

/// What the operator chose.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Interfaces to leave alone.
    pub exclude: NamePatterns,
}

/// One link as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Hardware address; `None` unless it has six bytes.
    pub mac: Option<Mac>,
    /// Ethernet that broadcasts and speaks ARP, and is no loopback.
    pub speaks_arp: bool,
    /// Administratively up.
    pub up: bool,
    /// Has carrier.
    pub carrier: bool,
    /// What it is.
    pub kind: Kind,
    /// The device it is enslaved to.
    pub master: Option<u32>,
    /// Its addresses with the length of the on-link prefix.
    pub addresses: Vec<IpNet>,
}

/// What matters of a link's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything without parts.
    Plain,
    /// An 802.1Q device on `lower`.
    Vlan {
        /// The device below.
        lower: u32,
        /// VLAN identifier.
        id: u16,
    },
    /// A bond.
    Bond,
    /// A bridge.
    Bridge,
    /// A VRF: what is enslaved to it keeps its addresses.
    Vrf,
}

/// An interface at which the node speaks on a segment: it sends announcements, joins groups, has host settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Its hardware address.
    pub mac: Mac,
    /// The broadcast domain it stands in.
    pub segment: SegmentId,
    /// Whether it answers there.
    pub role: Role,
    /// Up and with carrier.
    pub running: bool,
    /// Its link-local address, the source of its advertisements.
    pub link_local: Option<Ipv6Addr>,
}

/// The node's place on its networks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    /// By kernel index.
    pub stations: Vec<Station>,
    /// What an arriving frame belongs to.
    pub segments: BTreeMap<SegmentKey, Segment>,
    /// Where the program has to be: kernel index, and whether the link is up. On a link that is down the program
    /// stays, but is not newly attached: some drivers restart their queues.
    pub attach: BTreeMap<u32, bool>,
}

impl Topology {
    /// Reads the links. The order of `links` does not matter.
    pub fn of(links: &[Link], config: &Config) -> Self {
        let graph = Graph { links: links.iter().map(|link| (link.index, link)).collect(), config };
        let mut stations: Vec<Station> = graph.links.values().filter_map(|link| graph.station(link)).collect();
        share_segments(&mut stations, &graph);
        let mut topology = Self::default();
        for station in &stations {
            let Some(link) = graph.links.get(&station.index) else { continue };
            let segment = Segment { id: station.segment, mac: station.mac, role: station.role };
            topology.segments.extend(graph.arrivals(link).into_iter().map(|key| (key, segment)));
            topology.attach.extend(graph.attach_points(link).into_iter().map(|link| (link.index, link.up)));
        }
        topology.stations = stations;
        topology
    }

    /// The stations of one segment.
    pub fn on_segment(&self, segment: SegmentId) -> impl Iterator<Item = &Station> {
        self.stations.iter().filter(move |station| station.segment == segment)
    }

    /// The node's own hardware addresses on segments where several of its interfaces stand: they hear each other.
    pub fn own_addresses(&self) -> BTreeSet<(SegmentId, Mac)> {
        let several = self.stations.iter().filter(|station| self.on_segment(station.segment).nth(1).is_some());
        several.map(|station| (station.segment, station.mac)).collect()
    }

    /// Every segment, once.
    pub fn segment_ids(&self) -> BTreeSet<SegmentId> {
        self.stations.iter().map(|station| station.segment).collect()
    }
}

struct Graph<'a> {
    links: BTreeMap<u32, &'a Link>,
    config: &'a Config,
}

impl<'a> Graph<'a> {
    fn station(&self, link: &Link) -> Option<Station> {
        if !link.speaks_arp || self.config.exclude.matches(&link.name) || self.has_master(link) {
            return None;
        }
        if self.arrivals(link).is_empty() {
            return None;
        }
        Some(Station {
            index: link.index,
            name: link.name.clone(),
            mac: link.mac?,
            segment: link.index,
            role: Role::Holds,
            running: link.up && link.carrier,
            link_local: link_local(link),
        })
    }

    /// A bridge port, bond slave or the like speaks through its master; a VRF is only a routing table.
    fn has_master(&self, link: &Link) -> bool {
        let master = link.master.and_then(|index| self.links.get(&index));
        link.master.is_some() && !master.is_some_and(|master| master.kind == Kind::Vrf)
    }

    fn parts(&self, link: &Link) -> impl Iterator<Item = &'a Link> {
        let index = link.index;
        self.links.values().copied().filter(move |part| part.master == Some(index))
    }

    /// Ports of a bridge that the operator did not exclude (`veth*` of containers, `tap*`).
    fn ports(&self, link: &Link) -> impl Iterator<Item = &'a Link> {
        self.parts(link).filter(|port| port.mac.is_some() && !self.config.exclude.matches(&port.name))
    }

    fn attach_points(&self, link: &'a Link) -> Vec<&'a Link> {
        match link.kind {
            Kind::Plain | Kind::Bond | Kind::Vrf => vec![link],
            Kind::Bridge => self.ports(link).flat_map(|port| self.attach_points(port)).collect(),
            Kind::Vlan { lower, .. } => {
                self.lower(link.index, lower).map(|lower| self.attach_points(lower)).unwrap_or_default()
            }
        }
    }

    fn arrivals(&self, link: &Link) -> Vec<SegmentKey> {
        let own = SegmentKey { ifindex: link.index, outer: 0, inner: 0 };
        match link.kind {
            Kind::Plain | Kind::Vrf => vec![own],
            Kind::Bond => self.parts(link).flat_map(|slave| self.arrivals(slave)).chain([own]).collect(),
            Kind::Bridge => self.ports(link).flat_map(|port| self.arrivals(port)).collect(),
            Kind::Vlan { lower, id } => {
                let below = self.lower(link.index, lower).map(|lower| self.arrivals(lower)).unwrap_or_default();
                below.into_iter().filter_map(|key| tagged(key, id)).collect()
            }
        }
    }

    /// The device below a VLAN; the kernel allows no cycles, but two dumps may be of two moments.
    fn lower(&self, above: u32, lower: u32) -> Option<&'a Link> {
        if above == lower {
            return None;
        }
        self.links.get(&lower).copied().filter(|link| !matches!(link.kind, Kind::Vlan { lower, .. } if lower == above))
    }
}

/// The arrival with one more tag inside; `None` beyond two.
fn tagged(key: SegmentKey, id: u16) -> Option<SegmentKey> {
    match (key.outer, key.inner) {
        (0, 0) => Some(SegmentKey { outer: id, ..key }),
        (_, 0) => Some(SegmentKey { inner: id, ..key }),
        _ => None,
    }
}

fn link_local(link: &Link) -> Option<Ipv6Addr> {
    link.addresses.iter().find_map(|net| match net.addr() {
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    })
}

/// Stations with a common on-link network get one segment, and one of them (running before not, then the smallest
/// index) answers there.
fn share_segments(stations: &mut [Station], graph: &Graph<'_>) {
    let networks: Vec<BTreeSet<IpNet>> = stations
        .iter()
        .map(|station| graph.links.get(&station.index).map(|link| networks(link)).unwrap_or_default())
        .collect();
    for later in 1..stations.len() {
        let (before, rest) = stations.split_at_mut(later);
        let (Some(station), Some(own)) = (rest.first_mut(), networks.get(later)) else { continue };
        let same = before.iter().zip(&networks).find(|(_, others)| !others.is_disjoint(own));
        if let Some((first, _)) = same {
            station.segment = first.segment;
        }
    }
    let mut answering: BTreeMap<SegmentId, (bool, u32)> = BTreeMap::new();
    for station in stations.iter() {
        let rank = (!station.running, station.index);
        answering.entry(station.segment).and_modify(|best| *best = rank.min(*best)).or_insert(rank);
    }
    for station in stations {
        let first = answering.get(&station.segment).is_some_and(|(_, index)| *index == station.index);
        station.role = if first { Role::Holds } else { Role::Suppresses };
    }
}

/// The on-link networks that say something about the segment: no link-local ones, no host routes.
fn networks(link: &Link) -> BTreeSet<IpNet> {
    link.addresses
        .iter()
        .filter(|net| net.prefix_len() < net.max_prefix_len())
        .filter(|net| !matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local()))
        .map(IpNet::trunc)
        .collect()
}

#[cfg(test)]
mod tests;
