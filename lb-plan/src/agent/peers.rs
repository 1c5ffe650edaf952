//! The other nodes as this one meets them: on which of its segments each stands, by which hardware addresses, and
//! between which addresses the two ask each other whether they live.
//!
//! Two nodes share a segment if both have an address in one on-link network there: names and indexes of interfaces mean
//! nothing on another node. Pure; from `LoadBalancerNode`s and this node's links.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use lb_api::{LoadBalancerNode, node::Interface};

use super::{
    frame::Mac,
    plan::answering,
    table::SegmentId,
    topology::{Link, Topology},
};

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// The discriminator of its reflector (RFC 7880 §4.1); `None` until it has published one.
    pub discriminator: Option<NonZeroU32>,
    /// Every hardware address by which it stands on our segments; the first of a segment is the one that answers.
    pub macs: Vec<(SegmentId, Mac)>,
    /// Where it can be asked whether it lives, by segment.
    pub paths: BTreeMap<SegmentId, Path>,
}

impl Peer {
    /// Whether a node that never answered counts as alive. One that cannot be asked does; one that can and says nothing is
    /// asked for its addresses, and taken from: it may have lost its power. Not so in a cold start of several at once, in
    /// which those that are slower must not lose theirs to the first.
    pub fn counts_unseen(&self, cold: bool) -> bool {
        cold || self.discriminator.is_none() || self.paths.is_empty()
    }
}

/// The way of probes on a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The kernel index of our interface.
    pub ifindex: u32,
    /// Our address there.
    pub ours: IpAddr,
    /// Its address, in the same on-link network.
    pub theirs: IpAddr,
}

/// The discriminator of a node: of its name, so that it stays over restarts. Two names that give one number are told
/// apart by their addresses all the same; the controller reports them.
pub fn discriminator(node: &str) -> NonZeroU32 {
    // FNV-1a, 32 bits.
    let hash = node.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    NonZeroU32::new(hash).unwrap_or(NonZeroU32::MIN)
}

/// The nodes other than `me`, in the order of their names.
pub fn peers<'a>(
    me: &str,
    topology: &Topology,
    links: &BTreeMap<u32, &Link>,
    nodes: impl Iterator<Item = &'a LoadBalancerNode>,
) -> Vec<Peer> {
    let places: Vec<Place> =
        topology.segment_ids().into_iter().filter_map(|id| Place::of(topology, links, id)).collect();
    let mut peers: Vec<Peer> = nodes.filter_map(|node| peer(me, &places, node)).collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    peers
}

/// The segments on which this node has no on-link address: who else stands there cannot be known.
pub fn blind(topology: &Topology, links: &BTreeMap<u32, &Link>) -> BTreeSet<SegmentId> {
    let sees = |id: &SegmentId| Place::of(topology, links, *id).is_some_and(|place| !place.networks.is_empty());
    topology.segment_ids().into_iter().filter(|id| !sees(id)).collect()
}

/// Leaves the nodes where they were known to stand on segments on which this node is blind.
pub fn remember(met: &mut [Peer], before: &[Peer], blind: &BTreeSet<SegmentId>) {
    for peer in met {
        let Some(known) = before.iter().find(|known| known.name == peer.name) else { continue };
        peer.macs.extend(known.macs.iter().filter(|(segment, _)| blind.contains(segment)));
        peer.paths.extend(known.paths.iter().filter(|(segment, _)| blind.contains(segment)));
    }
}

/// The nodes that follow `me` by name on a segment, round about, until `living` of them are not down: those beyond a dead
/// one are watched in its place, and it too, so that it is seen to come back.
pub fn neighbours<'a>(
    me: &str,
    peers: &'a [Peer],
    segment: SegmentId,
    living: usize,
    is_down: impl Fn(&str) -> bool,
) -> Vec<&'a Peer> {
    let here: Vec<&Peer> = peers.iter().filter(|peer| peer.paths.contains_key(&segment)).collect();
    let next = here.partition_point(|peer| *peer.name < *me);
    let mut left = living;
    let follow = here.iter().cycle().skip(next).take(here.len()).copied();
    let until = |peer: &&Peer| {
        let wanted = left > 0;
        left = left.saturating_sub(usize::from(!is_down(&peer.name)));
        wanted
    };
    follow.take_while(until).collect()
}

/// How long a node counts whose LoadBalancerNode is gone, unless it is known to live.
pub const GRACE: Duration = Duration::from_secs(60);

/// What nodes have published, and what those had whose LoadBalancerNode is gone: an object that was deleted by hand
/// makes no stranger of a node that lives.
#[derive(Debug, Clone, Default)]
pub struct Acquaintances {
    known: BTreeMap<String, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    node: Arc<LoadBalancerNode>,
    /// Since when it is not listed.
    gone_at: Option<Duration>,
}

