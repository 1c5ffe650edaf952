//! Which advertisements announce the addresses of which pool.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use lb_api::{AddressRange, IPAddressPool, selector, validate::address_pool_ranges};

use super::{Advertisement, AdvertisementId, Configuration, Context, advertisements::misfit, conflict};

/// The families that a pool has addresses of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bgp) struct PoolFamilies {
    pub(in crate::bgp) ipv4: bool,
    pub(in crate::bgp) ipv6: bool,
}

/// A pool with the advertisements that are for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bgp) struct Pool {
    pub(in crate::bgp) families: PoolFamilies,
    ipv4: Vec<AdvertisementId>,
    ipv6: Vec<AdvertisementId>,
}

impl Pool {
    /// The advertisements for an address of the pool.
    pub(in crate::bgp) fn advertisements(&self, address: IpAddr) -> &[AdvertisementId] {
        match address {
            IpAddr::V4(_) => &self.ipv4,
            IpAddr::V6(_) => &self.ipv6,
        }
    }
}

pub(super) fn read(configuration: &mut Configuration, context: &Context<'_>) {
    for (name, source) in &context.sources.pools {
        let object = &source.object;
        let ranges = address_pool_ranges(&object.spec).0;
        let has = |v6: bool| ranges.iter().any(|range| range.first.is_ipv6() == v6);
        let families = PoolFamilies { ipv4: has(false), ipv6: has(true) };
        let selected = of(configuration, |advertisement| selects(advertisement, object));
        let kept = without_conflicts(configuration, selected, families, (source.kind, name));
        let fitting = |v6: bool| -> Vec<AdvertisementId> {
            let of_family = ranges.iter().filter(|range| range.first.is_ipv6() == v6);
            let fits = |id: &AdvertisementId| {
                let advertisement = configuration.advertisement(*id);
                advertisement.is_some_and(|one| of_family.clone().all(|range| misfit(one, range).is_none()))
            };
            kept.iter().copied().filter(fits).collect()
        };
        let pool = Pool { families, ipv4: fitting(false), ipv6: fitting(true) };
        configuration.pools.insert(format!("{}/{name}", configuration.namespace), Arc::new(pool));
    }
}

fn of(configuration: &Configuration, selects: impl Fn(&Advertisement) -> bool) -> Vec<AdvertisementId> {
    let all = configuration.advertisements.iter().enumerate();
    all.filter(|(_, advertisement)| selects(advertisement)).map(|(id, _)| id).collect()
}

/// Whether an advertisement is for a pool: named, selected by label, or every pool is meant.
pub(super) fn selects(advertisement: &Advertisement, pool: &IPAddressPool) -> bool {
    let (spec, none) = (&advertisement.source.spec, BTreeMap::new());
    let labels = pool.metadata.labels.as_ref().unwrap_or(&none);
    is_for_all(advertisement)
        || pool.metadata.name.as_ref().is_some_and(|name| spec.ip_address_pools.contains(name))
        || selector::any_matches(&spec.ip_address_pool_selectors, labels)
}

fn is_for_all(advertisement: &Advertisement) -> bool {
    let spec = &advertisement.source.spec;
    spec.ip_address_pools.is_empty() && spec.ip_address_pool_selectors.is_empty()
}

/// Of two that are for all Services of a pool and conflict, the first by name is used, and the other one hears of it.
/// Those for some Services only are judged with the Service (metallb.md section 6.3).
fn without_conflicts(
    configuration: &mut Configuration,
    selected: Vec<AdvertisementId>,
    families: PoolFamilies,
    (kind, pool): (&str, &str),
) -> Vec<AdvertisementId> {
    let mut kept: Vec<AdvertisementId> = Vec::new();
    for id in selected {
        let Some(advertisement) = configuration.advertisement(id) else { continue };
        let first = kept.iter().filter_map(|&known| configuration.advertisement(known)).find(|known| {
            let for_all = !known.is_for_some_services() && !advertisement.is_for_some_services();
            for_all && conflict(known, advertisement, families)
        });
        let Some(first) = first else {
            kept.push(id);
            continue;
        };
        let preference = |one: &Advertisement| one.attributes.local_pref.unwrap_or_default();
        let message = format!(
            "invalid local preference {}: local preference {} was already set for the same type of BGP update by \
             {}, which is used for {kind} `{pool}`: write one local preference, or other peers, \
             nodes or aggregation lengths",
            preference(advertisement),
            preference(first),
            first.origin.title(),
        );
        let problem = advertisement.origin.problem("spec.localPref", message);
        configuration.problems.push(problem);
    }
    kept
}

/// A pool that is not listed. An address of none is announced by what is for every pool, and then in no aggregate: nobody
/// said how far its neighbours are Herald's. A class is layer 2.
pub(super) fn unlisted(configuration: &Configuration, reference: &str) -> Pool {
    let families = PoolFamilies { ipv4: true, ipv6: true };
    let name = match reference.split_once('/') {
        Some((namespace, name)) if namespace == configuration.namespace => Some(name),
        Some(_) => return Pool { families, ipv4: Vec::new(), ipv6: Vec::new() },
        None if reference.is_empty() => None,
        None => return Pool { families, ipv4: Vec::new(), ipv6: Vec::new() },
    };
    let selected = of(configuration, |advertisement| {
        let named = name.is_some_and(|name| advertisement.source.spec.ip_address_pools.iter().any(|pool| pool == name));
        named || is_for_all(advertisement)
    });
    let whole = |length: fn(&Advertisement) -> bool| -> Vec<AdvertisementId> {
        selected.iter().copied().filter(|&id| configuration.advertisement(id).is_some_and(length)).collect()
    };
    Pool { families, ipv4: whole(|one| one.length_v4 == 32), ipv6: whole(|one| one.length_v6 == 128) }
}

/// The length of the largest block that a range consists of.
pub(super) fn shortest(range: &AddressRange) -> u8 {
    let (first, last, bits) = match (range.first, range.last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (number4(first), number4(last), 32),
        (IpAddr::V6(first), IpAddr::V6(last)) => (number6(first), number6(last), 128),
        // A range is of one family.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return 128,
    };
    // A block of 2^k addresses lies in the range exactly if the first multiple of 2^k from `first` on has its end in it.
    let fits = |k: &u32| {
        let Some(size) = 1_u128.checked_shl(*k) else { return first == 0 && last == u128::MAX };
        let start = first.checked_next_multiple_of(size);
        start.and_then(|start| start.checked_add(size - 1)).is_some_and(|end| end <= last)
    };
    let largest = (0..=bits).rev().find(fits).unwrap_or(0);
    u8::try_from(bits - largest).unwrap_or(u8::MAX)
}

fn number4(address: Ipv4Addr) -> u128 {
    u128::from(address.to_bits())
}

const fn number6(address: Ipv6Addr) -> u128 {
    address.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_block_of_a_range_is_found() {
        for (entry, length) in [
            ("192.0.2.0/24", 24),
            ("192.0.2.7/32", 32),
            ("0.0.0.0/0", 0),
            ("192.0.2.10-192.0.2.20", 30),
            ("192.0.2.1-192.0.2.2", 32),
            ("192.0.2.0-192.0.2.127", 25),
            ("192.0.2.1-192.0.2.255", 25),
            ("2001:db8::/64", 64),
            ("2001:db8::5/128", 128),
            ("::/0", 0),
            ("2001:db8::1-2001:db8::ffff", 113),
        ] {
            let range = lb_api::validate::parse_entry(entry).expect("test data");
            assert_eq!(shortest(&range), length, "{entry}");
        }
    }
}
