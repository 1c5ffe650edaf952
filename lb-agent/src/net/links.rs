//! One dump of links and addresses, in the terms of the plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use futures::TryStreamExt;
use ipnet::IpNet;
use lb_api::node::AttachMode;
use lb_plan::agent::{Kind, Link};
use netlink_packet_route::{
    address::{AddressAttribute, AddressFlags, AddressMessage},
    link::{
        InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp,
        XdpAttached,
    },
};

use super::Requests;

/// What the kernel says of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// What the plan needs.
    pub(crate) link: Link,
    /// The XDP program on it, whoever attached it.
    pub(crate) xdp: AttachMode,
    /// Passes every multicast frame.
    pub(crate) all_multicast: bool,
    /// Multicast addresses that were added as addresses with `autojoin`.
    pub(crate) joined: BTreeSet<Ipv6Addr>,
}

/// Reads all links with their addresses, by kernel index.
pub(crate) async fn dump(requests: &Requests) -> Result<BTreeMap<u32, Observed>, rtnetlink::Error> {
    let mut observed = BTreeMap::new();
    let mut links = std::pin::pin!(requests.handle.link().get().execute());
    while let Some(message) = links.try_next().await? {
        observed.insert(message.header.index, of_link(&message));
    }
    let mut addresses = std::pin::pin!(requests.handle.address().get().execute());
    while let Some(message) = addresses.try_next().await? {
        if let Some(link) = observed.get_mut(&message.header.index) {
            add_address(link, &message);
        }
    }
    // The kernel's order is not promised; equal states must be equal values.
    observed.values_mut().for_each(|observed| observed.link.addresses.sort_unstable());
    Ok(observed)
}

fn of_link(message: &LinkMessage) -> Observed {
    let flags = message.header.flags;
    let wanted = LinkFlags::Broadcast;
    let refused = LinkFlags::Noarp | LinkFlags::Loopback | LinkFlags::Pointopoint;
    let mut observed = Observed {
        link: Link {
            index: message.header.index,
            name: String::new(),
            mac: None,
            speaks_arp: message.header.link_layer_type == LinkLayerType::Ether
                && flags.contains(wanted)
                && !flags.intersects(refused),
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            kind: Kind::Plain,
            master: None,
            addresses: Vec::new(),
        },
        xdp: AttachMode::None,
        all_multicast: flags.contains(LinkFlags::Allmulti),
        joined: BTreeSet::new(),
    };
    add_attributes(&mut observed, &message.attributes);
    observed
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kernel tells far more of a link than matters here")]
fn add_attributes(observed: &mut Observed, attributes: &[LinkAttribute]) {
    let mut lower = None;
    let mut kind = None;
    let mut vlan = None;
    let mut other_namespace = false;
    for attribute in attributes {
        match attribute {
            LinkAttribute::IfName(name) => observed.link.name.clone_from(name),
            LinkAttribute::Address(mac) => observed.link.mac = mac.as_slice().try_into().ok(),
            LinkAttribute::Controller(index) => observed.link.master = Some(*index).filter(|index| *index != 0),
            LinkAttribute::Link(index) => lower = Some(*index),
            LinkAttribute::LinkNetNsId(_) => other_namespace = true,
            LinkAttribute::LinkInfo(infos) => (kind, vlan) = link_info(infos),
            LinkAttribute::Xdp(xdp) => observed.xdp = xdp_mode(xdp),
            _ => {}
        }
    }
    observed.link.kind = match (kind, lower, vlan) {
        (Some(InfoKind::Vlan), Some(lower), Some(id)) if !other_namespace => Kind::Vlan { lower, id },
        (Some(InfoKind::Bond), ..) => Kind::Bond,
        (Some(InfoKind::Bridge), ..) => Kind::Bridge,
        (Some(InfoKind::Vrf), ..) => Kind::Vrf,
        _ => Kind::Plain,
    };
}

fn link_info(infos: &[LinkInfo]) -> (Option<InfoKind>, Option<u16>) {
    let mut kind = None;
    let mut vlan = None;
    for info in infos {
        if let LinkInfo::Kind(found) = info {
            kind = Some(found.clone());
        }
        if let LinkInfo::Data(InfoData::Vlan(data)) = info {
            vlan = data.iter().find_map(|item| if let InfoVlan::Id(id) = item { Some(*id) } else { None });
        }
    }
    (kind, vlan)
}

fn xdp_mode(xdp: &[LinkXdp]) -> AttachMode {
    let attached = xdp.iter().find_map(|item| if let LinkXdp::Attached(how) = item { Some(how) } else { None });
    match attached {
        Some(XdpAttached::SocketBuffer) => AttachMode::Generic,
        Some(XdpAttached::None) | None => AttachMode::None,
        Some(_) => AttachMode::Native,
    }
}

fn add_address(observed: &mut Observed, message: &AddressMessage) {
    let mut address = None;
    let mut local = None;
    let mut autojoin = false;
    for attribute in &message.attributes {
        if let AddressAttribute::Address(found) = attribute {
            address = Some(*found);
        }
        if let AddressAttribute::Local(found) = attribute {
            local = Some(*found);
        }
        if let AddressAttribute::Flags(flags) = attribute {
            autojoin = flags.contains(AddressFlags::Mcautojoin);
        }
    }
    match local.or(address) {
        Some(IpAddr::V6(group)) if group.is_multicast() => {
            observed.joined.extend(autojoin.then_some(group));
        }
        Some(address) => observed.link.addresses.extend(IpNet::new(address, message.header.prefix_len).ok()),
        None => {}
    }
}
