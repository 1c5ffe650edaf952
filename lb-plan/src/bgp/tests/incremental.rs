//! A planner that remembers plans as one that does not; what did not change is the same value; and one change among a
//! thousand Services is cheap.

use std::{sync::Arc, time::Instant};

use proptest::prelude::*;
use serde_json::json;

use super::world::{World, remove, told};
use crate::bgp::{Planner, SecretContent, SecretName};

/// One edit of a small world.
#[derive(Debug, Clone)]
enum Edit {
    Service { name: usize, local: bool, label: bool, is_balancer: bool },
    DeleteService(usize),
    Address { address: usize, names: Vec<usize>, pool: usize },
    DeleteAddress(usize),
    Endpoints { name: usize, node: usize, ready: bool },
    NoEndpoints,
    Node { rack: bool, excluded: bool, cordoned: bool },
    Peer { name: usize, both: bool, here: bool, secret: bool },
    DeletePeer(usize),
    Advertise { name: usize, length: u8, local_pref: u8, peer: Option<usize>, pool: Option<usize>, services: bool },
    DeleteAdvertisement(usize),
    Pool { name: usize, size: u8 },
    Community { value: u8 },
    Secret(bool),
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = 0..3_usize;
    prop_oneof![
        4 => (name.clone(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(name, local, label, is_balancer)| Edit::Service { name, local, label, is_balancer }),
        1 => name.clone().prop_map(Edit::DeleteService),
        4 => (0..4_usize, prop::collection::vec(0..3_usize, 0..3), 0..3_usize)
            .prop_map(|(address, names, pool)| Edit::Address { address, names, pool }),
        1 => (0..4_usize).prop_map(Edit::DeleteAddress),
        5 => (name.clone(), 0..3_usize, any::<bool>())
            .prop_map(|(name, node, ready)| Edit::Endpoints { name, node, ready }),
        1 => Just(Edit::NoEndpoints),
        1 => (any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(rack, excluded, cordoned)| Edit::Node { rack, excluded, cordoned }),
        2 => (0..2_usize, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(name, both, here, secret)| Edit::Peer { name, both, here, secret }),
        1 => (0..2_usize).prop_map(Edit::DeletePeer),
        3 => (name.clone(), 24..=32_u8, 0..3_u8, prop::option::of(0..2_usize), prop::option::of(0..3_usize), any::<bool>())
            .prop_map(|(name, length, local_pref, peer, pool, services)| {
                Edit::Advertise { name, length, local_pref, peer, pool, services }
            }),
        1 => name.clone().prop_map(Edit::DeleteAdvertisement),
        1 => (0..2_usize, 24..=30_u8).prop_map(|(name, size)| Edit::Pool { name, size }),
        1 => (0..3_u8).prop_map(|value| Edit::Community { value }),
        1 => any::<bool>().prop_map(Edit::Secret),
    ]
}

const ADDRESSES: [&str; 4] = ["192.0.2.1", "192.0.2.2", "192.0.2.70", "2001:db8::1"];
const POOLS: [&str; 3] = ["metallb-system/p0", "metallb-system/p1", ""];

fn apply(world: &mut World, edit: &Edit) {
    let service = |name: usize| format!("s{name}");
    match edit {
        Edit::Service { name, local, label, is_balancer } => {
            let policy = if *local { "Local" } else { "Cluster" };
            let type_ = if *is_balancer { "LoadBalancer" } else { "ClusterIP" };
            let labels = if *label { json!({ "tier": "front" }) } else { json!({}) };
            world.plain_service(&service(*name), &json!({ "type": type_, "externalTrafficPolicy": policy }), &labels);
        }
        Edit::DeleteService(name) => remove(&mut world.snapshot.services, &service(*name)),
        Edit::Address { address, names, pool } => {
            let names: Vec<String> = names.iter().map(|name| service(*name)).collect();
            world.address(ADDRESSES[*address], &names.join(","), POOLS[*pool]);
        }
        Edit::DeleteAddress(address) => remove(&mut world.snapshot.virtual_ips, ADDRESSES[*address]),
        Edit::Endpoints { name, node, ready } => {
            let node = ["iris", "rose", ""][*node];
            world.endpoints(&service(*name), &[(node, json!({ "ready": ready }))]);
        }
        Edit::NoEndpoints => world.snapshot.endpoint_slices.clear(),
        Edit::Node { rack, excluded, cordoned } => {
            let mut labels = json!({ "rack": if *rack { "a" } else { "b" } });
            if *excluded {
                labels["node.kubernetes.io/exclude-from-external-load-balancers"] = json!("");
            }
            world.node(&json!({ "metadata": { "labels": labels }, "spec": { "unschedulable": cordoned } }));
        }
        Edit::Peer { name, both, here, secret } => peer(world, *name, *both, *here, *secret),
        Edit::DeletePeer(name) => remove(&mut world.snapshot.peers, &format!("tor{name}")),
        Edit::Advertise { .. } => advertise(world, edit),
        Edit::DeleteAdvertisement(name) => remove(&mut world.snapshot.advertisements, &format!("a{name}")),
        Edit::Pool { name, size } => {
            world.pool(&format!("p{name}"), &json!({ "addresses": [format!("192.0.2.0/{size}"), "2001:db8::/64"] }));
        }
        Edit::Community { value: 0 } => world.snapshot.communities.clear(),
        Edit::Community { value } => world.community("names", &[("alias", &format!("7:{value}"))]),
        Edit::Secret(there) => {
            let name = SecretName { namespace: "metallb-system".into(), name: "pw".into() };
            world.snapshot.secrets.clear();
            if *there {
                world.snapshot.secrets.insert(name, SecretContent::Password(crate::bgp::Password::new("pw")));
            }
        }
    }
}

fn peer(world: &mut World, name: usize, both: bool, here: bool, secret: bool) {
    let selectors = if here { json!([]) } else { json!([{ "matchLabels": { "rack": "a" } }]) };
    let secret = if secret { json!({ "name": "pw" }) } else { json!(null) };
    let change = json!({ "dualStackAddressFamily": both, "nodeSelectors": selectors, "passwordSecret": secret });
    world.peer(&format!("tor{name}"), &change);
}

fn advertise(world: &mut World, edit: &Edit) {
    let Edit::Advertise { name, length, local_pref, peer, pool, services } = edit else { return };
    let communities = [format!("1:{name}"), "alias".to_owned()];
    let mut spec = json!({ "aggregationLength": length, "localPref": local_pref, "communities": communities });
    if let Some(peer) = peer {
        spec["peers"] = json!([format!("tor{peer}")]);
    }
    if let Some(pool) = pool {
        spec["ipAddressPools"] = json!([format!("p{pool}")]);
    }
    if *services {
        spec["aggregationLength"] = json!(32);
        spec["serviceSelectors"] = json!([{ "matchLabels": { "tier": "front" } }]);
    }
    world.advertise(&format!("a{name}"), &spec);
}

proptest! {
    #[test]
    fn a_planner_that_remembers_plans_as_one_that_does_not(edits in prop::collection::vec(edit(), 1..40)) {
        let mut world = World::new();
        world.community("names", &[("alias", "7:7")]);
        let mut planner = Planner::new();
        for edit in &edits {
            apply(&mut world, edit);
            let plan = planner.plan(&world.snapshot);
            prop_assert_eq!(&plan, &world.plan(), "after {:?}", edit);
            let again = planner.plan(&world.snapshot);
            prop_assert!(Arc::ptr_eq(&plan.services, &again.services) && Arc::ptr_eq(&plan.problems, &again.problems));
        }
    }
}

#[test]
fn the_edits_of_the_property_reach_announced_routes() {
    let mut world = World::new();
    world.community("names", &[("alias", "7:7")]);
    for edit in [
        Edit::Pool { name: 0, size: 24 },
        Edit::Peer { name: 0, both: true, here: true, secret: false },
        Edit::Advertise { name: 0, length: 26, local_pref: 2, peer: None, pool: Some(0), services: false },
        Edit::Service { name: 0, local: true, label: true, is_balancer: true },
        Edit::Address { address: 2, names: vec![0], pool: 0 },
        Edit::Endpoints { name: 0, node: 0, ready: true },
    ] {
        apply(&mut world, &edit);
    }
    // `tor` is the same router as `tor0`, and comes first.
    assert_eq!(world.told("tor"), ["192.0.2.64/26 lp 2 1:0 7:7"]);
}

#[test]
fn what_did_not_change_is_the_same_value() {
    let mut world = World::new();
    world.peer("edge", &json!({ "peerAddress": "198.51.100.2" }));
    world.advertise("all", &json!({ "peers": ["tor"] }));
    world.advertise("edge", &json!({ "peers": ["edge"], "serviceSelectors": [{ "matchLabels": { "tier": "edge" } }] }));
    world.service("web", "192.0.2.1");
    let mut planner = Planner::new();
    let before = planner.plan(&world.snapshot);
    world.endpoints("web", &[]);
    let after = planner.plan(&world.snapshot);
    assert_eq!((told(&before, "tor").len(), told(&after, "tor").len()), (1, 0));
    assert!(Arc::ptr_eq(&before.peers["edge"].routes, &after.peers["edge"].routes));
    assert!(Arc::ptr_eq(&before.peers["tor"].peer, &after.peers["tor"].peer));
    // A change of one peer leaves the other's session and routes.
    world.peer("edge", &json!({ "peerAddress": "198.51.100.2", "holdTime": "9s" }));
    let last = planner.plan(&world.snapshot);
    assert!(Arc::ptr_eq(&after.peers["tor"].peer, &last.peers["tor"].peer));
    assert!(Arc::ptr_eq(&after.peers["tor"].routes, &last.peers["tor"].routes));
    assert!(!Arc::ptr_eq(&after.peers["edge"].peer, &last.peers["edge"].peer));
}

/// The bound is a hundredth of what is promised from the API to the wire, and ten times what is seen in an optimised build.
#[test]
fn one_change_among_a_thousand_services_is_cheap() {
    let mut world = World::new();
    for number in 0..1000 {
        let (third, fourth) = (number / 250, number % 250 + 1);
        world.service(&format!("s{number:04}"), &format!("192.0.{third}.{fourth}"));
    }
    world.pool("pool", &json!({ "addresses": ["192.0.0.0/16"] }));
    let mut planner = Planner::new();
    assert_eq!(planner.plan(&world.snapshot).peers["tor"].routes.len(), 1000);
    let mut times = Vec::new();
    for number in 0..100 {
        let name = format!("s{:04}", number * 7);
        world.endpoints(&name, &[]);
        let before = Instant::now();
        let plan = planner.plan(&world.snapshot);
        times.push(before.elapsed());
        assert_eq!(plan.peers["tor"].routes.len(), 999 - number);
    }
    times.sort();
    let median = times[times.len() / 2];
    assert!(median.as_micros() < 5_000, "{median:?}");
}
