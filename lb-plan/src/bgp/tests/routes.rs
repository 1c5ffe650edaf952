//! What peers are told: prefixes, attributes, and who is told what (metallb.md sections 5.3 and 10.4).

use serde_json::json;

use super::world::{World, named, remove};

fn world() -> World {
    let mut world = World::new();
    world.service("web", "192.0.2.1");
    world.address("2001:db8::1", "web", "metallb-system/pool");
    world
}

#[test]
fn both_families_are_told_where_the_session_has_both() {
    let mut world = world();
    assert_eq!(world.told("tor"), ["192.0.2.1/32", "2001:db8::1/128"]);
    world.peer("tor", &json!({}));
    assert_eq!(world.told("tor"), ["192.0.2.1/32"]);
    world.peer("tor", &json!({ "peerAddress": "2001:db8:1::1" }));
    assert_eq!(world.told("tor"), ["2001:db8::1/128"]);
    world.peer("tor", &json!({ "peerAddress": null, "interface": "eth1" }));
    assert_eq!(world.told("tor").len(), 2);
}

#[test]
fn an_advertisement_gives_local_pref_and_communities() {
    let mut world = world();
    world.community("names", &[("quiet", "65535:65282"), ("site", "large:64512:1:2")]);
    world.advertise("all", &json!({ "localPref": 300, "communities": ["64512:100", "quiet", "site", "large:1:2:3"] }));
    let attributes = "lp 300 64512:100 65535:65282 1:2:3 64512:1:2";
    assert_eq!(world.told("tor"), [format!("192.0.2.1/32 {attributes}"), format!("2001:db8::1/128 {attributes}")]);
    world.advertise("all", &json!({ "localPref": 0 }));
    assert_eq!(world.told("tor"), ["192.0.2.1/32", "2001:db8::1/128"]);
}

#[test]
fn aggregates_are_told_as_long_as_one_service_is_in_them() {
    let mut world = world();
    world.advertise("all", &json!({ "aggregationLength": 26, "aggregationLengthV6": 124 }));
    // A block of the pool is longer than the aggregate only for IPv6: /64 holds a /124.
    assert_eq!(world.told("tor"), ["192.0.2.0/26", "2001:db8::/124"]);
    world.service("api", "192.0.2.9");
    assert_eq!(world.told("tor"), ["192.0.2.0/26", "2001:db8::/124"]);
    world.endpoints("web", &[]);
    assert_eq!(world.told("tor"), ["192.0.2.0/26"]);
    world.endpoints("api", &[]);
    assert_eq!(world.told("tor"), Vec::<String>::new());
}

/// MetalLB's "two adverts": a /32 with communities, a /24 with a local preference of its own.
#[test]
fn two_advertisements_of_different_lengths_are_both_told() {
    let mut world = world();
    world.advertise("all", &json!({ "localPref": 100, "communities": ["1234:2345", "1234:1"] }));
    world.advertise("wide", &json!({ "aggregationLength": 24, "aggregationLengthV6": 64, "localPref": 1000 }));
    assert_eq!(
        world.told("tor"),
        [
            "192.0.2.0/24 lp 1000",
            "192.0.2.1/32 lp 100 1234:1 1234:2345",
            "2001:db8::/64 lp 1000",
            "2001:db8::1/128 lp 100 1234:1 1234:2345",
        ]
    );
    assert_eq!(world.problems(), Vec::<String>::new());
}

#[test]
fn communities_of_several_advertisements_are_united() {
    let mut world = world();
    world.advertise("all", &json!({ "communities": ["1:1"] }));
    world.advertise("more", &json!({ "communities": ["1:2", "large:1:2:3"], "ipAddressPools": ["pool"] }));
    assert_eq!(world.told("tor")[0], "192.0.2.1/32 1:1 1:2 1:2:3");
}

#[test]
fn a_peer_is_told_what_is_for_it() {
    let mut world = world();
    world.peer("edge", &json!({ "peerAddress": "198.51.100.2" }));
    world.advertise("all", &json!({ "peers": ["edge"], "communities": ["1:1"] }));
    world.advertise("other", &json!({ "peers": ["tor"], "communities": ["1:2"] }));
    assert_eq!(world.told("edge"), ["192.0.2.1/32 1:1"]);
    assert_eq!(world.told("tor"), ["192.0.2.1/32 1:2", "2001:db8::1/128 1:2"]);
    remove(&mut world.snapshot.advertisements, "other");
    assert_eq!(world.told("tor"), Vec::<String>::new());
    // ServiceBGPStatus: who is told, by the names of the BGPPeers.
    let plan = world.plan();
    assert_eq!(
        plan.services.get(&named("web")).map(|peers| peers.iter().cloned().collect()),
        Some(vec!["edge".to_owned()])
    );
    world.advertise("all", &json!({}));
    assert_eq!(world.plan().services.get(&named("web")).map(|peers| peers.len()), Some(2));
    world.endpoints("web", &[]);
    assert_eq!(world.plan().services.get(&named("web")), None);
}

#[test]
fn pools_are_selected_by_name_or_label() {
    let mut world = world();
    world.pool("other", &json!({ "addresses": ["203.0.113.0/24"] }));
    world.service("api", "203.0.113.1");
    world.address("203.0.113.1", "api", "metallb-system/other");
    world.advertise("all", &json!({ "ipAddressPools": ["other"] }));
    assert_eq!(world.told("tor"), ["203.0.113.1/32"]);
    world.advertise("all", &json!({ "ipAddressPoolSelectors": [{ "matchLabels": { "net": "a" } }] }));
    assert_eq!(world.told("tor"), Vec::<String>::new());
    for pool in &mut world.snapshot.pools {
        let pool = std::sync::Arc::make_mut(pool);
        pool.metadata.labels = Some([("net".to_owned(), "a".to_owned())].into());
    }
    assert_eq!(world.told("tor").len(), 3);
}

#[test]
fn who_shares_an_address_keeps_it_announced() {
    let mut world = World::new();
    world.service("web", "192.0.2.1");
    world.service("api", "192.0.2.1");
    world.address("192.0.2.1", "web,api", "metallb-system/pool");
    world.endpoints("web", &[]);
    assert_eq!((world.told("tor").len(), world.withheld("web")), (1, Some("noEndpoints")));
    world.endpoints("api", &[]);
    assert_eq!(world.told("tor").len(), 0);
}

#[test]
fn equal_attributes_are_one_value() {
    let mut world = world();
    world.service("api", "192.0.2.9");
    let plan = world.plan();
    let values: Vec<_> = plan.peers["tor"].routes.values().collect();
    assert!(values.len() == 3 && values.iter().all(|value| std::sync::Arc::ptr_eq(value, values[0])));
}
