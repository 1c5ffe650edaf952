//! Which sessions a node wants, and with what.

use serde_json::json;

use super::world::{NAMESPACE, World};
use crate::bgp::{Password, SecretContent, SecretName};

fn names(world: &World) -> Vec<String> {
    world.plan().peers.into_keys().collect()
}

#[test]
fn a_peer_is_for_the_nodes_that_it_selects() {
    let mut world = World::new();
    for (selectors, labels, is_wanted) in [
        (json!([]), json!({}), true),
        (json!([{}]), json!({}), true),
        (json!([{ "matchLabels": { "rack": "a" } }]), json!({}), false),
        (json!([{ "matchLabels": { "rack": "a" } }]), json!({ "rack": "a" }), true),
        (json!([{ "matchLabels": { "rack": "a" } }, { "matchLabels": { "rack": "b" } }]), json!({ "rack": "b" }), true),
        (
            json!([{ "matchExpressions": [{ "key": "rack", "operator": "DoesNotExist" }] }]),
            json!({ "rack": "b" }),
            false,
        ),
        (json!([{ "matchLabels": { "kubernetes.io/hostname": "iris" } }]), json!({}), true),
        (json!([{ "matchLabels": { "kubernetes.io/hostname": "rose" } }]), json!({}), false),
    ] {
        world.peer("tor", &json!({ "nodeSelectors": selectors }));
        world.node(&json!({ "metadata": { "labels": labels } }));
        assert_eq!(names(&world), if is_wanted { vec!["tor"] } else { vec![] }, "{selectors} {labels}");
    }
}

#[test]
fn objects_of_other_namespaces_are_not_read() {
    let mut world = World::new();
    world.snapshot.namespace = "lb".into();
    assert_eq!(names(&world), Vec::<String>::new());
}

#[test]
fn a_password_comes_from_the_peer_or_its_secret_and_without_it_there_is_no_session() {
    let mut world = World::new();
    world.peer("tor", &json!({ "password": "plain" }));
    assert_eq!(world.plan().peers["tor"].peer.password, Some(Password::new("plain")));
    world.peer("tor", &json!({ "passwordSecret": { "name": "bgp" } }));
    let name = SecretName { namespace: NAMESPACE.into(), name: "bgp".into() };
    assert_eq!(world.snapshot.needed_secrets(), [name.clone()].into());
    assert_eq!(names(&world), Vec::<String>::new());
    let message =
        "BGPPeer tor: spec.passwordSecret.name: secret ref not found: there is no Secret `metallb-system/bgp`";
    assert!(world.problems()[0].starts_with(message), "{:?}", world.problems());
    world.snapshot.secrets.insert(name.clone(), SecretContent::Unusable("secret type mismatch".into()));
    let message = "BGPPeer tor: spec.passwordSecret.name: Secret `metallb-system/bgp`: secret type mismatch";
    assert_eq!(world.problems(), [message]);
    world.snapshot.secrets.insert(name, SecretContent::Password(Password::new("hidden")));
    let plan = world.plan();
    assert_eq!(plan.peers["tor"].peer.password, Some(Password::new("hidden")));
    assert!(!format!("{plan:?} {:?}", world.snapshot).contains("hidden"));
}

#[test]
fn one_session_is_not_made_twice() {
    let mut world = World::new();
    world.peer("twin", &json!({}));
    assert_eq!(names(&world), ["tor"]);
    let message =
        "BGPPeer twin: spec.peerAddress: peer 198.51.100.1 port 179 already exists: BGPPeer `tor` is the same";
    assert!(world.problems()[0].starts_with(message), "{:?}", world.problems());
    // Either end of the connection may be another one.
    for change in [
        json!({ "peerPort": 1179 }),
        json!({ "sourceAddress": "198.51.100.9" }),
        json!({ "vrf": "red" }),
        json!({ "peerAddress": "198.51.100.2" }),
        json!({ "nodeSelectors": [{ "matchLabels": { "rack": "b" } }] }),
    ] {
        world.peer("twin", &change);
        assert_eq!(world.problems(), Vec::<String>::new(), "{change}");
    }
}

#[test]
fn bfd_is_beside_the_session_and_its_absence_does_not_end_it() {
    let mut world = World::new();
    world.peer("tor", &json!({ "bfdProfile": "fast" }));
    assert!(world.plan().peers["tor"].peer.bfd.is_none());
    let message = "BGPPeer tor: spec.bfdProfile: there is no BFDProfile `fast` in namespace metallb-system";
    assert!(world.problems()[0].starts_with(message), "{:?}", world.problems());
    world.profile("fast", &json!({ "receiveInterval": 5 }));
    assert!(world.plan().peers["tor"].peer.bfd.is_none());
    assert!(world.problems()[0].contains("BFDProfile `fast` cannot be used (spec.receiveInterval: 5 is out of range"));
    world.profile("fast", &json!({ "receiveInterval": 50, "transmitInterval": 60, "echoMode": true }));
    let plan = world.plan();
    let bfd = plan.peers["tor"].peer.bfd.as_ref().expect("the profile is good");
    let settings = &bfd.settings;
    assert_eq!((settings.receive.as_millis(), settings.transmit.as_millis(), settings.multiplier), (50, 60, 3));
    assert!(bfd.profile == "fast" && settings.echo_transmit.is_some() && plan.problems.is_empty());
    world.peer("tor", &json!({ "bfdProfile": "fast", "ebgpMultiHop": true }));
    let plan = world.plan();
    let echo = plan.peers["tor"].peer.bfd.as_ref().and_then(|bfd| bfd.settings.echo_transmit);
    assert!(echo.is_none() && world.problems()[0].contains("echoMode, which reaches only a peer on the link"));
}

#[test]
fn packets_of_bfd_are_signed_with_the_key_of_the_profiles_secret() {
    let mut world = World::new();
    world.peer("tor", &json!({ "bfdProfile": "fast" }));
    world.profile("fast", &json!({}));
    let annotations = [("lb.herald.dev/bfd-authentication", "keyed-sha1"), ("lb.herald.dev/bfd-secret", "bfd")];
    let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned()));
    std::sync::Arc::make_mut(&mut world.snapshot.profiles[0]).metadata.annotations = Some(annotations.into());
    let name = SecretName { namespace: NAMESPACE.into(), name: "bfd".into() };
    assert!(world.snapshot.needed_secrets().contains(&name) && world.plan().peers["tor"].peer.bfd.is_none());
    assert!(world.problems()[0].contains("BFDProfile `fast`: secret ref not found"), "{:?}", world.problems());
    world.snapshot.secrets.insert(name.clone(), SecretContent::Password(Password::new("k".repeat(21))));
    assert!(world.problems()[0].contains("has more than 20 octets"), "{:?}", world.problems());
    world.snapshot.secrets.insert(name, SecretContent::Password(Password::new("key")));
    let plan = world.plan();
    let key = plan.peers["tor"].peer.bfd.as_ref().and_then(|bfd| bfd.key.as_ref()).expect("it is signed");
    assert_eq!((key.id, key.secret.reveal()), (1, "key"));
}
