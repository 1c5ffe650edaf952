//! What a user reads on a Service that does not get what it asks for, word for word: the rows of metallb.md sections 3 and 6
//! and of deckhouse.md section 15 that no other test quotes.

use k8s_openapi::api::core::v1::Service;
use lb_api::names::{annotation, condition};

use super::world::{World, annotate, dual, pairs, ports};

fn world() -> World {
    World::with(3, &["192.0.2.100-192.0.2.109"])
}

fn asks(world: &mut World, service: &str, list: &str) {
    world.service(service, |service| annotate(service, annotation::DECKHOUSE_IPS, list));
}

/// On the condition that says what is wrong, and in an Event.
#[track_caller]
fn told(world: &World, service: &str, message: &str) {
    let invalid = world.condition(service, condition::INVALID).map(|condition| condition.message);
    assert!(invalid.as_ref().is_some_and(|text| text.contains(message)), "{message:?} is not in {invalid:?}");
    assert!(world.told(message), "{:?}", world.notes());
}

/// Deckhouse ignores surplus entries silently.
#[test]
fn more_addresses_than_the_count_are_told() {
    let mut world = world();
    asks(&mut world, "web", "192.0.2.105,192.0.2.106");
    world.settle();

    assert_eq!(world.shown("web"), ["192.0.2.105"]);
    told(&world, "web", "192.0.2.106 cannot be given: the Service has only 1 addresses: raise the count");
}

#[test]
fn an_address_that_somebody_took_by_hand_is_told() {
    let mut world = world();
    asks(&mut world, "other", "192.0.2.105");
    world.settle();
    // A VirtualIP without claims is nobody's Service's.
    let vip = world.vip("192.0.2.105").cloned().expect("given");
    world.delete_service("other");
    world.by_hand(vip);
    asks(&mut world, "web", "192.0.2.105");
    world.settle();

    assert_eq!(world.shown("web"), [""; 0]);
    told(&world, "web", "192.0.2.105 cannot be given: a VirtualIP that Herald did not make has it");
    world.service("web", |service| annotate(service, annotation::DECKHOUSE_SHARED_IP_KEY, "key"));
    world.settle();
    told(&world, "web", "a VirtualIP that Herald did not make has it, and it is not one of Herald's");
}

/// The other Service's class is gone, so nothing is known of what it may share.
#[test]
fn an_address_of_a_service_that_cannot_be_judged_is_told() {
    let mut world = world();
    world.class("lost", &["192.0.2.100-192.0.2.109"], false);
    world.service("other", |service| {
        annotate(service, annotation::DECKHOUSE_CLASS, "lost");
        annotate(service, annotation::DECKHOUSE_SHARED_IP_KEY, "key");
    });
    asks(&mut world, "other", "192.0.2.105");
    world.settle();
    world.classes.remove(&(String::new(), "lost".to_owned()));
    world.service("web", |service| annotate(service, annotation::DECKHOUSE_SHARED_IP_KEY, "key"));
    asks(&mut world, "web", "192.0.2.105");
    world.settle();

    assert_eq!(world.shown("web"), [""; 0]);
    told(&world, "web", "Service default/other has it, and who has it cannot be judged now");
}

#[test]
fn a_pool_that_lacks_a_required_family_is_told_with_what_to_add() {
    let mut world = world();
    world.service("web", |service| dual(service, "RequireDualStack"));
    world.settle();

    assert_eq!(world.shown("web"), [""; 0]);
    told(&world, "web", "the pool of class `main` has no IPv6: add such a range to its addressPool");
}

/// MetalLB's pools `a` and `b`, each of both families, and an advertisement of all.
fn pools() -> World {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.pool("a", &["192.0.2.0/30", "2001:db8::/126"], |_| {});
    world.pool("b", &["198.51.100.0/30", "2001:db8:1::/126"], |_| {});
    world.advertise("all", |_| {});
    world
}

