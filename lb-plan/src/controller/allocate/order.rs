//! Which of the addresses that a Service asks for is for which slot.
//!
//! Entry *i* is for index *i*, but what stands already stays where it stands: the same addresses in another order take
//! nothing away, for a slot cannot get another address before it has given its own back.

use std::{collections::HashMap, net::IpAddr};

use lb_api::virtual_ip::Family;

use crate::controller::{choice::Claimant, inventory::Inventory};

/// Puts the requests of each Service into the order in which they stand.
pub(super) fn settle(claimants: &mut [Claimant<'_>], inventory: &Inventory<'_>) {
    for claimant in claimants.iter_mut().filter(|claimant| claimant.is_bound()) {
        let count = usize::try_from(claimant.wish.count).unwrap_or(usize::MAX);
        let asked = [claimant.request.ipv4.len(), claimant.request.ipv6.len()];
        // One address has no order.
        if asked.into_iter().all(|asked| asked < 2) {
            continue;
        }
        let standing = standing(claimant, inventory);
        arrange(&mut claimant.request.ipv4, count, |address| standing.get(&address.into()).copied());
        arrange(&mut claimant.request.ipv6, count, |address| standing.get(&address.into()).copied());
    }
}

/// The index at which each address of the Service stands.
fn standing(claimant: &Claimant<'_>, inventory: &Inventory<'_>) -> HashMap<IpAddr, usize> {
    let positions = inventory.of(claimant.namespace, claimant.name).iter();
    let vips = positions.filter_map(|&position| inventory.vips.get(position)).filter(|vip| vip.is_bound());
    let indices = vips.flat_map(|vip| {
        let claims = vip.claims().iter().filter(|claim| claim.family == Family::of(vip.address));
        let own = claims.filter(|claim| claim.namespace == claimant.namespace && claim.name == claimant.name);
        own.filter_map(|claim| Some((vip.address, usize::try_from(claim.index).ok()?)))
    });
    indices.collect()
}

/// Those that stand within the first `count` keep their place, the others of these take what is left, in their order.
fn arrange<A: Copy>(asked: &mut [A], count: usize, stands: impl Fn(A) -> Option<usize>) {
    let count = count.min(asked.len());
    let Some(asked) = asked.get_mut(..count) else { return };
    let mut places: Vec<Option<A>> = vec![None; count];
    let mut rest = Vec::new();
    for &address in asked.iter() {
        match stands(address).and_then(|index| places.get_mut(index)).filter(|place| place.is_none()) {
            Some(place) => *place = Some(address),
            None => rest.push(address),
        }
    }
    let mut rest = rest.into_iter();
    for (entry, place) in asked.iter_mut().zip(places) {
        // There are as many places as addresses.
        if let Some(address) = place.or_else(|| rest.next()) {
            *entry = address;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(asked: &str, count: usize, standing: &str) -> String {
        let mut asked: Vec<char> = asked.chars().collect();
        arrange(&mut asked, count, |address| standing.chars().position(|other| other == address));
        asked.into_iter().collect()
    }

    #[test]
    fn what_stands_stays_and_the_rest_fills_up_in_its_order() {
        for (asked, count, standing, expected) in [
            ("abc", 3, "___", "abc"),
            ("cba", 3, "abc", "abc"),
            ("xa", 2, "ab", "ax"),
            ("xyb", 3, "ab_", "xby"),
            // Beyond the count nothing moves.
            ("abc", 2, "ca", "bac"),
            ("ab", 2, "__a", "ab"),
            ("aa", 2, "a_", "aa"),
        ] {
            assert_eq!(arranged(asked, count, standing), expected, "{asked} {count} {standing}");
        }
    }
}
