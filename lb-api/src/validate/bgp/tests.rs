//! Everything that can be wrong with an object of BGP, seen alone: one message, on one field, and whether the object works
//! all the same.

use serde_json::{Value, json};

use super::*;
use crate::{
    bgp::{BfdMethod, Families, Hops, PeerAs, PeerSettings, Remote, Signing},
    metallb::{BFDProfile, BGPAdvertisement, BGPPeer, Community},
    names::bgp_annotation as annotation,
};

/// A good object with some fields of its spec, or annotations, changed. `null` takes a field away.
fn object<K: serde::de::DeserializeOwned>(good: &Value, change: &Value) -> K {
    let mut tree = json!({ "metadata": { "name": "x", "namespace": "metallb-system" }, "spec": good });
    for (name, value) in change.as_object().into_iter().flatten() {
        if name.contains('/') {
            tree["metadata"]["annotations"][name] = value.clone();
        } else {
            tree["spec"][name] = value.clone();
        }
    }
    if let Some(spec) = tree["spec"].as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(tree).expect("test data")
}

fn peer(change: &Value) -> BGPPeer {
    object(&json!({ "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1" }), change)
}

fn settings(change: &Value) -> PeerSettings {
    let (settings, problems) = bgp_peer_settings(&peer(change));
    assert_eq!(problems, [], "{change}");
    settings.expect("a good peer")
}

/// One problem, whose text begins so; `works`: the object is used all the same.
#[track_caller]
fn one<T>((read, problems): (Option<T>, Vec<Problem>), works: bool, beginning: &str, change: &Value) {
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].starts_with(beginning), "{change}: {told:#?}");
    assert_eq!(read.is_some(), works, "{change}");
}

const PASSIVE: &str = annotation::PASSIVE;

