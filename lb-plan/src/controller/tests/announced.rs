//! What is wrong with the objects of BGP is told on each of them, once, and stops nothing.

use std::sync::Arc;

use lb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, MetalLoadBalancerConfiguration,
    metallb::{BFDProfileSpec, BGPAdvertisementSpec, BGPPeerSpec, CommunityAlias, CommunitySpec},
};

use super::world::World;

fn peer(name: &str, address: &str) -> BGPPeer {
    let spec = BGPPeerSpec {
        my_asn: 64512,
        peer_asn: Some(64513),
        peer_address: Some(address.into()),
        ..BGPPeerSpec::default()
    };
    let mut peer = BGPPeer::new(name, spec);
    peer.metadata.namespace = Some("metallb-system".into());
    peer
}

fn world() -> World {
    let mut world = World::with(2, &[]);
    world.classes.clear();
    world.pool("a", &["192.0.2.0/30"], |_| {});
    world.service("web", |_| {});
    world
}

/// Kind and note of each warning.
fn told(world: &World) -> Vec<(String, String)> {
    let warnings = world.events.values().filter(|event| event.type_.as_deref() == Some("Warning"));
    let text = warnings.map(|event| {
        let kind = event.regarding.as_ref().and_then(|regarding| regarding.kind.clone());
        (kind.expect("every Event is about something"), event.note.clone().expect("every Event says something"))
    });
    let mut text: Vec<_> = text.collect();
    text.sort();
    text
}

#[test]
fn each_object_of_bgp_hears_what_is_wrong_with_it() {
    let mut world = world();
    let namespace = Some("metallb-system".to_owned());
    let mut advertisement =
        BGPAdvertisement::new("all", BGPAdvertisementSpec { peers: vec!["gone".into()], ..Default::default() });
    let mut profile =
        BFDProfile::new("fast", BFDProfileSpec { detect_multiplier: Some(1), ..BFDProfileSpec::default() });
    let alias = CommunityAlias { name: "x".into(), value: "1".into() };
    let mut community = Community::new("names", CommunitySpec { communities: vec![alias] });
    for metadata in [&mut advertisement.metadata, &mut profile.metadata, &mut community.metadata] {
        metadata.namespace.clone_from(&namespace);
    }
    world.bgp.peers = vec![Arc::new(peer("tor", "198.51.100.1")), Arc::new(peer("twin", "198.51.100.1"))];
    world.bgp.advertisements = vec![Arc::new(advertisement)];
    world.bgp.profiles = vec![Arc::new(profile)];
    world.bgp.communities = vec![Arc::new(community)];
    world.bgp.deckhouse.configurations =
        vec![Arc::new(MetalLoadBalancerConfiguration::new("main", Default::default()))];
    world.settle();
    let expected = [
        ("BFDProfile", "spec.detectMultiplier: 1 is out of range"),
        ("BGPAdvertisement", "spec.peers[0]: there is no BGPPeer `gone`"),
        ("BGPPeer", "spec.peerAddress: peer 198.51.100.1 port 179 already exists: BGPPeer `tor` is the same"),
        ("Community", "spec.communities[0].value: invalid community value `1`"),
        ("MetalLoadBalancerConfiguration", "spec.mode: `` is unknown: write `BGP`"),
    ];
    let told = told(&world);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for ((kind, note), (wanted, beginning)) in told.iter().zip(expected) {
        assert!(kind == wanted && note.starts_with(beginning), "{kind}: {note}");
    }
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
}

#[test]
fn an_object_of_bgp_in_another_namespace_hears_that_it_is_not_read() {
    let mut world = world();
    let mut elsewhere = peer("tor", "nowhere");
    elsewhere.metadata.namespace = Some("default".into());
    world.bgp.peers = vec![Arc::new(elsewhere)];
    world.settle();
    let note = "metadata.namespace: is not read here: make it in namespace `metallb-system`";
    assert_eq!(told(&world), [("BGPPeer".to_owned(), note.to_owned())]);
}

#[test]
fn beside_metallb_its_objects_are_its_own() {
    let mut world = world();
    world.bgp.peers = vec![Arc::new(peer("tor", "nowhere"))];
    world.configuration.reads_metallb = false;
    world.settle();
    assert!(told(&world).iter().all(|(kind, _)| kind != "BGPPeer"));
}
