//! The only place that names the codec: our types on one side, octets on the other.
//!
//! Must not: hand out a type of the codec, or keep state. A message that is wrong comes back as the NOTIFICATION that
//! the RFCs ask for; what RFC 7606 forgives comes back as a verdict.
//! Spec: RFC 4271 §4, RFC 5492, RFC 4760, RFC 2918, RFC 7313.

use bytes::Bytes;
use rustbgpd_wire::{
    Afi, DecodeError, Message, NotificationCode, NotificationMessage, RouteRefreshMessage, RouteRefreshSubtype, Safi,
    decode_message, encode_message,
};

use crate::{
    frame::{EXTENDED_MAX, HEADER, STANDARD_MAX},
    notification::Notification,
    types::Family,
};

mod open;
mod received;
#[cfg(test)]
mod tests;
mod update;

pub(crate) use self::{
    open::{decode_open, encode_open},
    received::{Verdict, decode_update},
    update::{announce, end_of_rib, withdraw},
};

/// Longer data of a NOTIFICATION says nothing more: it is cut, ours to fit into a message, the peer's to be kept.
const DATA_MAX: usize = 512;

/// RFC 7313 §3.2: where the routes of a refresh begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demarcation {
    Begin,
    End,
}

/// What a ROUTE-REFRESH message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// Every route of the family once more (RFC 2918 §3).
    Asked(Family),
    /// A family that was not negotiated, the peer's own demarcation, or an unknown subtype (RFC 7313 §5).
    Ignored,
}

/// A KEEPALIVE (RFC 4271 §4.4).
pub(crate) fn keepalive() -> Vec<u8> {
    encode_message(&Message::Keepalive).map(Vec::from).unwrap_or_default()
}

/// A NOTIFICATION (RFC 4271 §4.5).
pub(crate) fn encode_notification(notification: &Notification) -> Vec<u8> {
    let data = notification.data.get(..DATA_MAX).unwrap_or(&notification.data);
    let code = NotificationCode::from_u8(notification.code);
    let message = NotificationMessage::new(code, notification.subcode, Bytes::copy_from_slice(data));
    encode_message(&Message::Notification(message)).map(Vec::from).expect("header, code and 512 octets fit")
}

/// A received NOTIFICATION, its data cut to what is worth keeping.
pub(crate) fn decode_notification(octets: Vec<u8>) -> Notification {
    // The framer saw to it that code and subcode are there; an error in a NOTIFICATION is never answered (§6.4).
    let body = octets.get(HEADER..).unwrap_or_default();
    let (code, subcode, data) = match body {
        [code, subcode, data @ ..] => (*code, *subcode, data),
        _ => (0, 0, body),
    };
    Notification { code, subcode, data: data.get(..DATA_MAX).unwrap_or(data).to_vec() }
}

/// A mark of RFC 7313 around the routes of a refresh.
pub(crate) fn demarcation(family: Family, mark: Demarcation) -> Vec<u8> {
    let subtype = match mark {
        Demarcation::Begin => RouteRefreshSubtype::BoRR,
        Demarcation::End => RouteRefreshSubtype::EoRR,
    };
    let message = RouteRefreshMessage::new_with_subtype(afi(family), Safi::Unicast, subtype);
    encode_message(&Message::RouteRefresh(message)).map(Vec::from).expect("a message of 23 octets fits")
}

/// A received ROUTE-REFRESH.
///
/// # Errors
/// RFC 7313 §5: a mark of another length than 4 ends the session, if marks were negotiated.
pub(crate) fn decode_refresh(octets: &[u8], enhanced: bool) -> Result<Refresh, Notification> {
    let body = octets.get(HEADER..).unwrap_or_default();
    match body {
        [_, _, 1 | 2, _, _, ..] if enhanced => {
            Err(Notification { code: 7, subcode: 1, data: octets.get(..DATA_MAX).unwrap_or(octets).to_vec() })
        }
        // RFC 2918 §3 knows no subtype: without RFC 7313 the octet is reserved, and ignored.
        [0, 1, subtype, 1, ..] if *subtype == 0 || !enhanced => Ok(Refresh::Asked(Family::V4)),
        [0, 2, subtype, 1, ..] if *subtype == 0 || !enhanced => Ok(Refresh::Asked(Family::V6)),
        _ => Ok(Refresh::Ignored),
    }
}

const fn afi(family: Family) -> Afi {
    match family {
        Family::V4 => Afi::Ipv4,
        Family::V6 => Afi::Ipv6,
    }
}

/// Decodes a message that the framer has cut.
fn decode(octets: Vec<u8>) -> Result<Message, Notification> {
    decode_message(&mut Bytes::from(octets), EXTENDED_MAX).map_err(|error| notification(&error))
}

fn notification(error: &DecodeError) -> Notification {
    let (code, subcode, data) = error.to_notification();
    Notification { code: code.as_u8(), subcode, data: data.get(..DATA_MAX).unwrap_or(&data).to_vec() }
}

/// The largest message that may be sent.
pub(crate) const fn send_max(extended: bool) -> u16 {
    if extended { EXTENDED_MAX } else { STANDARD_MAX }
}
