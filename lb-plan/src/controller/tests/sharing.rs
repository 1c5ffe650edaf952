//! Services that share an address: who may, who loses it when that changes (metallb.md section 3.5 and 10.3).

use k8s_openapi::api::core::v1::Service;
use lb_api::names::annotation;

use super::world::{World, annotate, dual, pairs, ports};
use crate::controller::{Action, Why};

const SHARED: &str = "metallb.io/allow-shared-ip";
const IPS: &str = "metallb.io/loadBalancerIPs";

fn world() -> World {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.pool("a", &["192.0.2.0/30", "2001:db8::/126"], |_| {});
    world.advertise("all", |_| {});
    world
}

fn shares(world: &mut World, service: &str, key: &str, port: i32) {
    world.service(service, |service| {
        annotate(service, SHARED, key);
        ports(service, &[("TCP", port)]);
    });
}

fn local(service: &mut Service, app: &str) {
    let spec = service.spec.get_or_insert_default();
    spec.external_traffic_policy = Some("Local".into());
    spec.selector = Some(pairs(&[("app", app)]));
}

fn claims(world: &World, address: &str) -> Vec<String> {
    let claims = world.vip(address).map(|vip| vip.spec.claims.clone()).unwrap_or_default();
    let mut names: Vec<String> = claims.into_iter().map(|claim| claim.name).collect();
    names.sort();
    names
}

#[test]
fn equal_keys_share_and_every_sharer_claims() {
    let mut world = world();
    for (name, key, port) in [("a", "x", 80), ("b", "x", 81), ("c", "x", 80), ("d", "y", 82)] {
        shares(&mut world, name, key, port);
    }
    world.service("e", |service| ports(service, &[("TCP", 90)]));
    world.settle();

    assert_eq!((world.shown("a"), world.shown("b")), (vec!["192.0.2.0".into()], vec!["192.0.2.0".into()]));
    assert_eq!(claims(&world, "192.0.2.0"), ["a", "b"]);
    assert_eq!(world.shown("c"), ["192.0.2.1"], "its port is in use");
    assert_eq!(world.shown("d"), ["192.0.2.2"], "another key");
    assert_eq!(world.shown("e"), ["192.0.2.3"], "no key");
    // A port of another protocol is another port.
    world.service("f", |service| {
        annotate(service, "metallb.universe.tf/allow-shared-ip", "x");
        ports(service, &[("UDP", 80)]);
    });
    world.settle();
    assert_eq!(claims(&world, "192.0.2.0"), ["a", "b", "f"]);

    // Who leaves leaves the others; the last one releases.
    world.delete_service("a");
    world.settle();
    assert_eq!(claims(&world, "192.0.2.0"), ["b", "f"]);
    world.delete_service("b");
    world.settle();
    let vip = world.vip("192.0.2.0").expect("bound");
    assert_eq!((vip.spec.claims.len(), vip.spec.claims[0].sharing.as_deref()), (1, None));
    world.delete_service("f");
    world.settle();
    assert!(world.bound().values().flatten().all(|(_, address)| address.to_string() != "192.0.2.0"));
}

#[test]
fn deckhouses_keys_share_in_a_class() {
    for key in [annotation::DECKHOUSE_SHARED_IP_KEY, annotation::DECKHOUSE_ALLOW_SHARED_IP] {
        let mut world = World::with(3, &["192.0.2.0/30"]);
        for (name, protocol) in [("tcp", "TCP"), ("udp", "UDP")] {
            world.service(name, |service| {
                annotate(service, key, "dns");
                ports(service, &[(protocol, 53)]);
            });
            world.count(name, "2");
        }
        world.settle();
        assert_eq!(world.shown("tcp"), ["192.0.2.0", "192.0.2.1"]);
        assert_eq!(world.shown("udp"), ["192.0.2.0", "192.0.2.1"]);
    }
}

#[test]
fn a_requested_address_is_shared_or_the_reason_is_told() {
    for (key, port, local_too, told) in [
        ("x", 81, false, None),
        ("x", 80, false, Some("192.0.2.3 cannot be given: Service default/a has it, and port 80/TCP is in use on it")),
        (
            "y",
            81,
            false,
            Some(
                "192.0.2.3 cannot be given: Service default/a has it, and its sharing key is `x`, and this Service's is `y`",
            ),
        ),
        ("x", 81, true, Some("Service default/a has it, and their externalTrafficPolicy differs")),
        ("", 81, false, Some("192.0.2.3 cannot be given: Service default/a has it")),
    ] {
        let mut world = world();
        shares(&mut world, "a", "x", 80);
        world.service("a", |service| annotate(service, IPS, "192.0.2.3"));
        world.settle();
        shares(&mut world, "b", key, port);
        world.service("b", |service| {
            annotate(service, IPS, "192.0.2.3");
            if local_too {
                local(service, "web");
            }
        });
        world.settle();
        match told {
            None => assert_eq!(claims(&world, "192.0.2.3"), ["a", "b"]),
            Some(part) => {
                assert_eq!(world.shown("b"), Vec::<String>::new());
                assert!(world.told(part), "{:#?}", world.notes());
                assert!(world.warnings().contains(&"AllocationFailed".to_owned()));
            }
        }
    }
}

