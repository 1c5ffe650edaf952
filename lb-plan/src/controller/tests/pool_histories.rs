//! Random histories of IPAddressPools and Services that share, held to a naive model.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::SignedDuration;
use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::LabelSelector};
use lb_api::{
    IPAddressPool,
    metallb::ServiceAllocation,
    validate::{address_pool, address_pool_ranges},
    virtual_ip::{Family, Phase},
};
use proptest::prelude::*;

use super::world::{World, annotate, dual, pairs, ports};

const POOLS: [&[&str]; 5] = [
    &["192.0.2.0/30", "2001:db8::/126"],
    &["192.0.2.1-192.0.2.2", "2001:db8::1/128"],
    &["192.0.2.4/31"],
    &["2001:db8::8/127"],
    &["192.0.2.2-192.0.2.6", "2001:db8::2-2001:db8::8"],
];

#[derive(Debug, Clone)]
pub(super) enum Edit {
    Service { number: usize, families: usize, key: usize, port: i32, local: bool },
    Asks { number: usize, pool: Option<usize>, address: Option<u8> },
    Label { number: usize, red: bool },
    Count { number: usize, count: u32 },
    Delete(usize),
    Pool { pool: usize, addresses: usize, auto: bool, red: bool },
    RemovePool(usize),
    RemoveVip(usize),
    Wait,
}

pub(super) fn edit() -> impl Strategy<Value = Edit> {
    let (service, pool) = (0_usize..5, 0_usize..3);
    prop_oneof![
        6 => (service.clone(), 0_usize..5, 0_usize..3, 80_i32..83, any::<bool>())
            .prop_map(|(number, families, key, port, local)| Edit::Service { number, families, key, port, local }),
        2 => (service.clone(), prop::option::of(pool.clone()), prop::option::of(0_u8..8))
            .prop_map(|(number, pool, address)| Edit::Asks { number, pool, address }),
        1 => (service.clone(), any::<bool>()).prop_map(|(number, red)| Edit::Label { number, red }),
        2 => (service.clone(), 1_u32..4).prop_map(|(number, count)| Edit::Count { number, count }),
        3 => service.prop_map(Edit::Delete),
        4 => (pool.clone(), 0..POOLS.len(), any::<bool>(), any::<bool>())
            .prop_map(|(pool, addresses, auto, red)| Edit::Pool { pool, addresses, auto, red }),
        1 => pool.prop_map(Edit::RemovePool),
        1 => (0_usize..8).prop_map(Edit::RemoveVip),
        1 => Just(Edit::Wait),
    ]
}

fn service_name(number: usize) -> String {
    format!("web-{number}")
}

fn pool_name(number: usize) -> String {
    format!("pool-{number}")
}

fn policy(service: &mut Service, families: usize) {
    let spec = service.spec.get_or_insert_default();
    spec.ip_family_policy = None;
    spec.ip_families = Some(vec![if families == 1 { "IPv6" } else { "IPv4" }.into()]);
    match families {
        2 => dual(service, "PreferDualStack"),
        3 => dual(service, "RequireDualStack"),
        4 => {
            dual(service, "PreferDualStack");
            service.spec.get_or_insert_default().ip_families = Some(vec!["IPv6".into(), "IPv4".into()]);
        }
        _ => {}
    }
}

fn optional(service: &mut Service, name: &str, value: Option<String>) {
    match value {
        Some(value) => annotate(service, name, &value),
        None => drop(service.metadata.annotations.get_or_insert_default().remove(name)),
    }
}

