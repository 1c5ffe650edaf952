//! Deckhouse's kinds mean what the MetalLB objects mean that Deckhouse renders from them (deckhouse.md section 10.2).

use serde_json::{Value, json};

use super::world::{World, merge, object, put};
use crate::bgp::{Hops, Password, SecretContent, SecretName};

/// A pool, a router `core`, and a configuration `main` that joins them; nothing of MetalLB's.
fn world() -> World {
    let mut world = World::new();
    world.snapshot.peers.clear();
    world.snapshot.advertisements.clear();
    world.snapshot.pools.clear();
    let deckhouse = &mut world.snapshot.deckhouse;
    put(&mut deckhouse.pools, object(None, "pool", &json!({ "addresses": ["192.0.2.0/24"] })));
    peer(&mut world, &json!({}));
    configure(&mut world, &json!({}));
    world.service("web", "192.0.2.1");
    world
}

fn peer(world: &mut World, change: &Value) {
    let mut spec = json!({ "peerAddress": "198.51.100.1", "peerASN": 64513, "myASN": 64512, "holdTime": "3s" });
    merge(&mut spec, change);
    put(&mut world.snapshot.deckhouse.peers, object(None, "core", &spec));
}

fn configure(world: &mut World, change: &Value) {
    let mut spec = json!({
        "mode": "BGP", "bgp": { "peerNames": ["core"] }, "advertisements": [{ "poolNames": ["pool"] }],
    });
    merge(&mut spec, change);
    put(&mut world.snapshot.deckhouse.configurations, object(None, "main", &spec));
}

fn sessions(world: &World) -> Vec<String> {
    world.plan().peers.into_keys().collect()
}

#[test]
fn a_configuration_joins_pools_and_peers() {
    let world = world();
    let plan = world.plan();
    let settings = &plan.peers["core-main"].peer.settings;
    assert_eq!((settings.local_as, settings.port, settings.hops), (64512, 179, Hops::Multi { ttl: 255 }));
    assert_eq!(settings.hold_time.map(|hold| hold.as_secs()), Some(3));
    assert_eq!((world.told("core-main"), world.problems()), (vec!["192.0.2.1/32".to_owned()], vec![]));
}

#[test]
fn a_peer_nobody_names_is_talked_to_by_nobody() {
    let mut world = world();
    world.snapshot.deckhouse.configurations.clear();
    assert_eq!(sessions(&world), Vec::<String>::new());
}

#[test]
fn nodes_are_those_of_the_configuration_and_those_with_an_address_of_their_own() {
    let mut world = world();
    configure(&mut world, &json!({ "nodeSelector": { "rack": "a" } }));
    assert_eq!(sessions(&world), Vec::<String>::new());
    world.node(&json!({ "metadata": { "labels": { "rack": "a" } } }));
    assert_eq!(sessions(&world), ["core-main"]);
    world.node(&json!({}));
    peer(&mut world, &json!({ "sourceAddresses": [{ "nodeName": "iris", "address": "198.51.100.9" }] }));
    assert_eq!(sessions(&world), ["core-node-iris"]);
    let plan = world.plan();
    assert_eq!(plan.peers["core-node-iris"].peer.settings.source, "198.51.100.9".parse().ok());
    assert_eq!(world.told("core-node-iris"), ["192.0.2.1/32"]);
    world.node(&json!({ "metadata": { "labels": { "rack": "a" } } }));
    assert_eq!(sessions(&world), ["core-node-iris"], "not twice");
}

#[test]
fn an_advertisement_says_how() {
    let mut world = world();
    let bgp = json!({ "communities": ["64512:1", "no-export", "none"], "localPref": 200, "aggregationLength": 24 });
    configure(&mut world, &json!({ "advertisements": [{ "poolNames": ["pool"], "bgp": bgp }] }));
    assert_eq!(world.told("core-main"), ["192.0.2.0/24 lp 200 64512:1 65535:65281"]);
}

#[test]
fn a_password_is_in_a_secret_of_any_namespace() {
    let mut world = world();
    peer(&mut world, &json!({ "passwordSecretRef": { "name": "pw", "namespace": "net" } }));
    let name = SecretName { namespace: "net".into(), name: "pw".into() };
    assert!(world.snapshot.needed_secrets().contains(&name));
    assert!(
        world.problems()[0].starts_with("MetalLoadBalancerBGPPeer core: spec.passwordSecretRef.name: secret ref not")
    );
    world.snapshot.secrets.insert(name, SecretContent::Password(Password::new("pw")));
    assert_eq!(world.plan().peers["core-main"].peer.password, Some(Password::new("pw")));
}

