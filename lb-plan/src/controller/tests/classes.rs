//! Which class a Service gets: Deckhouse's table, with the differences that `choice` documents.

use lb_api::names::{annotation, condition, label};

use super::world::{World, annotate};

/// A class, if there is one.
type Name = Option<&'static str>;

/// By annotation, by spec, recorded, and what comes of it. D is the default; A and B exist, X does not. The expected class, or `None` for a Service that gets nothing.
const ROWS: [(&str, Name, Name, Name, Name); 11] = [
    ("nothing chosen", None, None, None, Some("d")),
    ("A by annotation", Some("a"), None, None, Some("a")),
    ("B by spec wins over A", Some("a"), Some("b"), None, Some("b")),
    ("unknown by annotation", Some("x"), None, None, Some("d")),
    ("white space is trimmed", Some(" a "), None, None, Some("a")),
    ("foreign by spec, A by annotation", Some("a"), Some("x"), None, None),
    ("foreign by spec, unknown by annotation", Some("x"), Some("x"), None, None),
    ("foreign by spec", None, Some("x"), None, None),
    ("D recorded wins", Some("a"), Some("b"), Some("d"), Some("d")),
    ("recorded class gone", Some("a"), Some("b"), Some("x"), None),
    ("its own class gone", None, Some("x"), Some("x"), None),
];

fn world() -> World {
    let mut world = World::with(2, &[]);
    world.classes.clear();
    for (class, pool) in [("a", "192.0.2.0/28"), ("b", "192.0.2.16/28"), ("d", "192.0.2.32/28")] {
        world.class(class, &[pool], class == "d");
    }
    world
}

fn record(world: &mut World, class: &str) {
    world.service("web", |service| {
        let bound = k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
            type_: condition::CLASS.into(),
            status: "True".into(),
            reason: condition::CLASS_BOUND.into(),
            message: class.into(),
            last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        service.status.get_or_insert_default().conditions = Some(vec![bound]);
    });
}

#[test]
fn class_is_chosen_by_the_table() {
    for (row, by_annotation, by_spec, recorded, expected) in ROWS {
        let mut world = world();
        world.service("web", |service| {
            if let Some(class) = by_annotation {
                annotate(service, annotation::DECKHOUSE_CLASS, class);
            }
            service.spec.get_or_insert_default().load_balancer_class = by_spec.map(str::to_owned);
        });
        if let Some(class) = recorded {
            record(&mut world, class);
        }

        world.settle();

        let pool = world.vips.values().next().map(|vip| vip.spec.pool.clone());
        assert_eq!(pool.as_deref(), expected, "{row}");
        if expected.is_some() {
            assert_eq!(world.bound_to("web").as_deref(), expected, "{row}");
        }
    }
}

#[test]
fn foreign_service_is_not_touched() {
    let mut world = world();
    world.service("web", |service| service.spec.get_or_insert_default().load_balancer_class = Some("x".into()));

    assert_eq!(world.plan().steps, []);
}

#[test]
fn without_a_default_nothing_is_given() {
    let mut world = world();
    world.class("d", &["192.0.2.32/28"], false);
    world.service("web", |_| {});

    assert_eq!(world.plan().steps, []);
}

#[test]
fn unknown_class_is_told_on_the_service() {
    let mut world = world();
    world.service("web", |service| annotate(service, annotation::DECKHOUSE_CLASS, "x"));
    world.settle();

    let invalid = world.condition("web", condition::INVALID).expect("a condition");
    assert!(invalid.message.contains(annotation::DECKHOUSE_CLASS) && invalid.message.contains("`x`"), "{invalid:?}");
    assert!(world.told("there is no MetalLoadBalancerClass `x`"));
}

#[test]
fn class_without_a_node_binds_nothing() {
    let mut world = world();
    for number in 0..2 {
        world.node(number, |node| {
            node.metadata.labels.get_or_insert_default().insert(label::EXCLUDE.into(), String::new());
        });
    }
    world.service("web", |_| {});
    world.settle();

    assert_eq!(world.bound_to("web"), None);
    assert!(world.vips.is_empty());
}

#[test]
fn of_two_defaults_the_first_by_name_is_used_and_the_other_hears_of_it() {
    let mut world = world();
    world.class("c", &["192.0.2.48/28"], true);
    world.service("web", |_| {});
    world.settle();

    assert_eq!(world.bound_to("web").as_deref(), Some("c"));
    assert!(world.told("class `c` is the default too"));
}

