//! Deckhouse's pools for BGP: a MetalLoadBalancerPool gives its addresses as the IPAddressPool that Deckhouse renders from
//! it does, and messages name the object that the user wrote (deckhouse.md sections 3.1 and 10.2).

use lb_api::names::annotation;

use proptest::prelude::*;

use super::{
    pool_histories,
    world::{World, annotate, dual, pairs},
};
use crate::controller::Action;

const POOL: &str = "network.deckhouse.io/load-balancer-pool";

/// Three nodes, the pool `edge`, and nothing of MetalLB's.
fn world() -> World {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.deckhouse_pool("edge", &["192.0.2.0/30"], |_| {});
    world
}

fn asks(world: &mut World, service: &str, pool: &str) {
    world.service(service, |service| annotate(service, POOL, pool));
}

fn pool_of(world: &World, address: &str) -> String {
    world.vip(address).map(|vip| vip.spec.pool.clone()).unwrap_or_default()
}

/// The notes of Events on MetalLoadBalancerPools.
fn on_pools(world: &World) -> Vec<String> {
    let regarding = |event: &k8s_openapi::api::events::v1::Event| {
        event.regarding.as_ref().and_then(|object| object.kind.clone()) == Some("MetalLoadBalancerPool".into())
    };
    let events = world.events.values().filter(|event| regarding(event));
    events.filter_map(|event| event.note.clone()).collect()
}

#[test]
fn a_pool_of_deckhouses_gives_its_lowest_free_address() {
    let mut world = world();
    for service in ["a", "b"] {
        world.service(service, |_| {});
        world.settle();
    }
    assert_eq!((world.shown("a"), world.shown("b")), (vec!["192.0.2.0".to_owned()], vec!["192.0.2.1".to_owned()]));
    // The agents look it up by this name (BGP), and no node is ranked to answer on its segment.
    assert_eq!(
        (pool_of(&world, "192.0.2.0"), world.primary("192.0.2.0")),
        ("metallb-system/edge".into(), String::new())
    );
    assert!(world.states.is_empty(), "MetalLB's ConfigurationState is for who has MetalLB's objects");
    assert_eq!(world.warnings(), [""; 0]);
}

#[test]
fn a_pool_of_deckhouses_that_does_not_assign_is_for_who_asks() {
    let mut world = world();
    world.deckhouse_pool("edge", &["192.0.2.0/30"], |pool| pool.spec.auto_assign = false);
    world.service("any", |_| {});
    asks(&mut world, "web", "edge");
    world.settle();
    assert_eq!((world.shown("any"), world.shown("web")), (vec![], vec!["192.0.2.0".to_owned()]));
    assert!(world.told("no available IPs: no MetalLoadBalancerPool with autoAssign is for this Service"));
}

