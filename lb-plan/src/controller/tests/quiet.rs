//! What must hold of a world whenever it is quiet, by a naive model that walks over every address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lb_api::{names::condition, virtual_ip::Phase};

use super::world::World;

/// Every address of the small pools, for the naive model.
fn universe() -> Vec<IpAddr> {
    let v4 = (0..16).map(|last| IpAddr::from([192, 0, 2, last]));
    let v6 = (0..16).map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
    v4.chain(v6).collect()
}

fn pool_of(world: &World, class: &str) -> Vec<IpAddr> {
    let Some(class) = world.classes.get(&(String::new(), class.to_owned())) else { return Vec::new() };
    let (ranges, _) = lb_api::pool_ranges(&class.spec);
    universe().into_iter().filter(|address| ranges.iter().any(|range| range.contains(*address))).collect()
}

/// What must hold whenever it is quiet.
pub(super) fn check(world: &World) {
    assert_eq!(world.plan().steps, [], "planning again");
    let bound = world.bound();
    let mut shown_by: BTreeMap<String, String> = BTreeMap::new();
    for ((_, name), service) in &world.services {
        let class = world.bound_to(name);
        let gone = class.is_some_and(|class| !world.classes.contains_key(&(String::new(), class)));
        // Without its class a Service stays as it is, even if somebody deletes its VirtualIPs.
        for address in world.shown(name).into_iter().filter(|_| !gone) {
            assert_eq!(shown_by.insert(address.clone(), name.clone()), None, "{address} shown twice");
            let vip = world.vip(&address).unwrap_or_else(|| panic!("{name} shows {address}, which has no VirtualIP"));
            assert_eq!(vip.spec.phase, Phase::Bound);
            assert!(vip.spec.claims.iter().any(|claim| claim.name == *name), "{name} shows {address}");
        }
        let has: Vec<IpAddr> = bound.get(name).into_iter().flatten().map(|(_, address)| *address).collect();
        let class = world.bound_to(name).filter(|class| world.classes.contains_key(&(String::new(), class.clone())));
        let Some(class) =
            class.filter(|_| service.spec.as_ref().is_some_and(|spec| spec.load_balancer_class.is_none()))
        else {
            continue;
        };
        assert_eq!(has.len(), world.shown(name).len(), "{name} shows what it has");
        let count = world.condition(name, condition::ALL_ASSIGNED).expect("bound").message;
        assert!(count.starts_with(&format!("{} of ", has.len())), "{name}: {count}");
        check_shortage(world, name, &class, &has);
        check_ranking(world, name);
    }
    for name in bound.keys() {
        let known = world.services.contains_key(&("default".to_owned(), name.clone()));
        assert!(known || world.classes.is_empty(), "leaked by {name}");
    }
}

/// A Service that lacks an address could not have had one.
fn check_shortage(world: &World, name: &str, class: &str, has: &[IpAddr]) {
    let service = &world.services[&("default".to_owned(), name.to_owned())];
    let annotations = service.metadata.annotations.clone().unwrap_or_default();
    let request = lb_api::service::read(&annotations);
    let lb_api::service::Count::Number(count) = request.count else { return };
    let pool = pool_of(world, class);
    let spec = service.spec.clone().unwrap_or_default();
    let families = spec.ip_families.unwrap_or_default();
    let requires = spec.ip_family_policy.as_deref() == Some("RequireDualStack");
    let offered = |v4: bool| pool.iter().any(|address| address.is_ipv4() == v4);
    let nodes = world.plan().steps.is_empty() && !eligible(world).is_empty();
    if !nodes || (requires && !(offered(true) && offered(false))) {
        return;
    }
    for (word, v4) in [("IPv4", true), ("IPv6", false)] {
        if !families.iter().any(|listed| listed == word) {
            continue;
        }
        let of_family = has.iter().filter(|address| address.is_ipv4() == v4).count();
        let asked = if v4 { request.ipv4.len() } else { 0 };
        let automatic = (count as usize).saturating_sub(asked);
        let free = pool
            .iter()
            .filter(|address| address.is_ipv4() == v4)
            .map(ToString::to_string)
            // What a Service shows whose class is gone is for nobody, even if its VirtualIP is lost.
            .filter(|address| !world.is_shown(address))
            .filter(|address| world.vip(address).is_none_or(|vip| vip.spec.phase == Phase::Released))
            .count();
        assert!(of_family >= automatic || free == 0, "{name} has {of_family} of {count} {word}, {free} are free");
        assert!(of_family <= count as usize, "{name} has {of_family} of {count} {word}");
    }
}

fn eligible(world: &World) -> BTreeSet<String> {
    let excluded = lb_api::names::label::EXCLUDE;
    let nodes = world
        .nodes
        .iter()
        .filter(|(_, node)| !node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(excluded)));
    nodes.map(|((_, name), _)| name.clone()).collect()
}

/// Every address is ranked on all eligible nodes, and the addresses of a Service are spread.
fn check_ranking(world: &World, service: &str) {
    let eligible = eligible(world);
    let cordoned = |node: &String| {
        world.nodes[&(String::new(), node.clone())].spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true))
    };
    let active = match eligible.iter().filter(|node| !cordoned(node)).count() {
        0 => eligible.len(),
        active => active,
    };
    let mut primaries: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let mut indices = BTreeSet::new();
    for (claim, address) in world.bound().remove(service).unwrap_or_default() {
        let nodes = &world.vip(&address.to_string()).expect("bound").spec.nodes;
        assert_eq!(nodes.iter().cloned().collect::<BTreeSet<_>>(), eligible, "{address}");
        if let Some(primary) = nodes.first() {
            primaries.entry(primary.clone()).or_default().insert(claim.index);
            indices.insert(claim.index);
        }
    }
    for (node, own) in primaries {
        assert!(own.len() <= indices.len().div_ceil(active), "{service} has indices {own:?} of {indices:?} on {node}");
    }
}