impl Edit {
    pub(super) fn make(&self, world: &mut World) {
        match *self {
            Self::Service { number, families, key, port, local } => world.service(&service_name(number), |service| {
                policy(service, families);
                ports(service, &[("TCP", port)]);
                let spec = service.spec.get_or_insert_default();
                spec.external_traffic_policy = Some(if local { "Local" } else { "Cluster" }.into());
                spec.selector = Some(pairs(&[("app", if port == 80 { "a" } else { "b" })]));
                let key = (key > 0).then(|| format!("key-{key}"));
                optional(service, "metallb.io/allow-shared-ip", key);
            }),
            Self::Asks { number, pool, address } => world.service(&service_name(number), |service| {
                optional(service, "metallb.io/address-pool", pool.map(pool_name));
                optional(service, "metallb.io/loadBalancerIPs", address.map(|last| format!("192.0.2.{last}")));
            }),
            Self::Label { number, red } => world.service(&service_name(number), |service| {
                service.metadata.labels = red.then(|| pairs(&[("team", "red")]));
            }),
            Self::Count { number, count } => world.count(&service_name(number), &count.to_string()),
            Self::Delete(number) => world.delete_service(&service_name(number)),
            Self::Pool { pool, addresses, auto, red } => world.pool(&pool_name(pool), POOLS[addresses], |object| {
                object.spec.auto_assign = auto;
                let selector = LabelSelector { match_labels: Some(pairs(&[("team", "red")])), ..Default::default() };
                let allocation =
                    ServiceAllocation { service_selectors: vec![selector], ..ServiceAllocation::default() };
                object.spec.service_allocation = red.then_some(allocation);
            }),
            Self::RemovePool(pool) => world.remove_pool(&pool_name(pool)),
            Self::RemoveVip(number) => {
                let name = world.vips.keys().nth(number).cloned();
                name.and_then(|name| world.vips.remove(&name));
            }
            Self::Wait => world.now = world.now.checked_add(SignedDuration::from_secs(61)).expect("in range"),
        }
    }

    /// The Service that the edit is about; `None` if it may touch several.
    fn about(&self) -> Option<String> {
        match self {
            Self::Service { number, .. }
            | Self::Asks { number, .. }
            | Self::Label { number, .. }
            | Self::Count { number, .. }
            | Self::Delete(number) => Some(service_name(*number)),
            Self::Wait => Some(String::new()),
            Self::Pool { .. } | Self::RemovePool(_) | Self::RemoveVip(_) => None,
        }
    }
}

// The naive model.

fn text(service: &Service, annotation: &str) -> Option<String> {
    service.metadata.annotations.as_ref().and_then(|all| all.get(annotation)).cloned()
}

fn may_share(one: &Service, other: &Service) -> bool {
    let key = |service| text(service, "metallb.io/allow-shared-ip");
    let spec = |service: &Service| service.spec.clone().unwrap_or_default();
    let backend = |service| {
        let spec = spec(service);
        (spec.external_traffic_policy.as_deref() == Some("Local")).then_some(spec.selector)
    };
    let numbers =
        |service| -> BTreeSet<i32> { spec(service).ports.unwrap_or_default().iter().map(|port| port.port).collect() };
    key(one).is_some()
        && key(one) == key(other)
        && backend(one) == backend(other)
        && numbers(one).is_disjoint(&numbers(other))
}

fn allows(pool: &IPAddressPool, service: &Service) -> bool {
    let red =
        service.metadata.labels.as_ref().is_some_and(|labels| labels.get("team").is_some_and(|team| team == "red"));
    let named = text(service, "metallb.io/address-pool");
    let fits = named.is_none_or(|named| pool.metadata.name.as_ref() == Some(&named));
    (pool.spec.service_allocation.is_none() || red) && fits
}

fn contains(pool: &IPAddressPool, address: IpAddr) -> bool {
    address_pool_ranges(&pool.spec).0.iter().any(|range| range.contains(address))
}