type Cases = Vec<(Value, &'static str)>;

/// Whose AS is whose.
fn of_the_sides() -> Cases {
    vec![
        (json!({ "myASN": null }), "spec.myASN: is missing: write the AS number of this side"),
        (json!({ "myASN": 23456 }), "spec.myASN: 23456 stands for numbers of four octets"),
        (json!({ "peerASN": null }), "spec.peerASN: missing peer ASN and dynamicASN: write the peer's AS number"),
        (json!({ "peerASN": 0 }), "spec.peerASN: missing peer ASN and dynamicASN"),
        (json!({ "peerASN": 23456 }), "spec.peerASN: 23456 stands for"),
        (json!({ "dynamicASN": "external" }), "spec.dynamicASN: both peer ASN and dynamicASN specified: leave one"),
        (
            json!({ "peerASN": null, "dynamicASN": "both" }),
            "spec.dynamicASN: invalid dynamicASN `both`: write `internal`",
        ),
        (json!({ "localASN": 0 }), "spec.localASN: is 0: write the AS number"),
        (json!({ "localASN": 64512 }), "spec.localASN: is myASN: leave it out"),
        (json!({ "localASN": 64513 }), "spec.localASN: is peerASN:"),
        (json!({ "localASN": 64514, "peerASN": 64512 }), "spec.localASN: is for peers of another AS than myASN"),
        (
            json!({ "localASN": 1, "peerASN": null, "dynamicASN": "internal" }),
            "spec.localASN: is for peers of another AS",
        ),
        (json!({ "localASN": 23456 }), "spec.localASN: 23456 stands for"),
    ]
}

/// Where the peer is, and from where it is talked to.
fn of_the_place() -> Cases {
    vec![
        (json!({ "peerAddress": null }), "spec.peerAddress: peer has no Address or Interface specified: write"),
        (json!({ "interface": "eth1" }), "spec.interface: peer has both Address and Interface specified: leave one"),
        (json!({ "peerAddress": "192.0.2.300" }), "spec.peerAddress: invalid BGPPeer address `192.0.2.300`: write an"),
        (json!({ "peerAddress": "fe80::1" }), "spec.peerAddress: invalid BGPPeer address `fe80::1`: it is link-local"),
        (
            json!({ "peerAddress": "224.0.0.5" }),
            "spec.peerAddress: invalid BGPPeer address `224.0.0.5`: it is the address of",
        ),
        (json!({ "peerAddress": "0.0.0.0" }), "spec.peerAddress: invalid BGPPeer address `0.0.0.0`"),
        (
            json!({ "peerAddress": null, "interface": "an-interface-name" }),
            "spec.interface: `an-interface-name` is not",
        ),
        (json!({ "vrf": "red vrf" }), "spec.vrf: `red vrf` is not the name of an interface"),
        (json!({ "peerPort": 20000 }), "spec.peerPort: 20000 is out of range: write 1 to 16384"),
        (json!({ "routerID": "2001:db8::1" }), "spec.routerID: invalid router ID `2001:db8::1`: write four numbers"),
        (json!({ "routerID": "0.0.0.0" }), "spec.routerID: invalid router ID `0.0.0.0`"),
        (json!({ "sourceAddress": "node" }), "spec.sourceAddress: invalid source IP `node`: write an address"),
        (json!({ "sourceAddress": "2001:db8::9" }), "spec.sourceAddress: 2001:db8::9 is of another family"),
        (
            json!({ "peerAddress": null, "interface": "eth1", "sourceAddress": "192.0.2.9" }),
            "spec.sourceAddress: is set, and interface as well",
        ),
    ]
}

/// Timers, passwords, annotations.
fn of_the_manner() -> Cases {
    vec![
        (json!({ "holdTime": "90" }), "spec.holdTime: `90` is not a duration: write it as `90s`"),
        (json!({ "holdTime": "2s" }), "spec.holdTime: invalid hold time 2s: must be 0 or >=3s"),
        (json!({ "holdTime": "500ms" }), "spec.holdTime: invalid hold time 500ms: must be 0 or >=3s"),
        (
            json!({ "holdTime": "19h" }),
            "spec.holdTime: invalid hold time 68400s: must be 0 or >=3s, and at most 65535s",
        ),
        (json!({ "keepaliveTime": "7h" }), "spec.keepaliveTime: makes a hold time of 75600s"),
        (
            json!({ "holdTime": "9s", "keepaliveTime": "10s" }),
            "spec.keepaliveTime: invalid keepaliveTime: must be lower",
        ),
        (
            json!({ "holdTime": "0s", "keepaliveTime": "10s" }),
            "spec.keepaliveTime: invalid keepaliveTime: must be lower",
        ),
        (json!({ "connectTime": "0s" }), "spec.connectTime: connect time should be between 1 seconds to 65535"),
        (json!({ "connectTime": "1500ms" }), "spec.connectTime: connect time should be between"),
        (
            json!({ "password": "a", "passwordSecret": { "name": "b" } }),
            "spec.passwordSecret: can not have both password and secret ref set: leave one of them out",
        ),
        (json!({ "password": "x".repeat(81) }), "spec.password: has 81 octets: TCP MD5 takes at most 80"),
        (json!({ "passwordSecret": { "namespace": "b" } }), "spec.passwordSecret.name: is missing"),
        (json!({ PASSIVE: "yes" }), "metadata.annotations[lb.herald.dev/bgp-passive]: `yes` is neither"),
        (
            json!({ annotation::TTL_SECURITY: "0" }),
            "metadata.annotations[lb.herald.dev/bgp-ttl-security]: `0` is not a number",
        ),
        (
            json!({ annotation::TTL_SECURITY: "+1" }),
            "metadata.annotations[lb.herald.dev/bgp-ttl-security]: `+1` is not",
        ),
        (
            json!({ annotation::TCP_AO_KEY_ID: "300" }),
            "metadata.annotations[lb.herald.dev/bgp-tcp-ao-key-id]: `300` is not",
        ),
        (
            json!({ annotation::TCP_AO_KEY_ID: "1" }),
            "metadata.annotations[lb.herald.dev/bgp-tcp-ao-key-id]: TCP-AO needs",
        ),
    ]
}

/// What changes nothing.
fn superfluous() -> Cases {
    let twice = json!([{ "matchLabels": { "a": "b" } }, { "matchLabels": { "a": "b" } }]);
    vec![
        (json!({ "nodeSelectors": twice }), "spec.nodeSelectors[1]: duplicate selector"),
        (
            json!({ "nodeSelectors": [{ "matchExpressions": [{ "key": "a", "operator": "Is" }] }] }),
            "spec.nodeSelectors[0].matchExpressions[0].operator: `Is` is not an operator",
        ),
        (
            json!({ "peerASN": 64512, "ebgpMultiHop": true }),
            "spec.ebgpMultiHop: invalid ebgp-multihop parameter set for",
        ),
        (json!({ "disableMP": true }), "spec.disableMP: is deprecated and changes nothing"),
        (
            json!({ "passwordSecret": { "name": "a", "namespace": "b" } }),
            "spec.passwordSecret.namespace: `b` is not looked at: the Secret is read from `metallb-system`",
        ),
    ]
}

#[test]
fn everything_wrong_with_a_peer_is_one_message() {
    for (change, beginning) in [of_the_sides(), of_the_place(), of_the_manner()].concat() {
        one(bgp_peer_settings(&peer(&change)), false, beginning, &change);
    }
    for (change, beginning) in superfluous() {
        one(bgp_peer_settings(&peer(&change)), true, beginning, &change);
    }
}

#[test]
fn a_peer_is_read_with_its_defaults() {
    let read = settings(&json!({}));
    assert_eq!(read.remote, Remote::Address("192.0.2.1".parse().expect("an address")));
    assert_eq!((read.port, read.local_as, read.peer_as), (179, 64512, PeerAs::Exactly(64513)));
    assert_eq!((read.hold_time, read.keepalive, read.connect_retry), (None, None, None));
    assert_eq!(
        (read.hops, read.passive, read.graceful_restart, read.signing),
        (Hops::Direct, false, false, Signing::Md5)
    );
    assert_eq!(read.families, Families { ipv4: true, ipv6: false });
    assert_eq!((read.router_id, read.source, read.vrf), (None, None, None));
}

#[test]
fn the_older_version_reads_as_the_newer_and_port_0_is_179() {
    let read = settings(&json!({ "peerPort": 0, "holdTime": "", "routerID": "", "sourceAddress": "" }));
    assert_eq!((read.port, read.hold_time, read.router_id, read.source), (179, None, None, None));
}

#[test]
fn timers_default_as_in_metallb_and_keepalive_is_capped_as_in_frr() {
    for (hold, keepalive, expected) in [
        (None, None, (None, None)),
        (Some("90s"), None, (Some(90), None)),
        (None, Some("20s"), (Some(60), Some(20))),
        (Some("90s"), Some("10s"), (Some(90), Some(10))),
        (Some("90s"), Some("90s"), (Some(90), Some(30))),
        (Some("3500ms"), None, (Some(3), None)),
        (Some("0s"), Some("0s"), (Some(0), None)),
        (Some("0s"), None, (Some(0), None)),
        (None, Some("0s"), (Some(0), None)),
        (Some("90s"), Some("0s"), (Some(90), None)),
    ] {
        let read = settings(&json!({ "holdTime": hold, "keepaliveTime": keepalive }));
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs());
        assert_eq!((seconds(read.hold_time), seconds(read.keepalive)), expected, "{hold:?} {keepalive:?}");
    }
}