#[test]
fn binding_is_sticky() {
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    world.service("web", |service| annotate(service, annotation::DECKHOUSE_CLASS, "a"));
    world.settle();

    assert_eq!(world.bound_to("web").as_deref(), Some("d"));
    assert_eq!(world.shown("web"), ["192.0.2.32"]);
}

#[test]
fn class_removed_under_use_changes_nothing_until_it_is_back() {
    let mut world = world();
    world.count("web", "2");
    world.settle();
    let (shown, vips) = (world.shown("web"), world.vips.clone());
    world.classes.remove(&(String::new(), "d".to_owned()));
    world.count("web", "1");
    world.nodes.remove(&(String::new(), "node-0".to_owned()));
    world.settle();

    assert_eq!((world.shown("web"), &world.vips), (shown, &vips));
    assert!(world.told("is gone"));

    world.class("d", &["192.0.2.32/28"], true);
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.32"]);
    assert_eq!(world.condition("web", condition::INVALID), None);
}

#[test]
fn without_any_class_nothing_is_released_or_deleted() {
    let mut world = world();
    world.service("web", |_| {});
    world.service("old", |_| {});
    world.settle();
    world.delete_service("old");
    world.settle();
    let vips = world.vips.clone();
    world.classes.clear();
    world.delete_service("web");
    world.now = world.now.checked_add(jiff::SignedDuration::from_secs(3600)).expect("in range");
    world.events.clear();
    world.settle();

    assert_eq!(world.vips, vips);
}

#[test]
fn service_that_may_stand_in_an_unreadable_document_keeps_its_addresses() {
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    let vips = world.vips.clone();
    world.delete_service("web");
    world.doubts.services.insert("default", "web");
    world.settle();

    assert_eq!(world.vips, vips);
}

#[test]
fn another_type_gives_back_addresses_and_conditions() {
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    world.service("web", |service| service.spec.get_or_insert_default().type_ = Some("ClusterIP".into()));
    world.settle();

    assert!(world.bound().is_empty());
    assert_eq!(world.shown("web"), Vec::<String>::new());
    assert_eq!(world.bound_to("web"), None);
}

#[test]
fn a_class_ranks_the_nodes_that_it_selects() {
    let mut world = world();
    world.node(1, |node| {
        node.metadata.labels.get_or_insert_default().insert("role".into(), "lb".into());
    });
    let key = (String::new(), "d".to_owned());
    let mut class = (*world.classes[&key]).clone();
    class.spec.node_selector = [("role".to_owned(), "lb".to_owned())].into();
    class.spec.l2 = Some(lb_api::class::Layer2 { interfaces: vec!["eth1".into()] });
    world.classes.insert(key, std::sync::Arc::new(class));
    world.service("web", |_| {});
    world.settle();

    let spec = world.vip("192.0.2.32").expect("given").spec.clone();
    assert_eq!((spec.nodes, spec.interfaces), (vec!["node-1".to_owned()], vec!["eth1".to_owned()]));
}

#[test]
fn a_pool_of_deckhouses_is_not_read_with_a_class_and_that_is_told() {
    let mut world = world();
    world.service("web", |service| annotate(service, "network.deckhouse.io/load-balancer-pool", "a"));
    world.settle();

    assert_eq!(world.bound_to("web").as_deref(), Some("d"));
    assert!(world.told(
        "metadata.annotations[network.deckhouse.io/load-balancer-pool]: is not read, because the Service has class `d`"
    ));
}

#[test]
fn who_is_no_longer_ours_stops_showing_an_address_that_goes_to_another() {
    let mut world = World::with(2, &["192.0.2.0/32"]);
    world.service("web", |_| {});
    world.service("waits", |_| {});
    world.settle();
    let (had, waits) = if world.shown("web").is_empty() { ("waits", "web") } else { ("web", "waits") };
    world.service(had, |service| service.spec.get_or_insert_default().load_balancer_class = Some("x".into()));
    // The status is refused, the release is not.
    for step in world.plan().steps.iter().skip(1) {
        world.apply(&step.action);
    }
    world.settle();

    assert_eq!((world.shown(had), world.shown(waits)), (vec![], vec!["192.0.2.0".to_owned()]));
}