fn check(world: &World) {
    assert_eq!(world.plan().steps, [], "planning again");
    let held = world.bound();
    for vip in world.vips.values().filter(|vip| vip.spec.phase == Phase::Bound) {
        let address = vip.spec.address.parse().expect("validated");
        let claims = vip.spec.claims.iter();
        let holders = claims.map(|claim| world.services.get(&("default".to_owned(), claim.name.clone())));
        // Without any pool nothing is given back, though the Service is gone.
        let Some(holders) = holders.collect::<Option<Vec<_>>>() else {
            assert!(world.pools.is_empty(), "{address} is kept for a Service that is gone");
            continue;
        };
        for (index, one) in holders.iter().enumerate() {
            assert!(
                holders[index + 1..].iter().all(|other| may_share(one, other)),
                "{address} is shared: {holders:#?}"
            );
        }
        assert!(vip.spec.claims.iter().all(|claim| claim.sharing.is_some() == (holders.len() > 1)), "{address}");
        // What a Service showed when its VirtualIP was gone and no pool was there is adopted, and is from none.
        if !world.pools.is_empty() && !vip.spec.pool.is_empty() {
            let pool = world.pools.values().find(|pool| {
                vip.spec.pool == format!("metallb-system/{}", pool.metadata.name.as_deref().unwrap_or_default())
            });
            assert!(pool.is_some_and(|pool| contains(pool, address)), "{address} is from {}", vip.spec.pool);
        }
    }
    for ((_, name), service) in &world.services {
        let has = held.get(name).cloned().unwrap_or_default();
        let shown: BTreeSet<String> = world.shown(name).into_iter().collect();
        let held: BTreeSet<String> = has.iter().map(|(_, address)| address.to_string()).collect();
        // Without any pool nothing is given or taken away, whatever was removed or made again by hand.
        if !world.pools.is_empty() {
            assert_eq!(shown, held, "{name} shows what it has");
        }
        check_shortage(world, name, service, &has.iter().map(|(claim, _)| (claim.index, claim.family)).collect());
    }
    check_counters(world);
}

/// A Service that has nothing at an index, and asks for no address, could not have had anything there.
fn check_shortage(world: &World, name: &str, service: &Service, has: &BTreeSet<(u32, Family)>) {
    let spec = service.spec.clone().unwrap_or_default();
    let count: u32 = text(service, "lb.herald.dev/ip-count").and_then(|count| count.parse().ok()).unwrap_or(1);
    let lacks = (0..count).any(|index| !has.iter().any(|(there, _)| *there == index));
    let named = text(service, "metallb.io/address-pool");
    let known =
        named.as_ref().is_none_or(|named| world.pools.values().any(|pool| pool.metadata.name.as_ref() == Some(named)));
    if !lacks || text(service, "metallb.io/loadBalancerIPs").is_some() || !known {
        return;
    }
    let automatic = |pool: &&std::sync::Arc<IPAddressPool>| named.is_some() || pool.spec.auto_assign;
    let mine: BTreeSet<String> = world.shown(name).into_iter().collect();
    for pool in world.pools.values().filter(|pool| allows(pool, service)).filter(automatic) {
        let free = |v4: bool| {
            let addresses = (0..16_u8).map(|last| match v4 {
                true => IpAddr::from([192, 0, 2, last]),
                false => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)]),
            });
            addresses.into_iter().filter(|address| contains(pool, *address)).any(|address| {
                let vip = world.vip(&address.to_string()).filter(|vip| vip.spec.phase == Phase::Bound);
                let joins = |vip: &lb_api::VirtualIP| {
                    !mine.contains(&vip.spec.address)
                        && vip.spec.claims.iter().all(|claim| {
                            may_share(service, &world.services[&("default".to_owned(), claim.name.clone())])
                        })
                };
                // What a Service shows without holding it is for nobody.
                vip.map_or_else(|| !world.is_shown(&address.to_string()), joins)
            })
        };
        let families: Vec<bool> = spec.ip_families.iter().flatten().map(|family| family == "IPv4").collect();
        let could = match spec.ip_family_policy.as_deref() {
            Some("PreferDualStack") => families.iter().any(|v4| free(*v4)),
            _ => families.iter().all(|v4| free(*v4)),
        };
        assert!(!could, "{name} has {has:?} of {count}, and {:?} has some left", pool.metadata.name);
    }
}

