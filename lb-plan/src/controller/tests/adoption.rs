//! What Services show when Herald first sees them: adopted without moving one address.

use lb_api::names::{annotation, condition};

use super::world::{World, annotate, dual, ports};

const SHARED: &str = "metallb.io/allow-shared-ip";

/// MetalLB's objects, and nothing of Herald's.
fn metallb() -> World {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.pool("a", &["192.0.2.0/28", "2001:db8::/124"], |_| {});
    world.advertise("all", |_| {});
    world
}

fn condition_of(world: &World, service: &str) -> (String, String) {
    let adopted = world.condition(service, condition::ADOPTED).expect("it is marked");
    assert_eq!(adopted.status, "True");
    (adopted.reason, adopted.message)
}

#[test]
fn two_hundred_services_of_metallb_keep_their_addresses() {
    let mut world = metallb();
    world.pool("big", &["198.51.100.0/24", "2001:db8:1::/120"], |_| {});
    // Not in the order in which Herald would have given them; dual-stack and shared ones among them.
    for number in 0..200_u32 {
        let name = format!("web-{number}");
        let (last, port) = (255 - number, i32::try_from(number).expect("small"));
        let v4 = format!("198.51.100.{}", if number % 5 == 1 { last + 1 } else { last });
        world.service(&name, |service| {
            annotate(service, SHARED, "key");
            annotate(service, "metallb.io/ip-allocated-from-pool", "big");
            ports(service, &[("TCP", 1000 + port)]);
            if number % 3 == 0 {
                dual(service, "PreferDualStack");
            }
        });
        let v6 = format!("2001:db8:1::{last:x}");
        match number % 3 {
            0 => world.show(&name, &[&v4, &v6]),
            _ => world.show(&name, &[&v4]),
        }
    }
    let before: Vec<Vec<String>> = (0..200).map(|number| world.shown(&format!("web-{number}"))).collect();
    world.settle();
    let after: Vec<Vec<String>> = (0..200).map(|number| world.shown(&format!("web-{number}"))).collect();
    assert_eq!(before, after);
    assert!(!world.reasons().contains(&"IPAllocated".to_owned()), "nothing was assigned");
    assert!(world.warnings().is_empty(), "{:?}", world.notes());
    assert!(world.services.values().all(|service| {
        let conditions = service.status.clone().and_then(|status| status.conditions).unwrap_or_default();
        conditions.iter().all(|condition| condition.type_ != condition::ADOPTED)
    }));
}