/// Why two Services cannot be together on an address that both ask for.
#[test]
fn each_reason_against_sharing_is_told_to_who_asks_for_the_address() {
    type Edit = fn(&mut Service);
    const KEY: &str = annotation::METALLB_SHARED_IP[0];
    let cases: [(Edit, Edit, &str); 5] = [
        (|_| {}, |_| {}, "Service default/other has it"),
        (|other| annotate(other, KEY, "x"), |_| {}, "Service default/other has it"),
        (|_| {}, |web| annotate(web, KEY, "x"), "Service default/other has it, and that Service has no sharing key"),
        (
            |other| annotate(other, KEY, "y"),
            |web| annotate(web, KEY, "x"),
            "Service default/other has it, and its sharing key is `y`, and this Service's is `x`",
        ),
        (
            |other| {
                annotate(other, KEY, "x");
                other.spec.get_or_insert_default().external_traffic_policy = Some("Local".into());
                other.spec.get_or_insert_default().selector = Some(pairs(&[("app", "other")]));
            },
            |web| annotate(web, KEY, "x"),
            "Service default/other has it, and their externalTrafficPolicy differs, or it is Local and their selectors differ",
        ),
    ];
    let ask = |service: &mut Service, port: i32| {
        annotate(service, annotation::METALLB_IPS[0], "192.0.2.1");
        ports(service, &[("TCP", port)]);
    };
    for (first, second, message) in cases {
        let mut world = pools();
        world.service("other", |service| {
            ask(service, 80);
            first(service);
        });
        world.settle();
        world.service("web", |service| {
            ask(service, 81);
            second(service);
        });
        world.settle();
        told(&world, "web", &format!("192.0.2.1 cannot be given: {message}"));
        assert_eq!((world.shown("other"), world.shown("web")), (vec!["192.0.2.1".to_owned()], vec![]), "{message}");
    }
    let mut world = pools();
    for name in ["other", "web"] {
        world.service(name, |service| {
            ask(service, 80);
            annotate(service, KEY, "x");
        });
        world.settle();
    }
    told(&world, "web", "192.0.2.1 cannot be given: Service default/other has it, and port 80/TCP is in use on it");
}

#[test]
fn requested_addresses_of_two_pools_are_told() {
    let mut world = pools();
    world.service("web", |service| {
        dual(service, "RequireDualStack");
        annotate(service, annotation::METALLB_IPS[0], "192.0.2.1,2001:db8:1::1");
    });
    world.settle();
    assert_eq!(world.shown("web").len(), 1, "the first of them");
    told(&world, "web", "2001:db8:1::1 cannot be given: both addresses of a dual-stack Service come from one pool");
}

#[test]
fn a_count_that_no_service_can_have_is_told() {
    let mut world = pools();
    world.count("web", "5000");
    world.settle();
    told(
        &world,
        "web",
        "metadata.annotations[lb.herald.dev/ip-count]: 5000 is more than 4096, the most that a Service can have; that is used",
    );
}

#[test]
fn an_unknown_class_is_told_with_what_is_used_instead() {
    let unknown = "metadata.annotations[network.deckhouse.io/metal-load-balancer-class]: there is no \
        MetalLoadBalancerClass `lost`: write the name of one that exists; ";
    for (mut world, instead) in [(world(), "`main` is used"), (pools(), "pools are used")] {
        world.service("web", |service| annotate(service, annotation::DECKHOUSE_CLASS, "lost"));
        world.settle();
        told(&world, "web", &format!("{unknown}{instead}"));
    }
    let mut world = world();
    world.class("main", &["192.0.2.100-192.0.2.109"], false);
    world.service("web", |service| annotate(service, annotation::DECKHOUSE_CLASS, "lost"));
    world.settle();
    told(&world, "web", &format!("{unknown}there is no default class"));
}

#[test]
fn a_class_that_went_is_told_to_who_is_bound_to_it() {
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    world.class("other", &["198.51.100.0/30"], true);
    world.classes.remove(&(String::new(), "main".to_owned()));
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.100"]);
    told(
        &world,
        "web",
        "status.conditions[network.deckhouse.io/load-balancer-class]: the MetalLoadBalancerClass `main` that the Service is \
         bound to is gone: make it again, or make the Service again; its addresses stay as they are and it gets no others",
    );
}

#[test]
fn a_required_family_says_what_else_would_do() {
    let mut world = world();
    world.service("web", |service| dual(service, "RequireDualStack"));
    world.settle();
    told(&world, "web", "has no IPv6: add such a range to its addressPool, or write PreferDualStack");
    let mut world = pools();
    world.pool("a", &["192.0.2.0/30"], |_| {});
    world.pool("b", &["198.51.100.0/30"], |_| {});
    world.service("web", |service| dual(service, "RequireDualStack"));
    world.settle();
    assert!(world.told("no available IPs: no IPAddressPool that the Service may use has IPv4 and IPv6 left"));
}
