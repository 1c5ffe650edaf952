//! What needs more than one object to be wrong: one message, on the object that has to change. What one object says wrong
//! is a table in `lb-api`; here it is shown to arrive.

use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{World, remove};
use crate::bgp::{Objects, problems};

/// What the controller says, by the nodes that there are.
fn of_cluster(world: &World, nodes: &[Value]) -> Vec<String> {
    let nodes: Vec<_> =
        nodes.iter().map(|node| Arc::new(serde_json::from_value(node.clone()).expect("test data"))).collect();
    let snapshot = &world.snapshot;
    let objects = Objects {
        namespace: &snapshot.namespace,
        peers: &snapshot.peers,
        advertisements: &snapshot.advertisements,
        profiles: &snapshot.profiles,
        communities: &snapshot.communities,
        pools: &snapshot.pools,
        deckhouse: &snapshot.deckhouse,
        nodes: &nodes,
    };
    let text = |problem: crate::bgp::Problem| {
        format!("{} {}: {}: {}", problem.kind, problem.name, problem.field, problem.message)
    };
    problems(&objects).into_iter().map(text).collect()
}

/// Both the agent and the controller say one thing, and it begins so.
#[track_caller]
fn both(world: &World, beginning: &str) {
    let node = json!({ "metadata": { "name": "iris" } });
    for told in [world.problems(), of_cluster(world, &[node]), of_cluster(world, &[])] {
        assert!(told.len() == 1 && told[0].starts_with(beginning), "{beginning}: {told:#?}");
    }
}

#[test]
fn good_objects_have_no_problem() {
    let world = World::new();
    assert_eq!((world.problems(), of_cluster(&world, &[])), (vec![], vec![]));
}

#[test]
fn what_one_object_says_wrong_is_on_that_object_and_the_others_work() {
    let mut world = World::new();
    world.service("web", "192.0.2.1");
    world.peer("bad", &json!({ "peerAddress": "nowhere" }));
    both(&world, "BGPPeer bad: spec.peerAddress: invalid BGPPeer address `nowhere`");
    remove(&mut world.snapshot.peers, "bad");
    world.advertise("bad", &json!({ "aggregationLength": 40 }));
    both(&world, "BGPAdvertisement bad: spec.aggregationLength: invalid aggregation length 40");
    remove(&mut world.snapshot.advertisements, "bad");
    world.community("bad", &[("x", "1:x")]);
    both(&world, "Community bad: spec.communities[0].value: invalid community value `1:x`");
    assert_eq!(world.told("tor"), ["192.0.2.1/32"]);
}

#[test]
fn names_that_nobody_has_are_told() {
    for (change, beginning, is_used) in [
        (
            json!({ "communities": ["quiet"] }),
            "BGPAdvertisement all: spec.communities[0]: `quiet` is neither a community nor a name that a Community gives",
            false,
        ),
        (
            json!({ "ipAddressPools": ["pool", "gone"] }),
            "BGPAdvertisement all: spec.ipAddressPools[1]: there is no IPAddressPool `gone` in namespace metallb-system",
            true,
        ),
        (
            json!({ "peers": ["tor", "gone"] }),
            "BGPAdvertisement all: spec.peers[1]: there is no BGPPeer `gone` in namespace metallb-system",
            true,
        ),
    ] {
        let mut world = World::new();
        world.service("web", "192.0.2.1");
        world.advertise("all", &change);
        both(&world, beginning);
        assert_eq!(world.told("tor").len(), usize::from(is_used), "{change}");
    }
    let mut world = World::new();
    world.peer("tor", &json!({ "bfdProfile": "gone" }));
    both(&world, "BGPPeer tor: spec.bfdProfile: there is no BFDProfile `gone` in namespace metallb-system: make it");
}

#[test]
fn a_name_for_a_community_is_given_once() {
    let mut world = World::new();
    world.community("a", &[("quiet", "1:1")]);
    world.community("b", &[("quiet", "1:2")]);
    both(&world, "Community b: spec.communities[0].name: duplicate name `quiet`: Community `a` has it, and is used");
    world.service("web", "192.0.2.1");
    world.advertise("all", &json!({ "communities": ["quiet"] }));
    assert_eq!(world.told("tor"), ["192.0.2.1/32 1:1"]);
}

/// MetalLB's example: 26 with an entry of /28 (metallb.md section 10.5).
#[test]
fn an_aggregate_larger_than_the_pool_is_refused_for_that_pool() {
    let mut world = World::new();
    world.service("web", "192.0.2.1");
    world.pool("small", &json!({ "addresses": ["203.0.113.0/28"] }));
    world.address("203.0.113.1", "web", "metallb-system/small");
    world.advertise("all", &json!({ "aggregationLength": 26 }));
    both(
        &world,
        "BGPAdvertisement all: spec.aggregationLength: invalid aggregation length 26: prefix 28 in this pool is more \
         specific than the aggregation length for addresses 203.0.113.0-203.0.113.15 of IPAddressPool `small`: write 28",
    );
    assert_eq!(world.told("tor"), ["192.0.2.0/26"]);
    // A range counts by the largest block in it.
    world.pool("small", &json!({ "addresses": ["203.0.113.0-203.0.113.70"] }));
    assert_eq!((world.problems(), world.told("tor").len()), (vec![], 2));
}