#[test]
fn a_pool_of_deckhouses_avoids_what_it_says() {
    let mut world = world();
    world.deckhouse_pool("edge", &["192.0.2.0/30"], |pool| pool.spec.avoid_buggy_ips = true);
    world.service("web", |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.1"]);
}

#[test]
fn the_annotation_for_a_pool_of_deckhouses_wins_and_may_change() {
    let mut world = world();
    world.deckhouse_pool("core", &["203.0.113.0/30"], |_| {});
    world.service("web", |service| annotate(service, annotation::METALLB_POOL[0], "edge"));
    asks(&mut world, "web", "core");
    world.settle();
    assert_eq!(world.shown("web"), ["203.0.113.0"]);
    asks(&mut world, "web", "edge");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
    // It comes before a default class, as MetalLB's does.
    world.class("main", &["198.51.100.0/30"], true);
    asks(&mut world, "api", "core");
    world.settle();
    assert_eq!((world.shown("api"), world.bound_to("api")), (vec!["203.0.113.1".to_owned()], None));
}

#[test]
fn an_unknown_pool_of_deckhouses_is_told_and_moves_nothing() {
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    asks(&mut world, "web", "egde");
    asks(&mut world, "new", "egde");
    world.settle();
    assert_eq!((world.shown("web"), world.shown("new")), (vec!["192.0.2.0".to_owned()], vec![]));
    assert!(world.told(
        "metadata.annotations[network.deckhouse.io/load-balancer-pool]: unknown pool `egde`: write the name of a \
         MetalLoadBalancerPool"
    ));
}

#[test]
fn requested_addresses_are_in_a_pool_of_deckhouses_or_the_message_names_it() {
    let mut world = world();
    world.deckhouse_pool("core", &["203.0.113.0/30"], |_| {});
    asks(&mut world, "good", "core");
    world.service("good", |service| annotate(service, annotation::DECKHOUSE_IPS, "203.0.113.2"));
    asks(&mut world, "bad", "core");
    world.service("bad", |service| annotate(service, annotation::DECKHOUSE_IPS, "192.0.2.2"));
    world.service("nowhere", |service| annotate(service, annotation::DECKHOUSE_IPS, "9.9.9.9"));
    world.settle();
    assert_eq!((world.shown("good"), world.shown("bad")), (vec!["203.0.113.2".to_owned()], vec![]));
    assert!(world.told(
        "192.0.2.2 cannot be given: it is in MetalLoadBalancerPool `edge`, and the Service asks for \
         MetalLoadBalancerPool `core`"
    ));
    assert!(world.told("9.9.9.9 cannot be given: no MetalLoadBalancerPool contains it"));
}

#[test]
fn a_full_pool_of_deckhouses_is_told_by_its_kind() {
    let mut world = world();
    world.deckhouse_pool("edge", &["192.0.2.0/32"], |_| {});
    world.service("a", |_| {});
    world.settle();
    world.service("b", |_| {});
    world.settle();
    assert!(world.told("no IPv4 address is left in any MetalLoadBalancerPool that the Service may use"));
    world.pool("more", &["203.0.113.0/32"], |pool| pool.spec.auto_assign = false);
    world.service("c", |service| dual(service, "RequireDualStack"));
    world.settle();
    assert!(world.told("no IPAddressPool or MetalLoadBalancerPool that the Service may use has IPv4 and IPv6 left"));
}

#[test]
fn what_is_wrong_with_a_pool_of_deckhouses_is_told_on_it_and_the_rest_of_it_works() {
    let mut world = world();
    world.pool("alpha", &["203.0.113.0/30"], |_| {});
    world.deckhouse_pool("edge", &["192.0.2.9-192.0.2.1", "192.0.2.8/30", "203.0.113.2/32"], |pool| {
        pool.metadata.annotations = Some(pairs(&[("lb.herald.dev/failback", "never")]));
    });
    asks(&mut world, "web", "edge");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.8"]);
    let mut told = on_pools(&world);
    told.sort();
    assert_eq!(
        told,
        [
            "metadata.annotations[lb.herald.dev/failback]: is not read on a MetalLoadBalancerPool: it is for layer 2, and \
             these addresses are announced with BGP",
            "spec.addresses: 203.0.113.2 overlaps with already defined CIDR 203.0.113.0-203.0.113.3 of IPAddressPool \
             `alpha`: each address is given once",
            "spec.addresses[0]: `192.0.2.9-192.0.2.1` is reversed: write `192.0.2.1-192.0.2.9`",
        ]
    );
    // An IPAddressPool that comes later by name hears of it in its turn.
    world.pool("zulu", &["192.0.2.8/32"], |_| {});
    world.settle();
    assert!(world.told("of MetalLoadBalancerPool `edge`: each address is given once"));
}

/// Deckhouse has rendered IPAddressPools of the same names; they go with its module, the addresses stay.
#[test]
fn a_pool_of_deckhouses_follows_the_one_that_deckhouse_rendered() {
    let mut world = world();
    world.pool("edge", &["192.0.2.0/30"], |_| {});
    world.service("web", |_| {});
    world.settle();
    assert_eq!((world.shown("web"), world.warnings()), (vec!["192.0.2.0".to_owned()], vec![]));
    let before = world.vips.clone();
    world.remove_pool("edge");
    world.settle();
    assert_eq!((world.shown("web"), &world.vips), (vec!["192.0.2.0".to_owned()], &before));
    // One that says otherwise is used, and that is told.
    world.pool("edge", &["198.51.100.0/30"], |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["198.51.100.0"]);
    assert_eq!(
        on_pools(&world),
        [
            "metadata.name: IPAddressPool `edge` in namespace metallb-system has the name too, says otherwise, and is used: \
          remove it, or give this pool another name"
        ]
    );
}

#[test]
fn a_pool_of_deckhouses_that_changes_or_goes_is_as_an_ip_address_pool() {
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    // The last one: it may be on its way.
    world.remove_deckhouse_pool("edge");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
    // One that cannot be read, beside another that can.
    world.deckhouse_pool("core", &["203.0.113.0/30"], |_| {});
    world.doubts.ip_address_pools.insert("metallb-system", "edge");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
    world.doubts.ip_address_pools = crate::controller::Doubt::default();
    world.settle();
    assert_eq!(world.shown("web"), ["203.0.113.0"]);
    assert!(world.told("192.0.2.0 is taken away: it is not in any MetalLoadBalancerPool that the Service may use"));
}

#[test]
fn beside_metallb_pools_of_deckhouses_are_not_read() {
    let mut world = world();
    world.configuration.reads_metallb = false;
    world.service("web", |_| {});
    world.settle();
    assert!(world.vips.is_empty() && world.events.is_empty(), "{:?}", world.notes());
}

#[test]
fn nothing_is_written_on_a_pool_of_deckhouses() {
    let mut world = world();
    world.service("web", |_| {});
    for _ in 0..4 {
        for step in world.plan().steps {
            assert!(!matches!(step.action, Action::WritePoolStatus(_) | Action::CreateState(_)), "{step:?}");
            world.apply(&step.action);
        }
    }
    assert_eq!(world.plan().steps, []);
}

/// The same world with each IPAddressPool for everybody written as Deckhouse has it.
fn rewritten(world: &World) -> World {
    let mut other = world.clone();
    other.pools.retain(|_, pool| pool.spec.service_allocation.is_some());
    for pool in world.pools.values().filter(|pool| pool.spec.service_allocation.is_none()) {
        let addresses: Vec<&str> = pool.spec.addresses.iter().map(String::as_str).collect();
        let name = pool.metadata.name.clone().unwrap_or_default();
        other.deckhouse_pool(&name, &addresses, |object| object.spec.auto_assign = pool.spec.auto_assign);
    }
    other
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pools_of_deckhouses_give_what_ip_address_pools_give(
        edits in prop::collection::vec(pool_histories::edit(), 1..16),
    ) {
        let mut world = pool_histories::start();
        for edit in &edits {
            edit.make(&mut world);
            let mut other = rewritten(&world);
            world.settle();
            other.settle();
            prop_assert_eq!(&world.bound(), &other.bound());
            for (namespace, service) in world.services.keys() {
                prop_assert_eq!(world.shown_in(namespace, service), other.shown_in(namespace, service));
            }
        }
    }
}
