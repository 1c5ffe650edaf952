//! A BGPAdvertisement: lengths, LOCAL_PREF, communities, and lists in which each name stands once.

use super::{CommunityValue, Findings, Problem, duplicates, parse_community, unread};
use crate::{metallb::BGPAdvertisement, selector};

/// What an advertisement says of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvertisementSettings {
    /// The length of IPv4 prefixes, 1 to 32.
    pub length_v4: u8,
    /// The length of IPv6 prefixes, 1 to 128.
    pub length_v6: u8,
    /// LOCAL_PREF; unset: the speaker's default.
    pub local_pref: Option<u32>,
    /// Each once, in their order.
    pub communities: Vec<CommunityText>,
}

/// A community as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommunityText {
    /// Its position in `spec.communities`.
    pub index: usize,
    /// What is written. A Community may give a value to any text; this comes first, as in MetalLB.
    pub text: String,
    /// The value, if the text is one.
    pub value: Option<CommunityValue>,
}

/// What is wrong with an advertisement, seen alone.
pub fn bgp_advertisement(object: &BGPAdvertisement) -> Vec<Problem> {
    bgp_advertisement_settings(object).1
}

/// What an advertisement says, if it can be used, and what is wrong with it.
pub fn bgp_advertisement_settings(object: &BGPAdvertisement) -> (Option<AdvertisementSettings>, Vec<Problem>) {
    let (spec, mut found) = (&object.spec, Findings::default());
    let length_v4 = length(&mut found, "spec.aggregationLength", spec.aggregation_length, 32);
    let length_v6 = length(&mut found, "spec.aggregationLengthV6", spec.aggregation_length_v6, 128);
    let local_pref = local_pref(&mut found, spec.local_pref);
    let communities = communities(&mut found, &spec.communities);
    duplicates(&mut found, "spec.ipAddressPools", "pool", &spec.ip_address_pools);
    duplicates(&mut found, "spec.peers", "peer", &spec.peers);
    let selectors = [
        ("spec.ipAddressPoolSelectors", &spec.ip_address_pool_selectors),
        ("spec.nodeSelectors", &spec.node_selectors),
        ("spec.serviceSelectors", &spec.service_selectors),
    ];
    for (field, list) in selectors {
        found.problems.extend(selector::problems(field, list));
    }
    if !spec.service_selectors.is_empty() && (length_v4, length_v6) != (32, 128) {
        let message = "serviceSelectors and aggregationLength are mutually exclusive: an aggregate is announced for \
            every Service in it, so leave out serviceSelectors, or aggregationLength and aggregationLengthV6";
        found.wrong("spec.serviceSelectors", message);
    }
    found.problems.extend(unread("BGPAdvertisement", object.metadata.annotations.as_ref(), &[]));
    found.finish(Some(AdvertisementSettings { length_v4, length_v6, local_pref, communities }))
}

fn length(found: &mut Findings, field: &str, value: Option<i32>, longest: u8) -> u8 {
    let Some(value) = value else { return longest };
    let length = u8::try_from(value).ok().filter(|length| (1..=longest).contains(length));
    if length.is_none() {
        found.wrong(field, format!("invalid aggregation length {value}: write 1 to {longest}"));
    }
    length.unwrap_or(longest)
}

fn local_pref(found: &mut Findings, value: Option<i64>) -> Option<u32> {
    let value = value.filter(|&value| value != 0)?;
    let number = u32::try_from(value).ok();
    if number.is_none() {
        found.wrong("spec.localPref", format!("{value} is no LOCAL_PREF: write 1 to 4294967295, or 0 for none"));
    }
    number
}

fn communities(found: &mut Findings, written: &[String]) -> Vec<CommunityText> {
    duplicates(found, "spec.communities", "community", written);
    let mut communities: Vec<CommunityText> = Vec::new();
    for (index, text) in written.iter().enumerate() {
        if communities.iter().any(|known| known.text == *text) {
            continue;
        }
        let value = parse_community(text);
        // Any text may be an alias; one of digits and colons is clearly meant as a value.
        let is_meant = text.contains(':') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        match &value {
            Err(message) if is_meant || text.starts_with("large:") => {
                found.wrong(format!("spec.communities[{index}]"), message.clone());
            }
            Err(_) if text.trim().is_empty() => {
                let message = "is empty: write 64512:100, large:64512:1:2, or a name that a Community gives";
                found.wrong(format!("spec.communities[{index}]"), message);
            }
            Ok(_) | Err(_) => {}
        }
        communities.push(CommunityText { index, text: text.clone(), value: value.ok() });
    }
    communities
}
