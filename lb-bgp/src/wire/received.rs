//! Received UPDATEs: judged as RFC 7606 says, counted, and forgotten.
//!
//! Must not: keep a route. Nobody here wants one.
//! Spec: RFC 7606, RFC 4760 §3 and §4, RFC 4724 §2 (End-of-RIB).

use rustbgpd_wire::{
    Message, PathAttribute, Safi, UpdateMessage,
    update::RevisedParsedUpdate,
    validate::{ErrorDisposition, UpdateValidationOptions, validate_update_attributes_with_context},
};

use super::{afi, decode, notification};
use crate::{notification::Notification, types::Family};

/// What became of an UPDATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing wrong.
    Clean,
    /// RFC 7606 §2, attribute discard.
    Discarded(String),
    /// RFC 7606 §2, treat-as-withdraw.
    Withdrawn(String),
}

/// A judged UPDATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// How many prefixes it announced.
    pub(crate) announced: u64,
    /// How many prefixes it withdrew.
    pub(crate) withdrawn: u64,
    /// The family it ends the initial routes of.
    pub(crate) end_of_rib: Option<Family>,
    pub(crate) verdict: Verdict,
}

/// A received UPDATE on a session of these properties.
///
/// # Errors
/// What RFC 7606 does not forgive: prefixes that cannot be found.
#[expect(clippy::wildcard_enum_match_arm, reason = "two attributes carry prefixes")]
pub(crate) fn decode_update(octets: Vec<u8>, four_octet_as: bool, internal: bool) -> Result<Received, Notification> {
    let Message::Update(update) = decode(octets)? else { return Err(Notification::UNEXPECTED_IN_ESTABLISHED) };
    let parsed = update.parse_revised(four_octet_as, internal, false, &[]).map_err(|error| notification(&error))?;
    let (mut announced, mut withdrawn) = (parsed.update.announced.len(), parsed.update.withdrawn.len());
    let body_announces = announced > 0;
    let mut end_of_rib = is_empty(&update).then_some(Family::V4);
    for attribute in &parsed.update.attributes {
        match attribute {
            PathAttribute::MpReachNlri(reach) => announced += reach.announced.len(),
            PathAttribute::MpUnreachNlri(unreach) => {
                withdrawn += unreach.withdrawn.len();
                // RFC 4724 §2: MP_UNREACH_NLRI alone, without a prefix.
                let alone = parsed.update.attributes.len() == 1 && parsed.malformed.is_empty();
                if alone && unreach.safi == Safi::Unicast && announced == 0 && withdrawn == 0 {
                    end_of_rib = Family::ALL.into_iter().find(|family| afi(*family) == unreach.afi);
                }
            }
            _ => {}
        }
    }
    let verdict = verdict(&parsed, announced > 0, body_announces, internal)?;
    let count = |count| u64::try_from(count).unwrap_or(u64::MAX);
    Ok(Received { announced: count(announced), withdrawn: count(withdrawn), end_of_rib, verdict })
}

/// RFC 4724 §2: an UPDATE of the least length ends IPv4 unicast.
fn is_empty(update: &UpdateMessage) -> bool {
    update.withdrawn_routes.is_empty() && update.path_attributes.is_empty() && update.nlri.is_empty()
}

/// The strongest of all errors' consequences (RFC 7606 §3, h).
fn verdict(
    parsed: &RevisedParsedUpdate,
    announces: bool,
    body_announces: bool,
    internal: bool,
) -> Result<Verdict, Notification> {
    let mut worst: Option<(ErrorDisposition, String)> = None;
    let mut take = |disposition, why: String| {
        if worst.as_ref().is_none_or(|(worst, _)| *worst < disposition) {
            worst = Some((disposition, why));
        }
    };
    for malformed in &parsed.malformed {
        take(malformed.disposition, format!("attribute {}: {}", malformed.type_code, malformed.error));
    }
    // A link-local next hop is for the route's user to judge, and here is none.
    let mut options = UpdateValidationOptions::default();
    options.allow_ipv4_link_local_mp_reach_next_hop = true;
    options.link_local_next_hop = true;
    let attributes = &parsed.update.attributes;
    if let Err(invalid) =
        validate_update_attributes_with_context(attributes, announces, body_announces, !internal, options)
    {
        if invalid.error.disposition == ErrorDisposition::SessionReset {
            return Err(Notification { code: 3, subcode: invalid.error.subcode, data: invalid.error.data });
        }
        let error = Notification { code: 3, subcode: invalid.error.subcode, data: Vec::new() };
        take(invalid.error.disposition, format!("attribute {}: {}", invalid.type_code, error.name()));
    }
    match worst {
        None => Ok(Verdict::Clean),
        Some((ErrorDisposition::AttributeDiscard, why)) => Ok(Verdict::Discarded(why)),
        Some((ErrorDisposition::TreatAsWithdraw, why)) => Ok(Verdict::Withdrawn(why)),
        Some((ErrorDisposition::SessionReset, _)) => Err(Notification { code: 3, subcode: 1, data: Vec::new() }),
    }
}
