//! Between the plan's values and the bytes of the maps.

use std::net::IpAddr;

use lb_common::abi::{self, Key4, Key6, VlanKey};
use lb_plan::agent::{Action, EntryKey, Role, Segment, SegmentKey};

/// A key of one of the two tables.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    V4(Key4),
    V6(Key6),
}

impl From<EntryKey> for Key {
    fn from(key: EntryKey) -> Self {
        match key.address {
            IpAddr::V4(address) => Self::V4(Key4 { segment: key.segment, address: address.octets() }),
            IpAddr::V6(address) => Self::V6(Key6 { segment: key.segment, address: address.octets() }),
        }
    }
}

pub(crate) fn from_key4(key: Key4) -> EntryKey {
    EntryKey { segment: key.segment, address: key.address.into() }
}

pub(crate) fn from_key6(key: Key6) -> EntryKey {
    EntryKey { segment: key.segment, address: key.address.into() }
}

pub(crate) fn vlan_key(key: SegmentKey) -> VlanKey {
    VlanKey { ifindex: key.ifindex, outer: key.outer, inner: key.inner }
}

pub(crate) fn from_vlan_key(key: VlanKey) -> SegmentKey {
    SegmentKey { ifindex: key.ifindex, outer: key.outer, inner: key.inner }
}

pub(crate) fn segment(segment: Segment) -> abi::Segment {
    let role = match segment.role {
        Role::Holds => abi::Role::Holds,
        Role::Suppresses => abi::Role::Suppresses,
    };
    abi::Segment { id: segment.id, mac: segment.mac, role: role as u8, pad: 0 }
}

/// `None` for one that is not in use. A role that this agent does not know suppresses until it is written again.
pub(crate) fn from_segment(segment: abi::Segment) -> Option<Segment> {
    let role = if segment.role == abi::Role::Holds as u8 { Role::Holds } else { Role::Suppresses };
    (segment.id != 0).then_some(Segment { id: segment.id, mac: segment.mac, role })
}

pub(crate) fn action(action: Action) -> u8 {
    let action = match action {
        Action::Answer => abi::Action::Answer,
        Action::Suppress => abi::Action::Suppress,
    };
    action as u8
}