#[test]
fn hops_follow_the_sides_of_the_as_and_what_is_asked_for() {
    for (change, hops) in [
        (json!({}), Hops::Direct),
        (json!({ "ebgpMultiHop": true }), Hops::Multi { ttl: 255 }),
        (json!({ "peerASN": 64512 }), Hops::Multi { ttl: 255 }),
        (json!({ "peerASN": null, "dynamicASN": "internal" }), Hops::Multi { ttl: 255 }),
        (json!({ "peerASN": null, "dynamicASN": "external" }), Hops::Direct),
        (json!({ annotation::TTL_SECURITY: "1" }), Hops::Secured { hops: 1 }),
        (json!({ "ebgpMultiHop": true, annotation::TTL_SECURITY: "3" }), Hops::Secured { hops: 3 }),
    ] {
        assert_eq!(settings(&change).hops, hops, "{change}");
    }
    assert_eq!(settings(&json!({ "localASN": 64514 })).local_as, 64514);
}

#[test]
fn families_are_those_of_the_transport_or_both() {
    let families = |change: Value| {
        let Families { ipv4, ipv6 } = settings(&change).families;
        (ipv4, ipv6)
    };
    assert_eq!(families(json!({ "peerAddress": "2001:db8::1" })), (false, true));
    assert_eq!(families(json!({ "peerAddress": "2001:db8::1", "dualStackAddressFamily": true })), (true, true));
    assert_eq!(families(json!({ "dualStackAddressFamily": true })), (true, true));
    assert_eq!(families(json!({ "peerAddress": null, "interface": "eth1" })), (true, true));
}

