//! What a user reads on a Service that does not get what it asks for, word for word: the rows of metallb.md sections 3 and 6
//! and of deckhouse.md section 15 that no other test quotes.

use lb_api::names::{annotation, condition};

use super::world::{World, annotate, dual};

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
