//! One frame in, one outcome out: the order of work of the responder (DESIGN section 3).
//!
//! The kernel and the host run this very function; they differ in [`Frame`] and [`Tables`] only.

use crate::{
    arp,
    bfd::{MULTIHOP_PORT, PORT, SBFD_PORT, datagram, reflect, stand_in},
    eth::{self, Header},
    frame::Frame,
    ndp,
    outcome::{Outcome, Pass},
    tables::Tables,
};

/// Judges a frame and, if it asks for an address that this node holds or probes this node, turns it into the answer.
///
/// What is neither ARP, nor neighbour discovery, nor for a UDP port of BFD passes without a look-up.
///
/// On `Err` the frame is untouched, but for [`Pass::Access`]: it changed its length and was not lent again.
#[inline(always)]
pub fn respond<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Outcome {
    let header = Header::parse(frame)?;
    match header.ethertype {
        eth::ARP => {
            let segment = tables.segment(header.vlans).ok_or(Pass::NoSegment)?;
            arp::respond(frame, tables, &segment, header.payload)
        }
        eth::IPV6 if ndp::is_neighbour_discovery(frame, header.payload) => {
            let segment = tables.segment(header.vlans).ok_or(Pass::NoSegment)?;
            ndp::respond(frame, tables, &segment, header.payload)
        }
        eth::IPV6 => match datagram::port6(frame, header.payload) {
            Some(SBFD_PORT) => {
                let segment = tables.segment(header.vlans).ok_or(Pass::NoSegment)?;
                reflect::respond6(frame, tables, &segment, header.payload)
            }
            Some(port @ (PORT | MULTIHOP_PORT)) => {
                let segment = tables.segment(header.vlans).ok_or(Pass::NoSegment)?;
                stand_in::respond6(frame, tables, &segment, header.payload, port)
            }
            Some(_) | None => Err(Pass::Foreign),
        },
        eth::IPV4 => match datagram::port4(frame, header.payload) {
            Some(SBFD_PORT) => {
                let segment = tables.segment(header.vlans).ok_or(Pass::NoSegment)?;
                reflect::respond4(frame, tables, &segment, header.payload)
            }
            Some(port @ (PORT | MULTIHOP_PORT)) => {
                let segment = tables.segment(header.vlans).ok_or(Pass::NoSegment)?;
                stand_in::respond4(frame, tables, &segment, header.payload, port)
            }
            Some(_) | None => Err(Pass::Foreign),
        },
        _ => Err(Pass::Foreign),
    }
}
