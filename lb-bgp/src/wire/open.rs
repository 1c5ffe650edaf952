//! OPEN messages and their capabilities.
//!
//! Spec: RFC 4271 §4.2, RFC 5492, RFC 9072 (long parameters), and each capability's own.

use std::time::Duration;

use rustbgpd_wire::{
    Capability, ExtendedNextHopFamily, GracefulRestartFamily, Message, OpenMessage, Safi, encode_message,
};

use super::{afi, decode};
use crate::{
    notification::Notification,
    open::{Capabilities, GracefulRestart, Open},
    types::{Families, Family, PerFamily},
};

const VERSION: u8 = 4;

/// An OPEN of ours.
pub(crate) fn encode_open(open: &Open) -> Vec<u8> {
    let message = OpenMessage {
        version: VERSION,
        my_as: open.my_as,
        hold_time: open.hold_time,
        bgp_identifier: open.router_id,
        capabilities: capabilities(&open.capabilities),
    };
    encode_message(&Message::Open(message)).map(Vec::from).expect("the capabilities known here are under 100 octets")
}

/// A received OPEN.
///
/// # Errors
/// RFC 4271 §6.2: another version, or parameters that cannot be read.
pub(crate) fn decode_open(octets: Vec<u8>) -> Result<Open, Notification> {
    let Message::Open(open) = decode(octets)? else { return Err(Notification::OPEN_ERROR) };
    Ok(Open {
        my_as: open.my_as,
        hold_time: open.hold_time,
        router_id: open.bgp_identifier,
        capabilities: understood(&open.capabilities),
    })
}

fn capabilities(ours: &Capabilities) -> Vec<Capability> {
    let mut list = Vec::new();
    let families = ours.families.unwrap_or(Families::NONE);
    list.extend(families.iter().map(|family| Capability::MultiProtocol { afi: afi(family), safi: Safi::Unicast }));
    if ours.route_refresh {
        list.push(Capability::RouteRefresh);
    }
    if ours.extended_next_hop {
        list.push(Capability::ExtendedNextHop(vec![ExtendedNextHopFamily {
            nlri_afi: afi(Family::V4),
            nlri_safi: Safi::Unicast,
            next_hop_afi: afi(Family::V6),
        }]));
    }
    if ours.extended_message {
        list.push(Capability::ExtendedMessage);
    }
    list.extend(ours.graceful_restart.as_ref().map(restart_capability));
    list.extend(ours.four_octet_as.map(|asn| Capability::FourOctetAs { asn }));
    if ours.enhanced_refresh {
        list.push(Capability::EnhancedRouteRefresh);
    }
    list
}

fn restart_capability(restart: &GracefulRestart) -> Capability {
    let listed = Family::ALL.into_iter().filter_map(|family| {
        let forwarding_preserved = (*restart.forwarding.get(family))?;
        Some(GracefulRestartFamily { afi: afi(family), safi: Safi::Unicast, forwarding_preserved })
    });
    Capability::GracefulRestart {
        restart_state: restart.restarting,
        notification: restart.notification,
        restart_time: u16::try_from(restart.restart_time.as_secs()).unwrap_or(0),
        families: listed.collect(),
    }
}

/// The capabilities that mean something here; of one that is repeated the last counts, of families their union.
#[expect(clippy::wildcard_enum_match_arm, reason = "a capability that is not known is ignored (RFC 5492 §3)")]
fn understood(list: &[Capability]) -> Capabilities {
    let mut known = Capabilities::default();
    for capability in list {
        match capability {
            Capability::MultiProtocol { afi, safi } => {
                let families = known.families.get_or_insert(Families::NONE);
                if let Some(family) = family(*afi, *safi) {
                    *families.get_mut(family) = true;
                }
            }
            // A family that the codec does not know still says that the peer speaks RFC 4760.
            Capability::Unknown { code: 1, .. } => {
                known.families.get_or_insert(Families::NONE);
            }
            Capability::ExtendedNextHop(families) => {
                known.extended_next_hop |= families.iter().any(|entry| {
                    family(entry.nlri_afi, entry.nlri_safi) == Some(Family::V4) && entry.next_hop_afi == afi(Family::V6)
                });
            }
            // RFC 8950 §4 beside a family that the codec does not know: AFI 1, SAFI 1, next hop AFI 2.
            Capability::Unknown { code: 5, data } => {
                known.extended_next_hop |= data.chunks_exact(6).any(|entry| entry == [0, 1, 0, 1, 0, 2]);
            }
            Capability::GracefulRestart { restart_state, notification, restart_time, families } => {
                known.graceful_restart = Some(GracefulRestart {
                    restarting: *restart_state,
                    notification: *notification,
                    restart_time: Duration::from_secs(u64::from(*restart_time)),
                    forwarding: forwarding(families),
                });
            }
            Capability::RouteRefresh => known.route_refresh = true,
            Capability::EnhancedRouteRefresh => known.enhanced_refresh = true,
            Capability::ExtendedMessage => known.extended_message = true,
            Capability::FourOctetAs { asn } => known.four_octet_as = Some(*asn),
            _ => {}
        }
    }
    known
}

fn forwarding(families: &[GracefulRestartFamily]) -> PerFamily<Option<bool>> {
    let mut forwarding = PerFamily::default();
    for entry in families {
        if let Some(family) = family(entry.afi, entry.safi) {
            *forwarding.get_mut(family) = Some(entry.forwarding_preserved);
        }
    }
    forwarding
}

fn family(afi: rustbgpd_wire::Afi, safi: Safi) -> Option<Family> {
    Family::ALL.into_iter().find(|family| super::afi(*family) == afi && safi == Safi::Unicast)
}