fn advertisement(change: &Value) -> BGPAdvertisement {
    object(&json!({}), change)
}

#[test]
fn everything_wrong_with_a_bgp_advertisement_is_one_message() {
    let selector = json!([{ "matchLabels": { "a": "b" } }]);
    let twice = json!([{ "matchLabels": { "a": "b" } }, { "matchLabels": { "a": "b" } }]);
    for (change, beginning) in [
        (json!({ "aggregationLength": 0 }), "spec.aggregationLength: invalid aggregation length 0: write 1 to 32"),
        (json!({ "aggregationLength": 33 }), "spec.aggregationLength: invalid aggregation length 33"),
        (
            json!({ "aggregationLengthV6": 129 }),
            "spec.aggregationLengthV6: invalid aggregation length 129: write 1 to 128",
        ),
        (json!({ "aggregationLengthV6": -1 }), "spec.aggregationLengthV6: invalid aggregation length -1"),
        (json!({ "localPref": -1 }), "spec.localPref: -1 is no LOCAL_PREF"),
        (json!({ "localPref": 4_294_967_296_i64 }), "spec.localPref: 4294967296 is no LOCAL_PREF: write 1 to"),
        (
            json!({ "communities": ["1:65536"] }),
            "spec.communities[0]: invalid community value `1:65536`: invalid section",
        ),
        (json!({ "communities": ["1:2:3:4"] }), "spec.communities[0]: invalid community value `1:2:3:4`: expected"),
        (json!({ "communities": ["large:1:2"] }), "spec.communities[0]: invalid community value `large:1:2`: write"),
        (json!({ "communities": [""] }), "spec.communities[0]: is empty: write 64512:100"),
        (
            json!({ "serviceSelectors": selector, "aggregationLength": 24 }),
            "spec.serviceSelectors: serviceSelectors and aggregationLength are mutually exclusive",
        ),
        (
            json!({ "serviceSelectors": selector, "aggregationLengthV6": 64 }),
            "spec.serviceSelectors: serviceSelectors and aggregationLength are mutually exclusive",
        ),
    ] {
        one(bgp_advertisement_settings(&advertisement(&change)), false, beginning, &change);
    }
    for (change, beginning) in [
        (json!({ "ipAddressPools": ["a", "a"] }), "spec.ipAddressPools[1]: duplicate pool `a`: each stands once"),
        (json!({ "peers": ["a", "a"] }), "spec.peers[1]: duplicate peer `a`: each stands once"),
        (json!({ "communities": ["1:2", "1:2"] }), "spec.communities[1]: duplicate community `1:2`: each stands once"),
        (json!({ "ipAddressPoolSelectors": twice }), "spec.ipAddressPoolSelectors[1]: duplicate selector"),
        (json!({ "nodeSelectors": twice }), "spec.nodeSelectors[1]: duplicate selector"),
        (json!({ "serviceSelectors": twice }), "spec.serviceSelectors[1]: duplicate selector"),
    ] {
        one(bgp_advertisement_settings(&advertisement(&change)), true, beginning, &change);
    }
}

#[test]
fn an_advertisement_is_read_with_its_defaults() {
    let (read, problems) = bgp_advertisement_settings(&advertisement(&json!({})));
    let plain = AdvertisementSettings { length_v4: 32, length_v6: 128, local_pref: None, communities: Vec::new() };
    assert_eq!((read, problems), (Some(plain), vec![]));
    let change = json!({ "localPref": 0, "communities": ["no-advertise", "1:2", "large:1:2:3", "1:2"] });
    let read = bgp_advertisement_settings(&advertisement(&change)).0.expect("it can be used");
    assert_eq!(read.local_pref, None);
    let values: Vec<Option<CommunityValue>> = read.communities.iter().map(|community| community.value).collect();
    assert_eq!(values, [None, Some(CommunityValue::Plain(0x1_0002)), Some(CommunityValue::Large([1, 2, 3]))]);
}