/// MetalLB's rule: one pool, a length and a peer in common, and a node.
#[test]
fn local_preferences_that_conflict_are_found() {
    let rack = |name: &str| json!([{ "matchLabels": { "rack": name } }]);
    for (other, conflicts) in [
        (json!({ "localPref": 200 }), true),
        (json!({ "localPref": 100 }), false),
        (json!({ "localPref": 200, "aggregationLength": 24 }), true),
        (json!({ "localPref": 200, "aggregationLength": 24, "aggregationLengthV6": 64 }), false),
        (json!({ "localPref": 200, "peers": ["tor"] }), true),
        (json!({ "localPref": 200, "ipAddressPools": ["other"] }), false),
        (json!({ "localPref": 200, "nodeSelectors": rack("a") }), true),
        (json!({ "localPref": 200, "nodeSelectors": rack("b") }), false),
        // Judged with the Service.
        (json!({ "localPref": 200, "serviceSelectors": [{ "matchLabels": { "a": "b" } }] }), false),
    ] {
        let mut world = World::new();
        let node = json!({ "metadata": { "name": "iris", "labels": { "rack": "a" } } });
        world.node(&node);
        world.pool("other", &json!({ "addresses": ["203.0.113.0/24"] }));
        world.advertise("all", &json!({ "localPref": 100, "ipAddressPools": ["pool"] }));
        world.advertise("more", &other);
        let beginning = "BGPAdvertisement more: spec.localPref: invalid local preference 200: local preference 100 was \
            already set for the same type of BGP update by BGPAdvertisement `all`, which is used for IPAddressPool `pool`";
        for told in [world.problems(), of_cluster(&world, &[node])] {
            match conflicts {
                true => assert!(told.len() == 1 && told[0].starts_with(beginning), "{other}: {told:#?}"),
                false => assert_eq!(told, Vec::<String>::new(), "{other}"),
            }
        }
        world.service("web", "192.0.2.1");
        assert!(world.told("tor").contains(&"192.0.2.1/32 lp 100".to_owned()), "{other}: the first stays");
    }
}

#[test]
fn peers_of_one_advertisement_each_conflict_with_nobody() {
    let mut world = World::new();
    world.peer("edge", &json!({ "peerAddress": "198.51.100.2" }));
    world.advertise("all", &json!({ "localPref": 100, "peers": ["tor"] }));
    world.advertise("more", &json!({ "localPref": 200, "peers": ["edge"] }));
    world.service("web", "192.0.2.1");
    assert_eq!(
        (world.problems(), world.told("tor"), world.told("edge")),
        (vec![], vec!["192.0.2.1/32 lp 100".to_owned()], vec!["192.0.2.1/32 lp 200".to_owned()],)
    );
}

#[test]
fn a_conflict_through_service_selectors_is_the_services_and_it_is_not_announced() {
    let mut world = World::new();
    world.service("web", "192.0.2.1");
    world.service("api", "192.0.2.9");
    world.plain_service("web", &json!({}), &json!({ "tier": "front" }));
    world.advertise("all", &json!({ "localPref": 100 }));
    world
        .advertise("front", &json!({ "localPref": 200, "serviceSelectors": [{ "matchLabels": { "tier": "front" } }] }));
    assert_eq!(world.withheld("web"), Some("conflictingAdvertisements"));
    assert_eq!(world.told("tor"), ["192.0.2.9/32 lp 100"]);
    let told = world.problems();
    let beginning = "Service default/web: metadata.labels: conflictingAdvertisements: BGPAdvertisement `all` and \
        BGPAdvertisement `front` have conflicting LOCAL_PREF (100 vs 200)";
    assert!(told.len() == 1 && told[0].starts_with(beginning), "{told:#?}");
}

#[test]
fn an_aggregate_of_two_pools_has_the_highest_preference_and_that_is_told() {
    let mut world = World::new();
    world.pool("pool", &json!({ "addresses": ["192.0.2.0/25"] }));
    world.pool("other", &json!({ "addresses": ["192.0.2.128/25"] }));
    world.service("web", "192.0.2.1");
    world.service("api", "192.0.2.129");
    world.address("192.0.2.129", "api", "metallb-system/other");
    world.advertise("all", &json!({ "ipAddressPools": ["pool"], "localPref": 100, "aggregationLength": 25 }));
    world.advertise("more", &json!({ "ipAddressPools": ["other"], "localPref": 200, "aggregationLength": 25 }));
    assert_eq!(world.problems(), Vec::<String>::new());
    world.pool("pool", &json!({ "addresses": ["192.0.2.0/24"] }));
    world.pool("other", &json!({ "addresses": ["192.0.2.0/24"] }));
    world.advertise("all", &json!({ "ipAddressPools": ["pool"], "localPref": 100, "aggregationLength": 24 }));
    world.advertise("more", &json!({ "ipAddressPools": ["other"], "localPref": 200, "aggregationLength": 24 }));
    assert_eq!(world.told("tor"), ["192.0.2.0/24 lp 200"]);
    let told = world.problems();
    let beginning = "BGPAdvertisement all: spec.localPref: 100 is for a prefix that BGPAdvertisement `more` announces";
    assert!(told.len() == 1 && told[0].starts_with(beginning), "{told:#?}");
}

#[test]
fn peers_meet_on_nodes_that_both_select() {
    let mut world = World::new();
    let rack = |name: &str| json!({ "nodeSelectors": [{ "matchLabels": { "rack": name } }] });
    world.peer("tor", &rack("a"));
    world.peer("twin", &rack("b"));
    let node = |racks: &str| json!({ "metadata": { "name": racks, "labels": { "rack": racks } } });
    assert_eq!(of_cluster(&world, &[node("a"), node("b")]), Vec::<String>::new());
    world.peer("twin", &rack("a"));
    let told = of_cluster(&world, &[node("a"), node("b")]);
    assert!(told.len() == 1 && told[0].contains("already exists"), "{told:#?}");
}
