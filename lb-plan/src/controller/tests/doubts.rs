//! What cannot be known for sure: nobody loses an address for it, and no address is given twice.

use lb_api::names::{annotation, condition};

use super::world::{World, annotate, dual, ports};

/// Three nodes and one class, in which `web` has been bound; then the VirtualIP of its first address is lost.
fn lost(count: &str) -> World {
    let mut world = World::with(3, &["192.0.2.0/24"]);
    world.count("web", count);
    world.settle();
    world.vips.remove(&(String::new(), "192.0.2.0".to_owned())).expect("bound");
    world
}

#[test]
fn who_shows_an_address_whose_virtual_ip_is_in_doubt_is_left_as_it_is() {
    let mut world = lost("2");
    world.doubts.virtual_ips.insert("", "192.0.2.0");
    assert_eq!(world.plan().steps, []);
    assert_eq!(world.shown("web"), ["192.0.2.0", "192.0.2.1"]);
    // Nobody else gets it.
    world.service("other", |service| annotate(service, annotation::DECKHOUSE_IPS, "192.0.2.0"));
    world.settle();
    assert_eq!((world.shown("web").len(), world.shown("other")), (2, vec![]));
    world.doubts = crate::controller::Doubts::default();
    world.settle();
    assert_eq!(world.bound()["web"].len(), 2);
    assert_eq!(world.shown("web"), ["192.0.2.0", "192.0.2.1"]);
}

#[test]
fn who_shows_an_address_that_was_just_refused_is_left_as_it_is() {
    let mut snapshot = lost("2").snapshot();
    snapshot.refused.insert("192.0.2.0".parse().expect("an address"));
    assert_eq!(crate::controller::plan(&snapshot).steps, []);
}

#[test]
fn what_a_service_shows_without_being_adopted_is_given_to_nobody() {
    let mut world = World::with(3, &["192.0.2.0/24"]);
    // Frozen, because its class cannot be read; another implementation's.
    world.service("frozen", |service| annotate(service, annotation::DECKHOUSE_CLASS, "other"));
    world.show("frozen", &["192.0.2.0"]);
    world.doubts.classes.insert("", "other");
    world.service("foreign", |service| {
        service.spec.get_or_insert_default().load_balancer_class = Some("example.com/other".into());
    });
    world.show("foreign", &["192.0.2.1"]);
    world.service("asks", |service| annotate(service, annotation::DECKHOUSE_IPS, "192.0.2.0"));
    world.service("web", |_| {});
    world.settle();
    assert_eq!((world.shown("asks"), world.shown("web")), (vec![], vec!["192.0.2.2".into()]));
    assert_eq!(world.shown("frozen"), ["192.0.2.0"]);
    // A Service of another type shows nothing that counts.
    world.service("foreign", |service| service.spec.get_or_insert_default().type_ = Some("ClusterIP".into()));
    world.service("next", |_| {});
    world.settle();
    assert_eq!(world.shown("next"), ["192.0.2.1"]);
}

#[test]
fn a_service_is_not_in_its_own_way() {
    let mut world = World::with(3, &["192.0.2.0/24"]);
    world.service("web", |_| {});
    world.settle();
    // What stands in its status beside what it has, and what it asks for.
    world.show("web", &["192.0.2.0", "192.0.2.9"]);
    world.service("web", |service| annotate(service, annotation::DECKHOUSE_IPS, "192.0.2.9"));
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.9"]);
    assert_eq!(world.warnings(), Vec::<String>::new(), "{:?}", world.notes());
}

#[test]
fn a_service_that_can_get_nothing_keeps_what_it_shows() {
    for (recorded, nodes) in [(true, 3), (false, 3), (true, 0), (false, 0)] {
        let mut world = World::with(nodes, &["192.0.2.0/24"]);
        if nodes > 0 {
            world.service("web", |service| dual(service, "RequireDualStack"));
        }
        world.show("web", &["192.0.2.7"]);
        if recorded {
            world.service("web", |service| {
                let bound = k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
                    type_: condition::CLASS.into(),
                    status: "True".into(),
                    reason: condition::CLASS_BOUND.into(),
                    message: "main".into(),
                    last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                        jiff::Timestamp::UNIX_EPOCH,
                    ),
                    observed_generation: None,
                };
                service.status.get_or_insert_default().conditions.get_or_insert_default().push(bound);
            });
        }
        world.settle();
        assert_eq!(world.shown("web"), ["192.0.2.7"], "{recorded} {nodes}");
        assert!(world.vip("192.0.2.7").is_some(), "{recorded} {nodes}: it is locked");
        world.settle();
    }
}