#[test]
fn everything_wrong_with_a_profile_is_one_message() {
    let profile = |change: &Value| object::<BFDProfile>(&json!({}), change);
    let (method, secret) = (annotation::BFD_AUTHENTICATION, annotation::BFD_SECRET);
    for (change, beginning) in [
        (json!({ "receiveInterval": 9 }), "spec.receiveInterval: 9 is out of range: write 10 to 60000 milliseconds"),
        (json!({ "transmitInterval": 60001 }), "spec.transmitInterval: 60001 is out of range: write 10 to 60000"),
        (json!({ "echoInterval": 0 }), "spec.echoInterval: 0 is out of range"),
        (json!({ "detectMultiplier": 1 }), "spec.detectMultiplier: 1 is out of range: write 2 to 255"),
        (json!({ "detectMultiplier": 256 }), "spec.detectMultiplier: 256 is out of range: write 2 to 255"),
        (json!({ "minimumTtl": 255 }), "spec.minimumTtl: 255 is out of range: write 1 to 254"),
        (
            json!({ method: "md5", secret: "k" }),
            "metadata.annotations[lb.herald.dev/bfd-authentication]: `md5` is unknown: write",
        ),
        (json!({ method: "keyed-md5" }), "metadata.annotations[lb.herald.dev/bfd-secret]: is missing: name the Secret"),
        (
            json!({ secret: "k" }),
            "metadata.annotations[lb.herald.dev/bfd-secret]: needs lb.herald.dev/bfd-authentication",
        ),
        (
            json!({ method: "keyed-md5", secret: "k", annotation::BFD_KEY_ID: "256" }),
            "metadata.annotations[lb.herald.dev/bfd-key-id]: `256` is not a number from 0 to 255",
        ),
    ] {
        one(bfd_settings(&profile(&change)), false, beginning, &change);
    }
    let (read, problems) = bfd_settings(&profile(&json!({})));
    let read = read.expect("it can be used");
    assert_eq!(problems, []);
    assert_eq!((read.receive.as_millis(), read.transmit.as_millis(), read.echo_receive.as_millis()), (300, 300, 50));
    assert_eq!((read.multiplier, read.minimum_ttl, read.echo_transmit, read.authentication), (3, 254, None, None));
    let change = json!({ "echoMode": true, "echoInterval": 20, method: "keyed-sha1", secret: "k" });
    let read = bfd_settings(&profile(&change)).0.expect("it can be used");
    assert_eq!(read.echo_transmit.map(|echo| echo.as_millis()), Some(20));
    let key = read.authentication.expect("asked for");
    assert_eq!((key.method, key.id, key.secret.as_str()), (BfdMethod::KeyedSha1, 1, "k"));
}

#[test]
fn communities_are_judged_in_metallbs_words() {
    for (value, message) in [
        ("64512:100", None),
        ("large:64512:1:4294967295", None),
        ("99999999:1", Some("spec.communities[0].value: invalid community value `99999999:1`: invalid section")),
        ("1:+1", Some("invalid section")),
        (":1", Some("invalid section")),
        ("large:1:2:x", Some("write three numbers")),
        ("lar:123:9999:123", Some("expected community to be of format large")),
        ("large:1:2", Some("invalid community value `large:1:2`: write")),
        ("no-export", Some("write 64512:100 or large:64512:1:2")),
    ] {
        let object: Community = object(&json!({ "communities": [{ "name": "x", "value": value }] }), &json!({}));
        let told: Vec<String> = community(&object).iter().map(ToString::to_string).collect();
        match message {
            None => assert_eq!(told, Vec::<String>::new(), "{value}"),
            Some(message) => assert!(told.len() == 1 && told[0].contains(message), "{value}: {told:?}"),
        }
    }
    let twice = json!({ "communities": [{ "name": "x", "value": "1:1" }, { "name": "x", "value": "1:2" }, { "value": "1:3" }] });
    let told: Vec<String> = community(&object(&twice, &json!({}))).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "spec.communities[1].name: duplicate name `x`: each stands once",
            "spec.communities[2].name: is empty: write the name that BGPAdvertisements use",
        ]
    );
}
