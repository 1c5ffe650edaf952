//! Counts, families, requests, release, pools: one Service at a time.

use lb_api::{
    names::{annotation, condition, label},
    virtual_ip::Phase,
};

use super::world::{World, annotate, dual};

fn world() -> World {
    World::with(3, &["192.0.2.100-192.0.2.109", "2001:db8::100-2001:db8::109"])
}

fn request(world: &mut World, service: &str, list: &str) {
    world.service(service, |service| annotate(service, annotation::DECKHOUSE_IPS, list));
}

#[test]
fn three_addresses_of_each_family_by_index_on_three_nodes() {
    let mut world = world();
    world.service("web", |service| dual(service, "RequireDualStack"));
    world.count("web", "3");
    world.settle();

    let shown = world.shown("web");
    assert_eq!(shown, ["192.0.2.100", "2001:db8::100", "192.0.2.101", "2001:db8::101", "192.0.2.102", "2001:db8::102"]);
    let primaries: std::collections::BTreeSet<String> = shown.iter().map(|address| world.primary(address)).collect();
    assert_eq!(primaries.len(), 3);
    for pair in shown.chunks(2) {
        assert_eq!(world.primary(&pair[0]), world.primary(&pair[1]));
    }
    let all = world.condition("web", condition::ALL_ASSIGNED).expect("a condition");
    assert_eq!((all.status.as_str(), all.reason.as_str()), ("True", condition::ALL_IPS_ASSIGNED));
    assert_eq!(all.message, "6 of 6 public IPs were assigned");
}

#[test]
fn two_of_three_is_said_in_deckhouses_words() {
    let mut world = World::with(3, &["192.0.2.100/32", "192.0.2.102/32"]);
    world.count("web", "3");
    world.settle();

    assert_eq!(world.shown("web"), ["192.0.2.100", "192.0.2.102"]);
    let all = world.condition("web", condition::ALL_ASSIGNED).expect("a condition");
    assert_eq!((all.status.as_str(), all.reason.as_str()), ("False", condition::NOT_ALL_IPS_ASSIGNED));
    assert_eq!(all.message, "2 of 3 public IPs were assigned");
    assert!(world.told("no IPv4 address is left in the pool of class `main`"));
}

#[test]
fn a_bad_count_is_one_and_is_told() {
    for bad in ["3.0", "0", "-2", "abc", ""] {
        let mut world = world();
        world.count("web", bad);
        world.settle();

        assert_eq!(world.shown("web").len(), 1, "{bad:?}");
        let invalid = world.condition("web", condition::INVALID).expect("a condition");
        assert!(invalid.message.contains(annotation::IP_COUNT), "{bad:?}: {}", invalid.message);
        assert!(world.told(annotation::IP_COUNT), "{bad:?}");

        world.count("web", "+4");
        world.settle();
        assert_eq!(world.shown("web").len(), 4);
        assert_eq!(world.condition("web", condition::INVALID), None);
    }
}

#[test]
fn a_count_beyond_reason_is_limited_and_told() {
    let mut world = World::with(3, &["2001:db8::/64"]);
    world.service("web", |service| service.spec.get_or_insert_default().ip_families = Some(vec!["IPv6".into()]));
    world.count("web", "4294967295");

    assert_eq!(world.plan().figures.wanted, 4096);
    assert!(world.plan().steps.len() < 5_000);
}

#[test]
fn lowering_the_count_frees_the_highest_and_keeps_the_others() {
    let mut world = world();
    world.count("web", "4");
    world.settle();
    world.count("web", "2");
    world.settle();

    assert_eq!(world.shown("web"), ["192.0.2.100", "192.0.2.101"]);
    assert_eq!(world.vip("192.0.2.103").map(|vip| vip.spec.phase), Some(Phase::Released));
    // The former owner takes them back at once, in their places.
    world.count("web", "4");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.100", "192.0.2.101", "192.0.2.102", "192.0.2.103"]);
}

#[test]
fn auto_grows_with_the_nodes_and_does_not_shrink_for_a_network_that_is_away() {
    let mut world = world();
    world.count("web", "auto");
    world.settle();
    assert_eq!(world.shown("web").len(), 3);

    world.node(3, |_| {});
    world.settle();
    assert_eq!(world.shown("web").len(), 4);

    world.node(3, |node| {
        let away = k8s_openapi::api::core::v1::NodeCondition {
            type_: "NetworkUnavailable".into(),
            status: "True".into(),
            ..Default::default()
        };
        node.status.get_or_insert_default().conditions = Some(vec![away]);
    });
    world.settle();
    assert_eq!(world.shown("web").len(), 4);
    assert!(world.vips.values().all(|vip| !vip.spec.nodes.contains(&"node-3".to_owned())));

    world.node(3, |node| {
        node.metadata.labels.get_or_insert_default().insert(label::EXCLUDE.into(), "true".into());
    });
    world.settle();
    assert_eq!(world.shown("web").len(), 3);
}