#[test]
fn three_addresses_each_of_deckhouse_stay_in_their_order() {
    let mut world = World::with(3, &["192.0.2.0/24"]);
    for number in 0..20_u32 {
        let name = format!("web-{number}");
        world.service(&name, |service| annotate(service, annotation::DECKHOUSE_IP_COUNT, "3"));
        let list: Vec<String> = [7, 3, 9].iter().map(|last| format!("192.0.2.{}", last + 10 * number)).collect();
        world.show(&name, &list.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let before: Vec<Vec<String>> = (0..20).map(|number| world.shown(&format!("web-{number}"))).collect();
    world.settle();
    let after: Vec<Vec<String>> = (0..20).map(|number| world.shown(&format!("web-{number}"))).collect();
    assert_eq!(before, after);
    assert_eq!(world.vips.len(), 60);
}

#[test]
fn an_address_of_no_pool_is_kept_and_marked() {
    let mut world = metallb();
    world.service("web", |_| {});
    world.show("web", &["203.0.113.7"]);
    world.service("class", |service| annotate(service, annotation::DECKHOUSE_CLASS, "main"));
    world.show("class", &["203.0.113.8"]);
    world.class("main", &["10.0.0.0/24"], false);
    world.settle();

    assert_eq!((world.shown("web"), world.shown("class")), (vec!["203.0.113.7".into()], vec!["203.0.113.8".into()]));
    for (service, address) in [("web", "203.0.113.7"), ("class", "203.0.113.8")] {
        let (reason, message) = condition_of(&world, service);
        assert_eq!(reason, condition::OUTSIDE_POOLS);
        assert_eq!(
            message,
            format!("kept, because the Service had it already: no pool that the Service may use contains {address}")
        );
        assert_eq!(world.vip(address).map(|vip| (vip.spec.pool.as_str(), vip.spec.nodes.len())), Some(("", 3)));
    }
    // A pool that contains it heals it; from then on an edit clears it.
    world.pool("b", &["203.0.113.0/28"], |_| {});
    world.settle();
    assert_eq!(world.condition("web", condition::ADOPTED), None);
    assert_eq!(world.vip("203.0.113.7").map(|vip| vip.spec.pool.as_str()), Some("metallb-system/b"));
    world.pool("b", &["203.0.113.0/30"], |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
    assert_eq!(world.shown("class"), ["203.0.113.8"]);
}

#[test]
fn services_that_share_against_the_rules_stay_together_until_one_changes() {
    let mut world = metallb();
    for name in ["a", "b"] {
        world.service(name, |service| ports(service, &[("TCP", 80)]));
        world.show(name, &["192.0.2.9"]);
    }
    world.settle();
    assert_eq!((world.shown("a"), world.shown("b")), (vec!["192.0.2.9".into()], vec!["192.0.2.9".into()]));
    let (reason, message) = condition_of(&world, "a");
    assert_eq!(reason, condition::SHARED_AGAINST_RULES);
    assert_eq!(
        message,
        "kept, because the Service had it already: 192.0.2.9 is shared with Service default/b, and this Service has no \
         sharing key"
    );
    // An edit that has nothing to do with sharing changes nothing; one that has takes it from who was edited.
    world.service("b", |service| annotate(service, "example.com/colour", "blue"));
    world.settle();
    assert_eq!(world.shown("b"), ["192.0.2.9"]);
    world.service("b", |service| ports(service, &[("TCP", 80), ("TCP", 81)]));
    world.settle();
    assert_eq!((world.shown("a"), world.shown("b")), (vec!["192.0.2.9".into()], vec!["192.0.2.0".into()]));
    assert_eq!(world.condition("a", condition::ADOPTED), None);
}

#[test]
fn a_lost_state_comes_back_as_it_was() {
    let mut world = metallb();
    world.class("main", &["10.0.0.0/24"], true);
    for number in 0..4 {
        world.service(&format!("class-{number}"), |_| {});
        world.count(&format!("class-{number}"), "2");
        world.service(&format!("pool-{number}"), |service| {
            annotate(service, "metallb.io/address-pool", "a");
            annotate(service, SHARED, "key");
            ports(service, &[("TCP", 80 + number / 2)]);
            dual(service, "RequireDualStack");
        });
        world.settle();
    }
    world.delete_service("class-0");
    world.settle();
    let before = world.bound();
    world.vips.clear();
    world.settle();
    assert_eq!(world.bound(), before);
}

#[test]
fn what_is_no_address_for_a_service_is_replaced() {
    for shown in [&["127.0.0.1"][..], &["not-an-address"], &["2001:db8::3"], &["0.0.0.0"], &["224.0.0.1"]] {
        let mut world = metallb();
        world.service("web", |_| {});
        world.show("web", shown);
        world.settle();
        assert_eq!(world.shown("web"), ["192.0.2.0"], "{shown:?}");
    }
}

#[test]
fn nobody_is_adopted_who_is_not_ours_or_whose_pools_are_not_there_yet() {
    let mut world = metallb();
    world.service("foreign", |service| {
        service.spec.get_or_insert_default().load_balancer_class = Some("example.com/other".into());
    });
    world.show("foreign", &["192.0.2.3"]);
    world.settle();
    assert!(world.vips.is_empty());

    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.service("web", |_| {});
    world.show("web", &["192.0.2.3"]);
    assert_eq!(world.plan().steps, []);
}

#[test]
fn who_shows_an_address_has_it_before_who_asks_for_it() {
    let mut world = metallb();
    world.service("asks", |service| annotate(service, "metallb.io/loadBalancerIPs", "192.0.2.5"));
    world.service("shows", |_| {});
    world.show("shows", &["192.0.2.5"]);
    world.settle();
    assert_eq!((world.shown("asks"), world.shown("shows")), (vec![], vec!["192.0.2.5".into()]));
    assert!(world.told("192.0.2.5 cannot be given: Service default/shows has it"));
}