/// MetalLB's "reconsiders sharing": the one that changed loses the address.
#[test]
fn who_changes_loses_the_address_and_may_come_back() {
    let mut world = world();
    for (name, port) in [("first", 80), ("second", 81)] {
        shares(&mut world, name, "x", port);
        world.service(name, |service| annotate(service, IPS, "192.0.2.0"));
    }
    world.settle();
    assert_eq!(claims(&world, "192.0.2.0"), ["first", "second"]);

    world.service("second", |service| local(service, "web"));
    world.settle();
    assert_eq!((world.shown("first"), world.shown("second")), (vec!["192.0.2.0".into()], vec![]));
    assert!(world.told("192.0.2.0 is taken away: the Service can not share it any more"));
    world.service("first", |service| local(service, "web"));
    world.settle();
    assert_eq!(claims(&world, "192.0.2.0"), ["first", "second"]);

    world.service("first", |service| local(service, "api"));
    world.settle();
    assert_eq!((world.shown("first"), world.shown("second")), (vec![], vec!["192.0.2.0".into()]));
    world.service("second", |service| local(service, "api"));
    world.settle();
    assert_eq!(claims(&world, "192.0.2.0"), ["first", "second"]);
    // Ports may change as long as they are nobody else's.
    world.service("first", |service| ports(service, &[("TCP", 8080)]));
    world.settle();
    assert_eq!(claims(&world, "192.0.2.0"), ["first", "second"]);
    world.service("first", |service| ports(service, &[("TCP", 81)]));
    world.settle();
    assert_eq!(claims(&world, "192.0.2.0"), ["second"]);
}

#[test]
fn alone_on_its_address_a_service_changes_its_key_in_place() {
    let mut world = world();
    shares(&mut world, "a", "x", 80);
    world.settle();
    shares(&mut world, "a", "y", 80);
    shares(&mut world, "b", "y", 81);
    world.settle();
    assert_eq!(claims(&world, "192.0.2.0"), ["a", "b"]);
}

#[test]
fn pairs_are_shared_as_pairs() {
    let mut world = world();
    for (name, port) in [("a", 80), ("b", 81)] {
        shares(&mut world, name, "x", port);
        world.service(name, |service| dual(service, "RequireDualStack"));
    }
    world.settle();
    assert_eq!(world.shown("a"), ["192.0.2.0", "2001:db8::"]);
    assert_eq!(world.shown("b"), ["192.0.2.0", "2001:db8::"]);
    // One that leaves the address for another one leaves the other sharer where it is.
    world.service("a", |service| annotate(service, IPS, "192.0.2.1,2001:db8::1"));
    world.settle();
    assert_eq!(world.shown("a"), ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(world.shown("b"), ["192.0.2.0", "2001:db8::"]);
}

/// By this the controller knows that it has to look at the Service itself before it takes the claim away.
#[test]
fn who_is_gone_from_a_shared_address_is_the_reason_for_the_write() {
    let gone: fn(&mut World) = |world| world.delete_service("b");
    let foreign: fn(&mut World) = |world| {
        world.service("b", |service| service.spec.get_or_insert_default().type_ = Some("ClusterIP".into()));
    };
    for (edit, why) in [(gone, Why::ServiceGone), (foreign, Why::NotOurs)] {
        let mut world = world();
        for (name, port) in [("a", 80), ("b", 81), ("c", 82)] {
            shares(&mut world, name, "x", port);
            world.settle();
        }
        assert_eq!(claims(&world, "192.0.2.0"), ["a", "b", "c"]);
        edit(&mut world);
        // Somebody who joins at the same time makes no other reason of it.
        shares(&mut world, "d", "x", 83);
        let steps = world.plan().steps;
        let whys: Vec<Why> =
            steps.iter().filter(|step| matches!(step.action, Action::Update(_))).map(|step| step.why).collect();
        assert_eq!(whys, [why]);
        world.settle();
        assert_eq!(claims(&world, "192.0.2.0"), ["a", "c", "d"]);
    }
}