#[test]
fn another_configuration_namespace_takes_nothing_from_anybody() {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.advertise("all", |_| {});
    world.pool("a", &["192.0.2.0/28"], |_| {});
    world.service("web", |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
    world.configuration.namespace = "herald".into();
    world.pool("b", &["198.51.100.0/28"], |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
    assert_eq!(world.bound()["web"].len(), 1);
    // A new one is served from the new pool.
    world.service("new", |_| {});
    world.settle();
    assert_eq!((world.shown("web"), world.shown("new")), (vec!["192.0.2.0".into()], vec!["198.51.100.0".into()]));
}

#[test]
fn a_lost_virtual_ip_comes_back_although_a_request_cannot_be_met() {
    for asked in ["203.0.113.1", "192.0.2.5"] {
        let mut world = World::with(3, &["192.0.2.0/24"]);
        world.service("other", |service| annotate(service, annotation::DECKHOUSE_IPS, "192.0.2.5"));
        world.settle();
        world.service("web", |_| {});
        world.settle();
        world.service("web", |service| annotate(service, annotation::DECKHOUSE_IPS, asked));
        world.settle();
        assert_eq!(world.shown("web"), ["192.0.2.0"]);
        world.vips.remove(&(String::new(), "192.0.2.0".to_owned())).expect("bound");
        world.settle();
        assert_eq!(world.shown("web"), ["192.0.2.0"], "{asked}");
        assert_eq!(world.bound()["web"].len(), 1, "{asked}");
        // One that can be met is.
        world.vips.remove(&(String::new(), "192.0.2.0".to_owned())).expect("bound");
        world.service("web", |service| annotate(service, annotation::DECKHOUSE_IPS, "192.0.2.9"));
        world.settle();
        assert_eq!(world.shown("web"), ["192.0.2.9"], "{asked}");
    }
}

#[test]
fn auto_of_pools_does_not_shrink_for_a_network_or_an_advertisement_that_is_away() {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.pool("a", &["192.0.2.0/28"], |_| {});
    world.advertise("all", |_| {});
    world.count("web", "auto");
    world.settle();
    assert_eq!(world.shown("web").len(), 3);
    let away = k8s_openapi::api::core::v1::NodeCondition {
        type_: "NetworkUnavailable".into(),
        status: "True".into(),
        ..Default::default()
    };
    world.node(2, |node| node.status.get_or_insert_default().conditions = Some(vec![away]));
    world.settle();
    assert_eq!(world.shown("web").len(), 3);
    let whole = world.clone();
    // One that names a node stands beside one that cannot be read.
    world.advertisements.clear();
    world.doubts.l2_advertisements.insert("metallb-system", "all");
    world.advertise("some", |object| {
        let labels = [("none".to_owned(), "such".to_owned())].into();
        object.spec.node_selectors = vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector {
            match_labels: Some(labels),
            ..Default::default()
        }];
    });
    world.node(2, |node| node.metadata.labels = Some([("none".to_owned(), "such".to_owned())].into()));
    world.settle();
    assert_eq!(world.shown("web").len(), 3);
    // A Node that is gone is gone.
    let mut world = whole;
    world.nodes.remove(&(String::new(), "node-2".to_owned()));
    world.settle();
    assert_eq!(world.shown("web").len(), 2);
}

#[test]
fn who_answers_stays_while_advertisements_endpoints_or_sharers_are_in_doubt() {
    // Adopted from outside of all pools: what answers is in an advertisement too.
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.pool("a", &["192.0.2.0/28"], |_| {});
    world.advertise("all", |_| {});
    world.service("web", |_| {});
    world.show("web", &["203.0.113.7"]);
    world.settle();
    let before = world.vip("203.0.113.7").expect("adopted").spec.nodes.clone();
    assert_eq!(before.len(), 3);
    world.advertisements.clear();
    world.doubts.l2_advertisements.insert("metallb-system", "all");
    world.settle();
    assert_eq!(world.vip("203.0.113.7").expect("adopted").spec.nodes, before);

    // What serves is in a slice that cannot be read.
    let mut world = World::with(3, &["192.0.2.0/28"]);
    world.service("web", |_| {});
    world.endpoints("web", &[("node-1", true, true)]);
    world.endpoints("other", &[("node-1", true, true)]);
    world.settle();
    let before = world.vip("192.0.2.0").expect("bound").spec.nodes.clone();
    assert_eq!(before.len(), 3);
    world.slices.remove(&("default".to_owned(), "web-1".to_owned()));
    let gone = world.clone();
    world.doubts.endpoint_slices.insert("default", "web-1");
    world.settle();
    assert_eq!(world.vip("192.0.2.0").expect("bound").spec.nodes, before);
    let mut world = gone;
    world.doubts.endpoint_slices.insert("default", "webs-1");
    world.settle();
    assert!(world.vip("192.0.2.0").expect("bound").spec.nodes.is_empty(), "that one is another Service's");

    // Of two who share one has the endpoints, and cannot be read.
    let mut world = World::with(3, &["192.0.2.0/28"]);
    for (name, port) in [("a", 80), ("b", 81)] {
        world.service(name, |service| {
            annotate(service, annotation::DECKHOUSE_SHARED_IP_KEY, "key");
            ports(service, &[("TCP", port)]);
        });
        world.settle();
    }
    world.endpoints("a", &[]);
    world.endpoints("b", &[("node-1", true, true)]);
    world.settle();
    let before = world.vip("192.0.2.0").expect("shared").spec.nodes.clone();
    assert_eq!(before.len(), 3);
    world.delete_service("b");
    world.doubts.services.insert("default", "b");
    world.settle();
    assert_eq!(world.vip("192.0.2.0").expect("shared").spec.nodes, before);
}
