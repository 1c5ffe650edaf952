//! How addresses move and are defended: annotations of classes and advertisements, as the VirtualIPs carry them.

use std::time::Duration;

use lb_api::{Conflict, Failback, L2Advertisement, MetalLoadBalancerClass, names::l2_annotation};

use super::world::{World, pairs};

const FIVE_MINUTES: Failback = Failback::After(Duration::from_secs(300));

/// What the address of `web` carries.
fn carried(world: &World) -> (Option<Failback>, Option<Conflict>) {
    let address = world.shown("web").first().cloned().expect("it has an address");
    let spec = &world.vip(&address).expect("it is shown").spec;
    (spec.failback, spec.conflict)
}

fn class(world: &mut World, annotations: &[(&str, &str)]) {
    world.class("main", &["192.0.2.0/28"], true);
    let key = (String::new(), "main".to_owned());
    let mut object = MetalLoadBalancerClass::clone(&world.classes[&key]);
    object.metadata.annotations = Some(pairs(annotations));
    world.classes.insert(key, object.into());
}

fn said(object: &mut L2Advertisement, annotations: &[(&str, &str)]) {
    object.metadata.annotations = Some(pairs(annotations));
}

#[test]
fn a_classes_terms_are_on_its_addresses_and_follow_it() {
    let mut world = World::with(2, &[]);
    world.classes.clear();
    class(&mut world, &[(l2_annotation::FAILBACK, "after 5m"), (l2_annotation::CONFLICT, "retreat")]);
    world.service("web", |_| {});
    world.settle();
    assert_eq!(carried(&world), (Some(FIVE_MINUTES), Some(Conflict::Retreat)));

    class(&mut world, &[(l2_annotation::FAILBACK, "never")]);
    world.settle();
    assert_eq!(carried(&world), (Some(Failback::Never), None));
}

#[test]
fn a_bad_term_is_told_on_the_class_and_counts_as_not_said() {
    let mut world = World::with(2, &[]);
    world.classes.clear();
    class(&mut world, &[(l2_annotation::FAILBACK, "sometimes"), (l2_annotation::CONFLICT, "retreat")]);
    world.service("web", |_| {});
    world.settle();

    assert_eq!(carried(&world), (None, Some(Conflict::Retreat)));
    let notes: Vec<_> = world.events.values().filter_map(|event| event.note.as_deref()).collect();
    let told = "metadata.annotations[lb.herald.dev/failback]: `sometimes` is not a failback: write `never`, or";
    assert!(notes.iter().any(|note| note.starts_with(told)), "{notes:?}");
}

#[test]
fn of_several_advertisements_the_first_by_name_that_says_something_counts() {
    let mut world = World::with(0, &[]);
    world.classes.clear();
    world.node(0, |_| {});
    world.pool("main", &["192.0.2.0/28"], |_| {});
    world.advertise("a", |object| said(object, &[(l2_annotation::CONFLICT, "defend")]));
    world.advertise("b", |object| {
        said(object, &[(l2_annotation::FAILBACK, "never"), (l2_annotation::CONFLICT, "retreat")]);
    });
    world.advertise("c", |object| said(object, &[(l2_annotation::FAILBACK, "after 1s")]));
    world.service("web", |_| {});
    world.settle();

    assert_eq!(carried(&world), (Some(Failback::Never), Some(Conflict::Defend)));
}
