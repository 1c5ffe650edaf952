//! Random histories: edits, restarts with a part of the steps applied, writes that are refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::SignedDuration;
use lb_api::{
    names::{annotation, condition},
    virtual_ip::Phase,
};
use proptest::prelude::*;

use super::world::{World, annotate, dual, family};

const POOLS: [&[&str]; 4] = [
    &["192.0.2.0/28", "2001:db8::/124"],
    &["192.0.2.4-192.0.2.9", "2001:db8::4-2001:db8::9"],
    &["192.0.2.0/28"],
    &["192.0.2.1-192.0.2.3", "broken"],
];

#[derive(Debug, Clone)]
enum Edit {
    Service { number: usize, count: u32, dual: usize, class: usize },
    Count { number: usize, count: u32 },
    Request { number: usize, last: Vec<u8> },
    Foreign(usize),
    Delete(usize),
    Node { number: usize, kind: usize },
    RemoveNode(usize),
    Pool { class: usize, pool: usize },
    RemoveClass(usize),
    RemoveVip(usize),
    Wait(i64),
}

/// How far the controller gets after an edit before it is killed, and which of its writes are refused.
#[derive(Debug, Clone)]
struct Fate {
    applied: Option<usize>,
    refused: BTreeSet<usize>,
}

fn edit() -> impl Strategy<Value = Edit> {
    let (service, class) = (0_usize..5, 0_usize..2);
    prop_oneof![
        4 => (service.clone(), 1_u32..6, 0_usize..3, 0_usize..3)
            .prop_map(|(number, count, dual, class)| Edit::Service { number, count, dual, class }),
        4 => (service.clone(), 1_u32..6).prop_map(|(number, count)| Edit::Count { number, count }),
        2 => (service.clone(), prop::collection::vec(0_u8..16, 0..4)).prop_map(|(number, last)| Edit::Request { number, last }),
        1 => service.clone().prop_map(Edit::Foreign),
        3 => service.prop_map(Edit::Delete),
        3 => (0_usize..5, 0_usize..3).prop_map(|(number, kind)| Edit::Node { number, kind }),
        2 => (0_usize..5).prop_map(Edit::RemoveNode),
        3 => (class.clone(), 0_usize..POOLS.len()).prop_map(|(class, pool)| Edit::Pool { class, pool }),
        1 => class.prop_map(Edit::RemoveClass),
        1 => (0_usize..16).prop_map(Edit::RemoveVip),
        2 => prop_oneof![Just(1_i64), Just(61), Just(3700)].prop_map(Edit::Wait),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    (prop::option::of(0_usize..6), prop::collection::btree_set(0_usize..8, 0..3))
        .prop_map(|(applied, refused)| Fate { applied, refused })
}

fn service_name(number: usize) -> String {
    format!("web-{number}")
}

fn class_name(number: usize) -> String {
    format!("class-{number}")
}

impl Edit {
    fn make(&self, world: &mut World) {
        match self {
            Self::Service { number, count, dual: policy, class } => {
                world.service(&service_name(*number), |service| {
                    service.spec.get_or_insert_default().load_balancer_class = None;
                    match policy {
                        1 => dual(service, "PreferDualStack"),
                        2 => dual(service, "RequireDualStack"),
                        _ => {}
                    }
                    if *class < 2 {
                        annotate(service, annotation::DECKHOUSE_CLASS, &class_name(*class));
                    }
                });
                world.count(&service_name(*number), &count.to_string());
            }
            Self::Count { number, count } => world.count(&service_name(*number), &count.to_string()),
            Self::Request { number, last } => {
                let list: Vec<String> = last.iter().map(|last| format!("192.0.2.{last}")).collect();
                world.service(&service_name(*number), |service| {
                    annotate(service, annotation::DECKHOUSE_IPS, &list.join(","));
                });
            }
            Self::Foreign(number) => world.service(&service_name(*number), |service| {
                service.spec.get_or_insert_default().load_balancer_class = Some("foreign".into());
            }),
            Self::Delete(number) => world.delete_service(&service_name(*number)),
            Self::Node { number, kind } => world.node(*number, |node| match kind {
                1 => node.spec.get_or_insert_default().unschedulable = Some(true),
                2 => {
                    let label = lb_api::names::label::EXCLUDE.to_owned();
                    node.metadata.labels.get_or_insert_default().insert(label, String::new());
                }
                _ => {}
            }),
            Self::RemoveNode(number) => {
                world.nodes.remove(&(String::new(), format!("node-{number}")));
            }
            Self::Pool { class, pool } => world.class(&class_name(*class), POOLS[*pool], *class == 0),
            Self::RemoveClass(class) => {
                world.classes.remove(&(String::new(), class_name(*class)));
            }
            Self::RemoveVip(number) => {
                let name = world.vips.keys().nth(*number).cloned();
                name.and_then(|name| world.vips.remove(&name));
            }
            Self::Wait(seconds) => {
                world.now = world.now.checked_add(SignedDuration::from_secs(*seconds)).expect("in range");
            }
        }
    }

    /// The Service that the edit is about; `None` if it is about more than one.
    fn about(&self) -> Option<String> {
        match self {
            Self::Service { number, .. }
            | Self::Count { number, .. }
            | Self::Request { number, .. }
            | Self::Foreign(number)
            | Self::Delete(number) => Some(service_name(*number)),
            Self::Node { .. } | Self::RemoveNode(_) | Self::Wait(_) => Some(String::new()),
            Self::Pool { .. } | Self::RemoveClass(_) | Self::RemoveVip(_) => None,
        }
    }
}

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
fn check(world: &World) {
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
            .filter(|address| world.vip(&address.to_string()).is_none_or(|vip| vip.spec.phase == Phase::Released))
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

/// Addresses of Services that the edit was not about stay.
fn check_unmoved(before: &World, after: &World, about: &str) {
    for (name, held) in before.bound() {
        let there = after.services.contains_key(&("default".to_owned(), name.clone()));
        if name == about || !there {
            continue;
        }
        let now: BTreeSet<_> = after.bound().remove(&name).into_iter().flatten().collect();
        for (claim, address) in held {
            // A Service whose own request was waiting for this address may exchange one of its own for it.
            let asks = after.services[&("default".to_owned(), name.clone())]
                .metadata
                .annotations
                .as_ref()
                .is_some_and(|all| all.contains_key(annotation::DECKHOUSE_IPS));
            assert!(asks || now.contains(&(claim.clone(), address)), "{name} lost {address} ({:?})", family(&address));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whenever_it_is_quiet_no_address_is_doubled_leaked_or_moved(history in prop::collection::vec((edit(), fate()), 1..24)) {
        let mut world = World::new();
        for number in 0..3 {
            world.node(number, |_| {});
        }
        world.class(&class_name(0), POOLS[0], true);
        world.class(&class_name(1), POOLS[1], false);
        for (edit, fate) in history {
            let before = world.clone();
            edit.make(&mut world);
            // A pass that is cut short and refused in parts; then a new controller.
            for (number, step) in world.plan().steps.iter().enumerate().take(fate.applied.unwrap_or(usize::MAX)) {
                if !fate.refused.contains(&number) {
                    world.apply(&step.action);
                }
            }
            world.settle();
            check(&world);
            if let Some(about) = edit.about() {
                check_unmoved(&before, &world, &about);
            }
        }
    }

    /// Where a controller is killed makes no difference to who has which address. Rankings depend on the rankings before
    /// them, and so on which of two plans made them.
    #[test]
    fn a_kill_between_any_two_steps_ends_the_same(edits in prop::collection::vec(edit(), 1..12), last in edit(), cut in 0_usize..12) {
        let mut world = World::new();
        for number in 0..3 {
            world.node(number, |_| {});
        }
        world.class(&class_name(0), POOLS[0], true);
        world.class(&class_name(1), POOLS[1], false);
        for edit in edits {
            edit.make(&mut world);
            world.settle();
        }
        last.make(&mut world);
        let mut killed = world.clone();
        for step in world.plan().steps.iter().take(cut) {
            killed.apply(&step.action);
        }
        world.settle();
        killed.settle();
        prop_assert_eq!(world.bound(), killed.bound());
    }
}
