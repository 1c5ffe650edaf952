//! Somebody else speaks for an address of the table: who hears, gives way (DESIGN section 4, rule 5).
//!
//! A *sighting* is a frame from an address of the table by a hardware address that is not this interface's: ARP of
//! either opcode, or a neighbour advertisement. Where it announces the address (ARP's sender is its target, or the
//! advertisement has S clear) and the hardware address is a node's, it is a *claim*, and the program gives way to it on
//! the spot: the agent may be stopped or starved. It notes the entry's generation in the entry's slot and answers again
//! only to a higher one, so that the agent, which writes generations, and the program, which writes slots, never write
//! the same word.
//!
//! Of two nodes that claim at once one must stay: an entry that was claimed a moment ago stands against a claim by a
//! higher hardware address. Both sides judge the same pair of addresses, so exactly one of them gives way. An entry that
//! was taken from a holder that lives stands against every claim for that moment: that holder announces what it holds
//! until it has heard of it, and its announcement is no claim of its own.

use crate::{
    abi::{Action, Entry, Role, Segment, Station, StationKey},
    eth::Mac,
    event::{Event, Kind, flag},
    tables::{Tables, has_yielded},
};

/// Who spoke for which address, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The address; an IPv4 address has the first four bytes.
    pub address: [u8; 16],
    /// 4 or 6.
    pub family: u8,
    /// Whose frame it is.
    pub mac: Mac,
    /// [`flag::TO_US`], [`flag::REQUEST`], [`flag::ANNOUNCEMENT`].
    pub flags: u8,
}

/// What it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nobody else: another interface of this node on the same segment.
    Ours,
    /// Another station uses the address.
    Sighting,
    /// A node claims what we do not answer.
    Claim,
    /// A node claims what we answered: not any more.
    Yielded,
    /// A node claims what we claimed just now, and we keep.
    Kept,
}

/// Judges a frame from the address of `entry` by another hardware address than the interface's, and tells the agent.
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, segment: &Segment, entry: &Entry, sighting: &Sighting) -> Seen {
    let key = StationKey { segment: segment.id, mac: sighting.mac, pad: [0; 2] };
    let station = tables.station(&key);
    if station == Some(Station::Ours as u32) {
        return Seen::Ours;
    }
    let is_node = station == Some(Station::Node as u32);
    let is_announced = sighting.flags & flag::ANNOUNCEMENT != 0;
    if !is_node {
        emit(tables, segment, entry, sighting, Kind::Stranger, 0);
        return Seen::Sighting;
    }
    if !is_announced {
        emit(tables, segment, entry, sighting, Kind::Sighting, 0);
        return Seen::Sighting;
    }
    let seen = give_way(tables, segment, entry, &sighting.mac);
    let flags = match seen {
        Seen::Yielded => flag::YIELDED,
        Seen::Kept => flag::KEPT,
        Seen::Ours | Seen::Sighting | Seen::Claim => 0,
    };
    emit(tables, segment, entry, sighting, Kind::Claim, flags);
    seen
}

/// Tells the agent that somebody looks for the holder of an address that this node does not answer, or that the driver
/// kept it from answering.
#[inline(always)]
pub fn tell<T: Tables>(tables: &T, segment: &Segment, entry: &Entry, asker: &Sighting, kind: Kind) {
    emit(tables, segment, entry, asker, kind, 0);
}

#[inline(always)]
fn give_way<T: Tables>(tables: &T, segment: &Segment, entry: &Entry, claimant: &Mac) -> Seen {
    if entry.action != Action::Answer as u8 || has_yielded(tables, entry) {
        return Seen::Claim;
    }
    if tables.now() < entry.keep_until {
        // The claim carried the answering interface's hardware address, so only that interface can compare.
        if segment.role != Role::Holds as u8 {
            return Seen::Claim;
        }
        if entry.firm != 0 || number(&segment.mac) < number(claimant) {
            return Seen::Kept;
        }
    }
    if tables.note_yield(entry.slot, entry.generation) { Seen::Yielded } else { Seen::Claim }
}

#[inline(always)]
fn emit<T: Tables>(tables: &T, segment: &Segment, entry: &Entry, sighting: &Sighting, kind: Kind, flags: u8) {
    tables.emit(&Event {
        at: tables.now(),
        address: sighting.address,
        segment: segment.id,
        ifindex: 0,
        slot: entry.slot,
        generation: entry.generation,
        epoch: entry.epoch,
        mac: sighting.mac,
        kind: kind as u8,
        family: sighting.family,
        flags: sighting.flags | flags,
        pad: [0; 5],
    });
}

/// A hardware address as a number, for comparison.
#[inline(always)]
fn number(&[a, b, c, d, e, f]: &Mac) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}
