//! Release and quarantine, pools that change or overlap, VirtualIPs that disappear, Events that grow old.

use jiff::SignedDuration;
use lb_api::{names::annotation, virtual_ip::Phase};

use super::world::{World, annotate};

fn world() -> World {
    World::with(3, &["192.0.2.100-192.0.2.109", "2001:db8::100-2001:db8::109"])
}

fn later(world: &mut World, seconds: i64) {
    world.now = world.now.checked_add(SignedDuration::from_secs(seconds)).expect("in range");
}

#[test]
fn a_deleted_services_address_waits_out_its_quarantine() {
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    let primary = world.primary("192.0.2.100");
    world.delete_service("web");
    world.settle();
    assert_eq!(world.vip("192.0.2.100").map(|vip| vip.spec.phase), Some(Phase::Released));

    // Nobody else gets it, its former owner does, on the same node.
    world.service("web", |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.100"]);
    assert_eq!(world.primary("192.0.2.100"), primary);
    world.delete_service("web");
    world.settle();
    world.service("other", |_| {});
    world.settle();
    assert_eq!(world.shown("other"), ["192.0.2.101"]);
    world.service("web", |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.100"]);

    world.delete_service("web");
    world.settle();
    later(&mut world, 59);
    world.settle();
    assert!(world.vip("192.0.2.100").is_some());
    let deadline = world.plan().deadline.expect("the end of the quarantine");
    world.now = deadline;
    world.settle();
    assert!(world.vip("192.0.2.100").is_none());
}

#[test]
fn a_full_pool_takes_the_oldest_released() {
    let mut world = World::with(3, &["192.0.2.100/31"]);
    world.service("a", |_| {});
    world.service("b", |_| {});
    world.settle();
    world.delete_service("b");
    world.settle();
    later(&mut world, 10);
    world.delete_service("a");
    world.settle();
    world.service("c", |_| {});
    world.settle();

    assert_eq!(world.shown("c"), ["192.0.2.101"]);
}

#[test]
fn an_address_outside_an_edited_pool_is_replaced_and_one_under_a_typo_is_not() {
    let mut world = world();
    world.count("web", "2");
    world.settle();
    world.class("main", &["192.0.2.101-192.0.2.1O9"], true);
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.100", "192.0.2.101"]);
    world.class("main", &[], true);
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.100", "192.0.2.101"]);

    world.class("main", &["192.0.2.101-192.0.2.109"], true);
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.102", "192.0.2.101"]);
}

#[test]
fn a_virtual_ip_that_disappears_is_made_again() {
    let mut world = world();
    world.service("first", |_| {});
    world.settle();
    world.count("web", "2");
    world.settle();
    world.delete_service("first");
    world.settle();
    later(&mut world, 120);
    world.settle();
    world.vips.clear();
    world.settle();

    assert_eq!(world.shown("web"), ["192.0.2.101", "192.0.2.102"]);
}

#[test]
fn overlapping_classes_give_each_address_once() {
    let mut world = world();
    world.class("other", &["192.0.2.100-192.0.2.101"], false);
    world.count("web", "1");
    world.service("api", |service| annotate(service, annotation::DECKHOUSE_CLASS, "other"));
    world.count("api", "2");
    world.settle();

    let mut all = [world.shown("web"), world.shown("api")].concat();
    all.sort();
    all.dedup();
    assert_eq!(all, ["192.0.2.100", "192.0.2.101", "192.0.2.102"]);
}

#[test]
fn an_event_goes_after_an_hour_and_is_told_again_while_it_holds() {
    let mut world = world();
    world.count("web", "abc");
    world.settle();
    assert_eq!(world.events.len(), 2, "what is wrong, and what it got");
    later(&mut world, 3601);
    world.settle();

    assert_eq!(world.events.len(), 1);
    assert_eq!(
        world.events.values().next().and_then(|event| event.event_time.clone()).map(|time| time.0),
        Some(world.now)
    );
    world.count("web", "1");
    later(&mut world, 3601);
    world.settle();
    assert!(world.events.is_empty());
}
