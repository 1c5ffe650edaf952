//! Who may answer: L2Advertisements, preferred nodes, endpoints (metallb.md sections 1.2, 2.4 and 4.2).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use lb_api::{L2Advertisement, metallb::PreferredNodeSelector};

use super::world::{World, annotate, pairs, ports};

fn selector(key: &str, value: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(pairs(&[(key, value)])), ..LabelSelector::default() }
}

/// Four nodes, of which the first two are in rack `a`, and one pool.
fn world() -> World {
    let mut world = World::with(0, &[]);
    world.classes.clear();
    for number in 0..4 {
        let rack = if number < 2 { "a" } else { "b" };
        world.node(number, |node| node.metadata.labels = Some(pairs(&[("rack", rack)])));
    }
    world.pool("main", &["192.0.2.0/28"], |pool| pool.metadata.labels = Some(pairs(&[("zone", "dmz")])));
    world
}

/// The nodes of the address of `web`, sorted, and the interfaces.
fn reach(world: &World) -> (Vec<String>, Vec<String>) {
    let address = world.shown("web").first().cloned().expect("it has an address");
    let spec = &world.vip(&address).expect("it is shown").spec;
    let mut nodes = spec.nodes.clone();
    nodes.sort();
    (nodes, spec.interfaces.clone())
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

type Case = (&'static str, fn(&mut L2Advertisement), &'static [&'static str], &'static [&'static str]);

const ALL: [&str; 4] = ["node-0", "node-1", "node-2", "node-3"];

const CASES: [Case; 9] = [
    ("every pool", |_| {}, &ALL, &[]),
    ("by name", |object| object.spec.ip_address_pools = vec!["main".into()], &ALL, &[]),
    ("another by name", |object| object.spec.ip_address_pools = vec!["other".into()], &[], &[]),
    ("by label", |object| object.spec.ip_address_pool_selectors = vec![selector("zone", "dmz")], &ALL, &[]),
    ("another by label", |object| object.spec.ip_address_pool_selectors = vec![selector("zone", "lan")], &[], &[]),
    ("nodes", |object| object.spec.node_selectors = vec![selector("rack", "b")], &["node-2", "node-3"], &[]),
    ("interfaces", |object| object.spec.interfaces = vec!["eth1".into(), "eth0".into()], &ALL, &["eth0", "eth1"]),
    ("services", |object| object.spec.service_selectors = vec![selector("app", "web")], &ALL, &[]),
    ("other services", |object| object.spec.service_selectors = vec![selector("app", "api")], &[], &[]),
];

#[test]
fn an_advertisement_selects_pools_nodes_interfaces_and_services() {
    for (case, edit, nodes, interfaces) in CASES {
        let mut world = world();
        world.advertise("one", edit);
        world.service("web", |service| service.metadata.labels = Some(pairs(&[("app", "web")])));
        world.settle();
        assert_eq!(reach(&world), (owned(nodes), owned(interfaces)), "{case}");
    }
}

#[test]
fn a_pool_without_any_is_allocated_and_nobody_answers() {
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    assert_eq!(reach(&world), (vec![], vec![]));
    world.advertise("elsewhere", |_| {});
    world.settle();
    assert_eq!(reach(&world).0, ALL);
}

#[test]
fn several_advertisements_are_united() {
    let mut world = world();
    world.service("web", |_| {});
    for (name, rack, interface) in [("a", "a", "eth0"), ("b", "b", "eth1")] {
        world.advertise(name, |object| {
            object.spec.node_selectors = vec![selector("rack", rack)];
            object.spec.interfaces = vec![interface.into()];
        });
    }
    world.settle();
    assert_eq!(reach(&world), (owned(&ALL), owned(&["eth0", "eth1"])));
    world.advertise("b", |object| object.spec.node_selectors = vec![selector("rack", "b")]);
    world.settle();
    assert_eq!(reach(&world), (owned(&ALL), vec![]), "one without interfaces means all");
}

#[test]
fn preferred_nodes_come_first_and_take_back() {
    let mut world = world();
    let prefer = |world: &mut World, weights: &[(&str, i32)]| {
        world.advertise("all", |object| {
            let preferred =
                |&(rack, weight): &(&str, i32)| PreferredNodeSelector { weight, preference: selector("rack", rack) };
            object.spec.preferred_node_selectors = weights.iter().map(preferred).collect();
        });
    };
    for number in 0..6 {
        world.service(&format!("web-{number}"), |_| {});
    }
    let in_a = |world: &World| {
        let primaries = world.vips.values().filter_map(|vip| vip.spec.nodes.first());
        primaries.filter(|node| ["node-0", "node-1"].contains(&node.as_str())).count()
    };
    prefer(&mut world, &[]);
    world.settle();
    let natural = in_a(&world);
    assert!(0 < natural && natural < 6);
    // Equal weights for all change nothing.
    let before = world.vips.clone();
    prefer(&mut world, &[("a", 10), ("b", 10)]);
    world.settle();
    assert_eq!(world.vips, before);
    prefer(&mut world, &[("a", 60), ("b", 50)]);
    world.settle();
    assert_eq!(in_a(&world), 6);
    // Weights of several add up, over several advertisements.
    world.advertise("more", |object| {
        object.spec.preferred_node_selectors =
            vec![PreferredNodeSelector { weight: 20, preference: selector("rack", "b") }];
    });
    world.settle();
    assert_eq!(in_a(&world), 0);
    world.advertisements.remove(&("metallb-system".to_owned(), "more".to_owned()));
    world.settle();
    assert_eq!(in_a(&world), 6);
    // A preference never makes a node eligible; the others stand by.
    for vip in world.vips.values() {
        let mut standbys = vip.spec.nodes[2..].to_vec();
        standbys.sort();
        assert_eq!(standbys, ["node-2", "node-3"]);
    }
}

#[test]
fn a_node_with_the_drain_annotation_is_ranked_last_whatever_its_value_is() {
    let mut world = World::with(3, &["192.0.2.0/28"]);
    world.service("web", |_| {});
    world.settle();
    let ranked = |world: &World| {
        let address = world.shown("web").first().cloned().expect("it has an address");
        world.vip(&address).expect("it is shown").spec.nodes.clone()
    };
    let first = ranked(&world).remove(0);
    let number = first.trim_start_matches("node-").parse().expect("a number");

    world.node(number, |node| {
        node.metadata.annotations = Some(pairs(&[(lb_api::names::node_annotation::DRAIN, "false")]));
    });
    world.settle();

    assert_eq!(ranked(&world).len(), 3);
    assert_eq!(ranked(&world).last(), Some(&first));
}

#[test]
fn addresses_of_one_service_are_on_distinct_nodes_although_one_is_preferred() {
    let mut world = world();
    world.advertise("all", |object| {
        object.spec.preferred_node_selectors =
            vec![PreferredNodeSelector { weight: 100, preference: selector("rack", "a") }];
    });
    world.service("web", |_| {});
    world.count("web", "3");
    world.settle();
    let primaries: std::collections::BTreeSet<String> =
        world.shown("web").iter().map(|address| world.primary(address)).collect();
    assert_eq!(primaries.len(), 3);
    assert!(primaries.contains("node-0") && primaries.contains("node-1"));
}

#[test]
fn local_narrows_to_nodes_with_endpoints_and_none_means_nobody() {
    let mut world = world();
    world.advertise("all", |_| {});
    world.service("web", |service| {
        service.spec.get_or_insert_default().external_traffic_policy = Some("Local".into());
    });
    world.settle();
    assert_eq!(reach(&world).0, ALL, "nothing is known of endpoints");

    for (endpoints, local, cluster) in [
        (&[("node-1", true, true), ("node-3", false, false)][..], &["node-1"][..], &ALL[..]),
        (&[("node-3", false, true)], &["node-3"], &ALL),
        (&[("node-9", true, true)], &[], &ALL),
        (&[("node-1", false, false)], &[], &[]),
        (&[], &[], &[]),
    ] {
        world.endpoints("web", endpoints);
        for (policy, nodes) in [("Local", local), ("Cluster", cluster)] {
            world.service("web", |service| {
                service.spec.get_or_insert_default().external_traffic_policy = Some(policy.into());
            });
            world.settle();
            assert_eq!(reach(&world).0, nodes, "{policy} {endpoints:?}");
        }
    }
}

#[test]
fn local_narrows_a_class_too() {
    let mut world = World::with(3, &["192.0.2.0/28"]);
    world.service("web", |service| {
        service.spec.get_or_insert_default().external_traffic_policy = Some("Local".into());
    });
    world.endpoints("web", &[("node-2", true, true)]);
    world.count("web", "2");
    world.settle();
    assert_eq!(world.shown("web").len(), 2);
    assert_eq!(reach(&world).0, ["node-2"]);
}

#[test]
fn a_shared_address_is_answered_for_any_of_its_services() {
    let mut world = world();
    world.advertise("api", |object| object.spec.service_selectors = vec![selector("app", "api")]);
    for (name, port) in [("web", 80), ("api", 81)] {
        world.service(name, |service| {
            annotate(service, "metallb.io/allow-shared-ip", "key");
            ports(service, &[("TCP", port)]);
            service.metadata.labels = Some(pairs(&[("app", name)]));
        });
    }
    world.endpoints("api", &[("node-1", true, true)]);
    world.settle();
    assert_eq!(world.shown("web"), world.shown("api"));
    assert_eq!(reach(&world).0, ALL);
    world.endpoints("api", &[]);
    world.settle();
    assert_eq!(reach(&world).0, Vec::<String>::new());
}

#[test]
fn an_advertisement_that_cannot_be_read_changes_no_ranking() {
    let mut world = world();
    world.advertise("all", |_| {});
    world.service("web", |_| {});
    world.settle();
    let before = world.vips.clone();
    world.advertisements.clear();
    world.doubts.l2_advertisements.insert("metallb-system", "all");
    world.settle();
    assert_eq!(world.vips, before);
}