#[test]
fn ports_and_bfd_are_deckhouses() {
    let mut world = world();
    peer(&mut world, &json!({ "peerPort": 50179, "bfd": { "receiveInterval": 100 } }));
    let plan = world.plan();
    let peer = &plan.peers["core-main"].peer;
    assert_eq!(peer.settings.port, 50179);
    let bfd = peer.bfd.as_ref().expect("asked for");
    assert_eq!((bfd.profile.as_str(), bfd.settings.receive.as_millis()), ("bfd-core", 100));
}

/// What needs two objects to be wrong names both as the user has written them.
#[test]
fn messages_about_other_objects_name_deckhouses() {
    let one = |local_pref: u32| json!({ "poolNames": ["pool"], "bgp": { "localPref": local_pref } });
    let mut world = world();
    configure(&mut world, &json!({ "advertisements": [one(100), one(200)] }));
    assert_eq!(
        world.problems(),
        [
            "MetalLoadBalancerConfiguration main: spec.advertisements[1].bgp.localPref: invalid local preference 200: local \
          preference 100 was already set for the same type of BGP update by MetalLoadBalancerConfiguration `main` \
          (spec.advertisements[0].bgp), which is used for MetalLoadBalancerPool `pool`: write one local preference, or \
          other peers, nodes or aggregation lengths"
        ]
    );
    let wide = json!({ "poolNames": ["pool"], "bgp": { "aggregationLength": 16 } });
    configure(&mut world, &json!({ "advertisements": [wide] }));
    let told = world.problems();
    let end = "for addresses 192.0.2.0-192.0.2.255 of MetalLoadBalancerPool `pool`: write 24 or more";
    assert!(told.len() == 1 && told[0].ends_with(end), "{told:#?}");
}

#[test]
fn a_peer_that_two_configurations_name_for_one_node_is_one_session_and_that_is_told() {
    let mut world = world();
    let spec = json!({ "mode": "BGP", "bgp": { "peerNames": ["core"] } });
    put(&mut world.snapshot.deckhouse.configurations, object(None, "more", &spec));
    assert_eq!(sessions(&world), ["core-main"]);
    assert_eq!(
        world.problems(),
        ["MetalLoadBalancerBGPPeer core: spec.peerAddress: peer 198.51.100.1 port 179 already exists: two \
          MetalLoadBalancerConfigurations name this peer for one node, and `core-main` is used, `core-more` is not; name it \
          in one of them, or give them node selectors that have no node in common"]
    );
}

#[test]
fn everything_wrong_with_deckhouses_objects_is_one_message() {
    for (change, beginning) in [
        (json!({ "mode": "L2" }), "MetalLoadBalancerConfiguration main: spec.mode: `L2` is unknown: write `BGP`"),
        (json!({ "bgp": null }), "MetalLoadBalancerConfiguration main: spec.bgp.peerNames: is empty: name the"),
        (
            json!({ "bgp": { "peerNames": ["core", "gone"] } }),
            "MetalLoadBalancerConfiguration main: spec.bgp.peerNames[1]: there is no MetalLoadBalancerBGPPeer `gone`",
        ),
        (
            json!({ "advertisements": [{ "poolNames": [] }] }),
            "MetalLoadBalancerConfiguration main: spec.advertisements[0].poolNames: is empty: name the",
        ),
        (
            json!({ "advertisements": [{ "poolNames": ["gone"] }] }),
            "MetalLoadBalancerConfiguration main: spec.advertisements[0].poolNames[0]: there is no MetalLoadBalancerPool",
        ),
        (
            json!({ "advertisements": [{ "poolNames": ["pool"], "bgp": { "aggregationLength": 64 } }] }),
            "MetalLoadBalancerConfiguration main: spec.advertisements[0].bgp.aggregationLength: invalid aggregation length 64",
        ),
    ] {
        let mut world = world();
        configure(&mut world, &change);
        let told = world.problems();
        assert!(told.len() == 1 && told[0].starts_with(beginning), "{change}: {told:#?}");
    }
    let mut world = world();
    peer(&mut world, &json!({ "holdTime": "2s" }));
    let told = world.problems();
    assert!(
        told.len() == 1 && told[0].starts_with("MetalLoadBalancerBGPPeer core: spec.holdTime: invalid hold"),
        "{told:?}"
    );
}
