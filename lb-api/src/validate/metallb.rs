//! What is wrong with MetalLB's objects. They work all the same, without what is listed: one slip of the pen stops
//! neither the rest of the object nor other objects.
//!
//! Where MetalLB refuses (metallb.md section 6.2) the words that its tests look for are kept.

use std::collections::BTreeSet;

use super::{AddressRange, Problem, RangeError, interfaces, is_label, parse_entry};
use crate::{
    metallb::{IPAddressPool, IPAddressPoolSpec, L2Advertisement, ServiceAllocation},
    names::l2_annotation,
    selector,
    terms::Terms,
};

/// The usable ranges of a pool, in the order of its entries, and what is wrong with the other entries.
///
/// As MetalLB does, and unlike [`super::pool_ranges`]: host bits of a block are ignored, and an IPv4-mapped address is
/// its IPv4 address.
pub fn address_pool_ranges(spec: &IPAddressPoolSpec) -> (Vec<AddressRange>, Vec<Problem>) {
    ranges(&spec.addresses)
}

/// The usable entries of `spec.addresses`.
pub(super) fn ranges(addresses: &[String]) -> (Vec<AddressRange>, Vec<Problem>) {
    let (mut ranges, mut problems) = (Vec::new(), Vec::new());
    for (index, entry) in addresses.iter().enumerate() {
        match lenient(entry) {
            Ok(range) => ranges.push(range),
            Err(error) => problems.push(Problem::new(format!("spec.addresses[{index}]"), error.to_string())),
        }
    }
    (ranges, problems)
}

fn lenient(entry: &str) -> Result<AddressRange, RangeError> {
    match parse_entry(entry) {
        Err(RangeError::HostBits { right, .. }) => Ok(AddressRange { first: right.network(), last: right.broadcast() }),
        // Ends: each turn leaves one such address less.
        Err(RangeError::Mapped { entry: mapped, right }) => lenient(&unmapped(entry, &mapped, &right)),
        other => other,
    }
}

/// An entry with one IPv4-mapped address in its IPv4 spelling; a prefix length counts the 96 bits before it.
fn unmapped(entry: &str, mapped: &str, right: &str) -> String {
    let replaced = entry.replacen(mapped, right, 1);
    match replaced.split_once('/').and_then(|(address, bits)| Some((address, bits.trim().parse::<u8>().ok()?))) {
        Some((address, bits)) if bits >= 96 => format!("{address}/{}", bits - 96),
        _ => replaced,
    }
}

/// What is wrong with a pool, seen alone.
pub fn address_pool(pool: &IPAddressPool) -> Vec<Problem> {
    let mut problems = addresses(&pool.spec.addresses);
    problems.extend(pool.spec.service_allocation.as_ref().map(allocation).unwrap_or_default());
    problems.extend(misplaced(pool));
    problems
}

/// What is wrong with `spec.addresses`.
pub(super) fn addresses(addresses: &[String]) -> Vec<Problem> {
    let (ranges, mut problems) = ranges(addresses);
    if addresses.is_empty() {
        let message = "is empty: the pool needs at least one CIDR block or range";
        problems.push(Problem::new("spec.addresses", message));
    }
    let mut seen: Vec<AddressRange> = Vec::new();
    for range in ranges {
        if let Some(other) = seen.iter().find(|other| overlap(other, &range)) {
            let message =
                format!("{} overlaps with already defined CIDR {} of the same pool", text(&range), text(other));
            problems.push(Problem::new("spec.addresses", message));
        }
        seen.push(range);
    }
    problems
}

/// How addresses move is said where it is said who answers for them.
fn misplaced(pool: &IPAddressPool) -> Vec<Problem> {
    let has = |name: &&str| pool.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(*name));
    let message = "is not read on an IPAddressPool: write it on the L2Advertisement that selects the pool";
    let names = [l2_annotation::FAILBACK, l2_annotation::CONFLICT].into_iter().filter(has);
    names.map(|name| Problem::new(format!("metadata.annotations[{name}]"), message)).collect()
}

/// Whether two ranges have an address in common.
pub fn overlap(one: &AddressRange, other: &AddressRange) -> bool {
    one.first.is_ipv4() == other.first.is_ipv4() && one.first <= other.last && other.first <= one.last
}

/// A range as a user would write it.
pub fn text(range: &AddressRange) -> String {
    match range.first == range.last {
        true => range.first.to_string(),
        false => format!("{}-{}", range.first, range.last),
    }
}

fn allocation(allocation: &ServiceAllocation) -> Vec<Problem> {
    let field = "spec.serviceAllocation";
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, namespace) in allocation.namespaces.iter().enumerate() {
        let at = format!("{field}.namespaces[{index}]");
        if !seen.insert(namespace) {
            problems.push(Problem::new(at, format!("duplicate namespace `{namespace}`: each stands once")));
        } else if !is_label(namespace) {
            problems.push(Problem::new(at, format!("`{namespace}` is not the name of a namespace")));
        }
    }
    problems.extend(selector::problems(&format!("{field}.namespaceSelectors"), &allocation.namespace_selectors));
    problems.extend(selector::problems(&format!("{field}.serviceSelectors"), &allocation.service_selectors));
    if allocation.priority.is_some_and(|priority| priority < 0) {
        problems.push(Problem::new(format!("{field}.priority"), "is negative: write 1 for first, 0 for last"));
    }
    problems
}

/// What is wrong with an advertisement.
pub fn l2_advertisement(object: &L2Advertisement) -> Vec<Problem> {
    let spec = &object.spec;
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, pool) in spec.ip_address_pools.iter().enumerate().filter(|(_, pool)| !seen.insert(pool.as_str())) {
        let at = format!("spec.ipAddressPools[{index}]");
        problems.push(Problem::new(at, format!("duplicate pool `{pool}`: each stands once")));
    }
    problems.extend(selector::problems("spec.ipAddressPoolSelectors", &spec.ip_address_pool_selectors));
    problems.extend(selector::problems("spec.nodeSelectors", &spec.node_selectors));
    problems.extend(interfaces("spec.interfaces", &spec.interfaces));
    problems.extend(selector::problems("spec.serviceSelectors", &spec.service_selectors));
    for (index, preferred) in spec.preferred_node_selectors.iter().enumerate() {
        let at = format!("spec.preferredNodeSelectors[{index}]");
        if !(1..=100).contains(&preferred.weight) {
            let message = format!("{} is not a weight: write a number from 1 to 100", preferred.weight);
            problems.push(Problem::new(format!("{at}.weight"), message));
        }
        problems.extend(selector::problems_of(&format!("{at}.preference"), &preferred.preference));
    }
    problems.extend(Terms::read(object.metadata.annotations.as_ref()).1);
    problems
}

#[cfg(test)]
mod tests;