impl Acquaintances {
    /// Takes a listing, and forgets who is gone for [`GRACE`] and not known to live (`lives`: its S-BFD session is Up).
    /// Whether somebody is known otherwise than before.
    pub fn meet<'a>(
        &mut self,
        now: Duration,
        listed: impl Iterator<Item = &'a Arc<LoadBalancerNode>>,
        lives: impl Fn(&str) -> bool,
    ) -> bool {
        let mut changed = false;
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for node in listed {
            let Some(name) = node.metadata.name.as_deref() else { continue };
            // One that was made anew has told nothing yet: what its predecessor told counts.
            if node.status.is_none() && self.known.contains_key(name) {
                continue;
            }
            seen.insert(name);
            let known = Known { node: Arc::clone(node), gone_at: None };
            let before = self.known.insert(name.to_owned(), known);
            changed |= before.is_none_or(|before| !Arc::ptr_eq(&before.node, node));
        }
        self.known.retain(|name, known| {
            if seen.contains(name.as_str()) {
                return true;
            }
            let gone_at = *known.gone_at.get_or_insert(now);
            let counts = now < gone_at + GRACE || lives(name);
            changed |= !counts;
            counts
        });
        changed
    }

    /// Everybody who counts.
    pub fn nodes(&self) -> impl Iterator<Item = &LoadBalancerNode> {
        self.known.values().map(|known| &*known.node)
    }

    /// Whether somebody counts who is not listed: then [`Self::meet`] has to be called from time to time.
    pub fn has_missing(&self) -> bool {
        self.known.values().any(|known| known.gone_at.is_some())
    }
}

/// One of our segments: the interface that answers there, and every on-link network.
struct Place {
    segment: SegmentId,
    ifindex: u32,
    /// Addresses of the interface that answers, IPv4 first.
    own: Vec<IpNet>,
    networks: BTreeSet<IpNet>,
}

impl Place {
    fn of(topology: &Topology, links: &BTreeMap<u32, &Link>, segment: SegmentId) -> Option<Self> {
        let addresses = |index: u32| links.get(&index).into_iter().flat_map(|link| &link.addresses);
        let networks = topology.on_segment(segment).flat_map(|station| addresses(station.index));
        let networks = networks.filter(|net| is_on_link(net)).map(IpNet::trunc).collect();
        let ifindex = answering(topology, segment)?.index;
        let mut own: Vec<IpNet> = addresses(ifindex).filter(|net| is_on_link(net)).copied().collect();
        own.sort_unstable();
        Some(Self { segment, ifindex, own, networks })
    }

    fn path(&self, theirs: &[IpNet]) -> Option<Path> {
        self.own.iter().find_map(|ours| {
            let theirs = theirs.iter().find(|theirs| theirs.trunc() == ours.trunc() && theirs.addr() != ours.addr())?;
            Some(Path { ifindex: self.ifindex, ours: ours.addr(), theirs: theirs.addr() })
        })
    }
}

/// Host routes and link-local networks say nothing about the segment.
fn is_on_link(net: &IpNet) -> bool {
    let local = matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local());
    net.prefix_len() < net.max_prefix_len() && !local
}

fn peer(me: &str, places: &[Place], node: &LoadBalancerNode) -> Option<Peer> {
    let name = node.metadata.name.as_deref().filter(|name| *name != me)?;
    let status = node.status.as_ref()?;
    let mut interfaces: Vec<(&Interface, Mac, Vec<IpNet>)> = status
        .interfaces
        .iter()
        .filter_map(|interface| Some((interface, mac_of(&interface.mac)?, networks_of(interface))))
        .collect();
    // The one that answers on a segment is the first that runs.
    interfaces.sort_by_key(|(interface, ..)| (!interface.carrier, interface.index));
    let mut peer = Peer {
        name: name.to_owned(),
        discriminator: NonZeroU32::new(status.discriminator),
        macs: Vec::new(),
        paths: BTreeMap::new(),
    };
    for place in places {
        for (_, mac, theirs) in &interfaces {
            if !theirs.iter().any(|net| place.networks.contains(&net.trunc())) {
                continue;
            }
            if !peer.macs.contains(&(place.segment, *mac)) {
                peer.macs.push((place.segment, *mac));
            }
            if let (Some(path), false) = (place.path(theirs), peer.paths.contains_key(&place.segment)) {
                peer.paths.insert(place.segment, path);
            }
        }
    }
    Some(peer)
}

/// What cannot be read is another node's mistake: its other addresses count.
fn networks_of(interface: &Interface) -> Vec<IpNet> {
    let mut networks: Vec<IpNet> =
        interface.addresses.iter().filter_map(|text| text.parse().ok()).filter(is_on_link).collect();
    networks.sort_unstable();
    networks
}

fn mac_of(text: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next().filter(|part| part.len() == 2)?, 16).ok()?;
    }
    (parts.next().is_none() && mac != [0; 6]).then_some(mac)
}

#[cfg(test)]
mod tests;
