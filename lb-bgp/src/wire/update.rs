//! UPDATEs of ours: one set of attributes, many prefixes.
//!
//! Must not: decide what is told, or to whom; [`Export`] says how.
//! Spec: RFC 4271 §4.3 and §5, RFC 4760 §3 and §4, RFC 7606 §5.1 (MP attributes first), RFC 4724 §2, RFC 8950.

use std::net::{IpAddr, Ipv4Addr};

use rustbgpd_wire::{
    AsPath, AsPathSegment, Ipv4UnicastMode, LargeCommunity, Message, MpReachNlri, MpUnreachNlri, Origin, PathAttribute,
    Safi, UpdateMessage, encode_message_with_limit,
    nlri::{Ipv4NlriEntry, Ipv4Prefix, Ipv6Prefix, NlriEntry, Prefix as WirePrefix},
};

use super::{afi, send_max};
use crate::{
    rib::Export,
    route::{NextHop, PathAttributes, Untellable},
    types::{Family, Prefix},
};

/// An UPDATE that announces `prefixes`, all of one family.
pub(crate) fn announce(
    export: &Export,
    family: Family,
    attributes: &PathAttributes,
    prefixes: &[Prefix],
) -> Result<Vec<u8>, Untellable> {
    let next_hop = export.next_hop(family)?;
    let mut list = Vec::with_capacity(8);
    let mut body = Vec::new();
    match next_hop {
        NextHop::V4(address) => {
            body = prefixes.iter().filter_map(|prefix| body_entry(*prefix)).collect();
            common(export, attributes, Some(address), &mut list);
        }
        NextHop::V6 { global, link_local } => {
            list.push(PathAttribute::MpReachNlri(Box::new(MpReachNlri {
                afi: afi(family),
                safi: Safi::Unicast,
                next_hop: IpAddr::V6(global),
                link_local_next_hop: link_local,
                announced: prefixes.iter().map(|prefix| entry(*prefix)).collect(),
                flowspec_announced: Vec::new(),
                evpn_announced: Vec::new(),
                bgpls_announced: Vec::new(),
                vpn_announced: Vec::new(),
                labeled_announced: Vec::new(),
                rtc_announced: Vec::new(),
            })));
            common(export, attributes, None, &mut list);
        }
    }
    finish(export, &body, &[], &list)
}

/// An UPDATE that withdraws `prefixes`, all of one family.
pub(crate) fn withdraw(export: &Export, family: Family, prefixes: &[Prefix]) -> Result<Vec<u8>, Untellable> {
    if export.in_body(family) {
        let body: Vec<_> = prefixes.iter().filter_map(|prefix| body_entry(*prefix)).collect();
        return finish(export, &[], &body, &[]);
    }
    finish(export, &[], &[], &[unreach(family, prefixes)])
}

/// The mark that a family's initial routes are complete (RFC 4724 §2).
pub(crate) fn end_of_rib(export: &Export, family: Family) -> Result<Vec<u8>, Untellable> {
    match family {
        Family::V4 => finish(export, &[], &[], &[]),
        Family::V6 => finish(export, &[], &[], &[unreach(family, &[])]),
    }
}

fn finish(
    export: &Export,
    announced: &[Ipv4NlriEntry],
    withdrawn: &[Ipv4NlriEntry],
    attributes: &[PathAttribute],
) -> Result<Vec<u8>, Untellable> {
    let mode = Ipv4UnicastMode::Body;
    let message = UpdateMessage::try_build(announced, withdrawn, attributes, export.four_octet_as, false, mode);
    let message = message.map_err(|_invalid| Untellable::TooLong)?;
    encode_message_with_limit(&Message::Update(message), send_max(export.extended_message))
        .map(Vec::from)
        .map_err(|_too_long| Untellable::TooLong)
}

/// The attributes in the order of their types (RFC 4271 §5).
fn common(export: &Export, chosen: &PathAttributes, next_hop: Option<Ipv4Addr>, list: &mut Vec<PathAttribute>) {
    list.push(PathAttribute::Origin(Origin::Igp));
    // RFC 4271 §5.1.2: empty within the AS, our AS alone towards another.
    let segments = match export.internal {
        true => Vec::new(),
        false => vec![AsPathSegment::AsSequence(vec![export.local_as.get()])],
    };
    list.push(PathAttribute::AsPath(AsPath { segments }));
    list.extend(next_hop.map(PathAttribute::NextHop));
    list.extend(chosen.med.map(PathAttribute::Med));
    list.extend(chosen.local_pref.map(PathAttribute::LocalPref));
    if !chosen.communities.is_empty() {
        list.push(PathAttribute::Communities(chosen.communities.iter().map(|community| community.bits()).collect()));
    }
    if !chosen.large_communities.is_empty() {
        let large = chosen.large_communities.iter();
        let large = large.map(|large| LargeCommunity::new(large.global, large.local1, large.local2));
        list.push(PathAttribute::LargeCommunities(large.collect()));
    }
}

fn unreach(family: Family, prefixes: &[Prefix]) -> PathAttribute {
    PathAttribute::MpUnreachNlri(Box::new(MpUnreachNlri {
        afi: afi(family),
        safi: Safi::Unicast,
        withdrawn: prefixes.iter().map(|prefix| entry(*prefix)).collect(),
        flowspec_withdrawn: Vec::new(),
        evpn_withdrawn: Vec::new(),
        bgpls_withdrawn: Vec::new(),
        vpn_withdrawn: Vec::new(),
        labeled_withdrawn: Vec::new(),
        rtc_withdrawn: Vec::new(),
    }))
}

fn body_entry(prefix: Prefix) -> Option<Ipv4NlriEntry> {
    match prefix.address() {
        IpAddr::V4(address) => Some(Ipv4NlriEntry { path_id: 0, prefix: Ipv4Prefix::new(address, prefix.length()) }),
        IpAddr::V6(_) => None,
    }
}

fn entry(prefix: Prefix) -> NlriEntry {
    let prefix = match prefix.address() {
        IpAddr::V4(address) => WirePrefix::V4(Ipv4Prefix::new(address, prefix.length())),
        IpAddr::V6(address) => WirePrefix::V6(Ipv6Prefix::new(address, prefix.length())),
    };
    NlriEntry { path_id: 0, prefix }
}
