//! MetalLB's table of what a node announces (metallb.md sections 2.4 and 5.2).

use serde_json::{Value, json};

use super::world::{World, remove};

const ADDRESS: &str = "192.0.2.1";
const ROUTE: [&str; 1] = ["192.0.2.1/32"];

fn world() -> World {
    let mut world = World::new();
    world.service("web", ADDRESS);
    world
}

#[track_caller]
fn is_withheld(world: &World, why: &str) {
    assert_eq!((world.told("tor"), world.withheld("web")), (vec![], Some(why)));
}

#[track_caller]
fn is_announced(world: &World) {
    assert_eq!((world.told("tor"), world.withheld("web")), (ROUTE.map(str::to_owned).to_vec(), None));
}

#[test]
fn a_service_with_an_address_and_a_serving_endpoint_is_announced() {
    is_announced(&world());
}

#[test]
fn an_endpoint_serves_by_its_conditions() {
    for (conditions, serves) in [
        (json!({ "ready": true }), true),
        (json!({}), true),
        (json!({ "ready": false }), false),
        (json!({ "ready": false, "serving": true }), true),
        (json!({ "ready": false, "serving": true, "terminating": true }), true),
        (json!({ "ready": false, "serving": false, "terminating": true }), false),
        (json!({ "ready": true, "serving": false }), true),
    ] {
        for policy in ["Cluster", "Local"] {
            let mut world = world();
            world.plain_service("web", &json!({ "externalTrafficPolicy": policy }), &json!({}));
            world.endpoints("web", &[("iris", conditions.clone())]);
            match (serves, policy) {
                (true, _) => is_announced(&world),
                (false, "Local") => is_withheld(&world, "noLocalEndpoints"),
                (false, _) => is_withheld(&world, "noEndpoints"),
            }
        }
    }
}

#[test]
fn local_needs_an_endpoint_on_this_node_and_cluster_one_anywhere() {
    let ready = json!({ "ready": true });
    for (nodes, policy, why) in [
        (vec!["iris"], "Local", None),
        (vec!["rose"], "Local", Some("noLocalEndpoints")),
        (vec!["rose", "iris"], "Local", None),
        (vec![""], "Local", Some("noLocalEndpoints")),
        (vec![], "Local", Some("noLocalEndpoints")),
        (vec!["rose"], "Cluster", None),
        (vec![""], "Cluster", None),
        (vec![], "Cluster", Some("noEndpoints")),
    ] {
        let mut world = world();
        world.plain_service("web", &json!({ "externalTrafficPolicy": policy }), &json!({}));
        let endpoints: Vec<(&str, Value)> = nodes.iter().map(|node| (*node, ready.clone())).collect();
        world.endpoints("web", &endpoints);
        match why {
            None => is_announced(&world),
            Some(why) => is_withheld(&world, why),
        }
    }
}

#[test]
fn without_any_slice_nothing_is_known_and_nothing_narrowed() {
    let mut world = world();
    world.snapshot.endpoint_slices.clear();
    is_announced(&world);
}

#[test]
fn the_node_may_be_kept_out() {
    let label = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" });
    let unavailable = |status: &str| json!({ "conditions": [{ "type": "NetworkUnavailable", "status": status }] });
    let mut world = world();
    world.node(&json!({ "metadata": { "labels": label } }));
    is_withheld(&world, "nodeLabeledExcludeBalancers");
    world.snapshot.ignores_exclude_label = true;
    is_announced(&world);
    world.node(&json!({ "status": unavailable("True") }));
    is_withheld(&world, "nodeNetworkUnavailable");
    world.node(&json!({ "status": unavailable("False") }));
    is_announced(&world);
}

#[test]
fn a_cordoned_node_announces_as_the_last_choice() {
    let mut world = world();
    assert!(!world.plan().is_draining);
    world.node(&json!({ "spec": { "unschedulable": true } }));
    is_announced(&world);
    assert!(world.plan().is_draining);
    world.node(&json!({}));
    assert!(!world.plan().is_draining);
    world.node(&json!({ "metadata": { "annotations": { "lb.herald.dev/drain": "" } } }));
    is_announced(&world);
    assert!(world.plan().is_draining);
}

#[test]
fn no_advertisement_or_none_for_the_service_is_told_apart() {
    let mut world = world();
    world.advertise("all", &json!({ "ipAddressPools": ["other"] }));
    is_withheld(&world, "notOwner");
    world.advertise("all", &json!({ "nodeSelectors": [{ "matchLabels": { "rack": "a" } }] }));
    is_withheld(&world, "notOwner");
    world.node(&json!({ "metadata": { "labels": { "rack": "a" } } }));
    is_announced(&world);
    world.advertise("all", &json!({ "serviceSelectors": [{ "matchLabels": { "tier": "front" } }] }));
    is_withheld(&world, "noMatchingAdvertisement");
    world.plain_service("web", &json!({}), &json!({ "tier": "front" }));
    is_announced(&world);
    remove(&mut world.snapshot.advertisements, "all");
    is_withheld(&world, "notOwner");
}

#[test]
fn what_is_no_service_with_an_address_is_silent() {
    let mut world = world();
    world.plain_service("web", &json!({ "type": "ClusterIP" }), &json!({}));
    assert_eq!((world.told("tor"), world.withheld("web")), (vec![], None));
    world.plain_service("web", &json!({}), &json!({}));
    is_announced(&world);
    // The address belongs to a Service of that name that is gone.
    let vips = &mut world.snapshot.virtual_ips;
    std::sync::Arc::make_mut(&mut vips[0]).spec.claims[0].uid = "older".into();
    assert_eq!((world.told("tor"), world.withheld("web")), (vec![], None));
    world.address(ADDRESS, "", "metallb-system/pool");
    assert_eq!(world.told("tor"), Vec::<String>::new());
}

#[test]
fn a_released_address_is_nobodys() {
    let mut world = world();
    let vips = &mut world.snapshot.virtual_ips;
    std::sync::Arc::make_mut(&mut vips[0]).spec.phase = lb_api::virtual_ip::Phase::Released;
    assert_eq!(world.told("tor"), Vec::<String>::new());
}

#[test]
fn an_address_of_no_pool_is_announced_by_what_is_for_every_pool() {
    let mut world = world();
    world.address(ADDRESS, "web", "");
    is_announced(&world);
    // Nobody said how far its neighbours are Herald's.
    world.advertise("all", &json!({ "aggregationLength": 24 }));
    is_withheld(&world, "notOwner");
    // A class is layer 2.
    world.advertise("all", &json!({}));
    world.address(ADDRESS, "web", "lab");
    is_withheld(&world, "notOwner");
    // A pool that is gone is still meant by its name.
    world.address(ADDRESS, "web", "metallb-system/gone");
    world.advertise("all", &json!({ "ipAddressPools": ["gone"] }));
    is_announced(&world);
    world.address(ADDRESS, "web", "elsewhere/gone");
    is_withheld(&world, "notOwner");
}