#[test]
fn a_cordoned_node_is_last_and_not_left_out() {
    let mut world = world();
    world.count("web", "3");
    world.settle();
    world.node(1, |node| node.spec.get_or_insert_default().unschedulable = Some(true));
    world.settle();

    for vip in world.vips.values() {
        assert_eq!(vip.spec.nodes.len(), 3);
        assert_eq!(vip.spec.nodes[2], "node-1");
    }
}

#[test]
fn a_family_that_the_pool_lacks() {
    let mut world = World::with(3, &["192.0.2.100/30"]);
    world.service("prefers", |service| dual(service, "PreferDualStack"));
    world.service("requires", |service| dual(service, "RequireDualStack"));
    world.settle();

    assert_eq!(world.shown("prefers"), ["192.0.2.100"]);
    assert_eq!(world.condition("prefers", condition::ALL_ASSIGNED).expect("bound").status, "True");
    assert_eq!(world.shown("requires"), Vec::<String>::new());
    let invalid = world.condition("requires", condition::INVALID).expect("a condition");
    assert!(invalid.message.contains("spec.ipFamilyPolicy") && invalid.message.contains("no IPv6"), "{invalid:?}");
}

#[test]
fn requested_addresses_go_to_their_indices() {
    let mut world = world();
    world.service("web", |service| dual(service, "RequireDualStack"));
    world.count("web", "3");
    request(&mut world, "web", "192.0.2.105, 2001:db8::105,192.0.2.107");
    world.settle();

    assert_eq!(
        world.shown("web"),
        ["192.0.2.105", "2001:db8::105", "192.0.2.107", "2001:db8::100", "192.0.2.100", "2001:db8::101"]
    );
}

#[test]
fn a_request_that_cannot_be_met_fails_alone() {
    let mut world = world();
    request(&mut world, "first", "192.0.2.105");
    world.settle();
    world.count("web", "3");
    request(&mut world, "web", "192.0.2.105,203.0.113.1");
    world.settle();

    assert_eq!(world.shown("web"), ["192.0.2.100"]);
    let invalid = world.condition("web", condition::INVALID).expect("a condition").message;
    assert!(invalid.contains("192.0.2.105 cannot be given: Service default/first has it"), "{invalid}");
    assert!(invalid.contains("203.0.113.1 cannot be given: it is not in the pool of class `main`"), "{invalid}");
    // It gets the address as soon as it is free, quarantine or not.
    world.delete_service("first");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.105", "192.0.2.100"]);
}

#[test]
fn the_same_addresses_in_another_order_take_nothing_away() {
    let mut world = world();
    world.count("web", "3");
    world.settle();
    request(&mut world, "web", "192.0.2.102,192.0.2.101,192.0.2.100");
    assert_eq!(world.plan().steps, []);

    // What stands stays; only what nobody asks for goes.
    request(&mut world, "web", "192.0.2.105,192.0.2.100,192.0.2.101");
    let taken: Vec<_> =
        world.plan().steps.into_iter().filter(|step| step.why == crate::controller::Why::Replaced).collect();
    assert_eq!(taken.len(), 1, "{taken:?}");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.100", "192.0.2.101", "192.0.2.105"]);
}

/// An API server always returns `status: {loadBalancer: {}}`, and so does the world of these tests.
#[test]
fn a_service_that_gets_nothing_is_quiet_beside_an_empty_load_balancer() {
    let mut world = World::with(3, &["192.0.2.100/32"]);
    for name in ["first", "pending"] {
        world.service(name, |_| {});
        world.settle();
    }
    assert_eq!(world.shown("pending"), Vec::<String>::new());
    let status = world.services[&("default".to_owned(), "pending".to_owned())].status.clone().expect("written");
    assert!(status.load_balancer.is_some_and(|balancer| balancer.ingress.is_none()));
    // One that loses what it has keeps the rest of the object as well.
    world.service("first", |service| service.spec.get_or_insert_default().type_ = Some("ClusterIP".into()));
    world.settle();
    let status = world.services[&("default".to_owned(), "first".to_owned())].status.clone().expect("written");
    assert!(status.load_balancer.is_some_and(|balancer| balancer.ingress.is_none()));
}
