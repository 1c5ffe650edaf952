//! How many prefixes fit into one message.
//!
//! Spec: RFC 4271 §4.1 and §4.3, RFC 4760 §3 and §4.

use std::sync::Arc;

use super::Export;
use crate::{
    route::{PathAttributes, Untellable},
    types::{Family, Prefix},
    wire,
};

/// Header, and the lengths of withdrawn routes and of attributes.
const FIXED: usize = 23;
/// MP_UNREACH_NLRI before its prefixes: flags, type, length, AFI, SAFI.
const UNREACH: usize = 7;

/// Attributes that a message can hold beside a prefix.
#[derive(Debug)]
pub(super) struct Ready {
    /// What they look like to the peer.
    pub(super) told: Arc<PathAttributes>,
    /// Octets for prefixes in a message with them.
    pub(super) room: usize,
}

/// Makes a route's attributes ready for the peer, if a message can hold them.
pub(super) fn ready(export: &Export, family: Family, attributes: &Arc<PathAttributes>) -> Result<Ready, Untellable> {
    let told = export.told_as(attributes);
    let room = room(export, family, &told)?;
    Ok(Ready { told, room })
}

/// Octets for prefixes in an UPDATE with these attributes.
fn room(export: &Export, family: Family, attributes: &PathAttributes) -> Result<usize, Untellable> {
    let without = wire::announce(export, family, attributes, &[])?.len();
    // MP_REACH_NLRI needs one more octet of length when it grows beyond 255.
    let room = max(export).checked_sub(without + 1).ok_or(Untellable::TooLong)?;
    if room < 1 + usize::from(family.bits() / 8) { Err(Untellable::TooLong) } else { Ok(room) }
}

/// Octets for prefixes in an UPDATE that only withdraws.
pub(super) fn withdraw_room(export: &Export) -> usize {
    max(export) - FIXED - UNREACH
}

/// Cuts `prefixes` so that each piece takes at most `room` octets.
pub(super) fn chunks(mut prefixes: &[Prefix], room: usize) -> impl Iterator<Item = &[Prefix]> {
    std::iter::from_fn(move || {
        let mut used = 0;
        let fitting = prefixes.iter().take_while(|prefix| {
            used += 1 + usize::from(prefix.length().div_ceil(8));
            used <= room
        });
        let (now, later) = prefixes.split_at_checked(fitting.count())?;
        prefixes = later;
        (!now.is_empty()).then_some(now)
    })
}

fn max(export: &Export) -> usize {
    usize::from(wire::send_max(export.extended_message))
}