fn check_counters(world: &World) {
    for pool in world.pools.values() {
        let reference = format!("metallb-system/{}", pool.metadata.name.as_deref().unwrap_or_default());
        let bound = world.vips.values().filter(|vip| vip.spec.phase == Phase::Bound && vip.spec.pool == reference);
        let (v4, v6): (Vec<_>, Vec<_>) = bound.partition(|vip| !vip.spec.address.contains(':'));
        let status = pool.status.expect("counted");
        assert_eq!((status.assigned_ipv4, status.assigned_ipv6), (v4.len() as i64, v6.len() as i64), "{reference}");
        assert!(status.available_ipv4 >= 0 && status.available_ipv6 >= 0);
        assert!(address_pool(pool).is_empty());
    }
}

/// A pair of addresses that a Service did not have before is from one pool: that some pool contains both. A shared
/// address that is in two pools names the one its first Service had it from. Pools may part later; nobody moves for that.
fn check_pairs(before: &World, after: &World) {
    let old = before.bound();
    for (name, held) in after.bound() {
        let had: BTreeSet<_> = old.get(&name).into_iter().flatten().map(|(_, address)| *address).collect();
        let mut pairs: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
        let mut kept = BTreeSet::new();
        for (claim, address) in &held {
            pairs.entry(claim.index).or_default().push(*address);
            kept.extend(had.contains(address).then_some(claim.index));
        }
        let contains_all =
            |pair: &[IpAddr]| after.pools.values().any(|pool| pair.iter().all(|address| contains(pool, *address)));
        pairs.retain(|index, pair| !kept.contains(index) && pair.len() > 1 && !contains_all(pair));
        assert!(pairs.is_empty(), "{name} got a pair of two pools: {pairs:?}");
    }
}

/// Addresses of Services that the edit was not about stay.
fn check_unmoved(before: &World, after: &World, about: &str) {
    for (name, held) in before.bound() {
        let service = after.services.get(&("default".to_owned(), name.clone()));
        let Some(service) = service.filter(|_| name != about) else { continue };
        // One whose own request waited for this address may exchange one of its own for it.
        let asks = text(service, "metallb.io/loadBalancerIPs").is_some();
        let now: BTreeSet<_> =
            after.bound().remove(&name).into_iter().flatten().map(|(claim, address)| (claim.index, address)).collect();
        for (claim, address) in held {
            assert!(asks || now.contains(&(claim.index, address)), "{name} lost {address}");
        }
    }
}

pub(super) fn start() -> World {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.advertise("all", |_| {});
    for pool in 0..2 {
        Edit::Pool { pool, addresses: pool, auto: true, red: false }.make(&mut world);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whenever_it_is_quiet_pools_and_sharing_are_right(
        history in prop::collection::vec((edit(), prop::option::of(0_usize..6), prop::collection::btree_set(0_usize..8, 0..3)), 1..24)
    ) {
        let mut world = start();
        for (edit, applied, refused) in history {
            let before = world.clone();
            edit.make(&mut world);
            // A pass that is cut short and refused in parts; then a new controller.
            for (number, step) in world.plan().steps.iter().enumerate().take(applied.unwrap_or(usize::MAX)) {
                if !refused.contains(&number) {
                    world.apply(&step.action);
                }
            }
            world.settle();
            check(&world);
            check_pairs(&before, &world);
            if let Some(about) = edit.about() {
                check_unmoved(&before, &world, &about);
            }
        }
    }

    #[test]
    fn the_order_of_what_is_listed_makes_no_difference(edits in prop::collection::vec(edit(), 1..10), last in edit()) {
        let mut world = start();
        for edit in edits {
            edit.make(&mut world);
            world.settle();
        }
        last.make(&mut world);
        let snapshot = world.snapshot();
        let mut turned = snapshot.clone();
        turned.services.reverse();
        turned.nodes.reverse();
        turned.virtual_ips.reverse();
        turned.ip_address_pools.reverse();
        prop_assert_eq!(crate::controller::plan(&snapshot).steps, crate::controller::plan(&turned).steps);
    }
}
