//! Everything that can be wrong with an object of BGP, seen alone: one message, on one field, and whether the object works
//! all the same.

mod peer;

use serde_json::{Value, json};

use super::*;
use crate::{
    bgp::BfdMethod,
    metallb::{BFDProfile, BGPAdvertisement, Community},
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

/// One problem, whose text begins so; `works`: the object is used all the same.
#[track_caller]
fn one<T>((read, problems): (Option<T>, Vec<Problem>), works: bool, beginning: &str, change: &Value) {
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].starts_with(beginning), "{change}: {told:#?}");
    assert_eq!(read.is_some(), works, "{change}");
}

type Cases = Vec<(Value, &'static str)>;

fn advertisement(change: &Value) -> BGPAdvertisement {
    object(&json!({}), change)
}

/// What makes an advertisement unusable.
fn of_values() -> Cases {
    let selector = json!([{ "matchLabels": { "a": "b" } }]);
    vec![
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
        (
            json!({ "communities": [""] }),
            "spec.communities[0]: is empty: write 64512:100, large:64512:1:2, or a name that a Community gives",
        ),
        (
            json!({ "communities": ["large:1:2:x"] }),
            "spec.communities[0]: invalid community value `large:1:2:x`: invalid section: write three numbers",
        ),
        (
            json!({ "serviceSelectors": selector, "aggregationLength": 24 }),
            "spec.serviceSelectors: serviceSelectors and aggregationLength are mutually exclusive",
        ),
        (
            json!({ "serviceSelectors": selector, "aggregationLengthV6": 64 }),
            "spec.serviceSelectors: serviceSelectors and aggregationLength are mutually exclusive",
        ),
    ]
}

/// What is superfluous in an advertisement.
fn of_lists() -> Cases {
    let twice = json!([{ "matchLabels": { "a": "b" } }, { "matchLabels": { "a": "b" } }]);
    let odd = json!([{ "matchExpressions": [{ "key": "a", "operator": "Is" }] }]);
    vec![
        (
            json!({ "lb.herald.dev/failback": "never" }),
            "metadata.annotations[lb.herald.dev/failback]: is not read on a BGPAdvertisement: leave it out",
        ),
        (json!({ "ipAddressPools": ["a", "a"] }), "spec.ipAddressPools[1]: duplicate pool `a`: each stands once"),
        (json!({ "peers": ["a", "a"] }), "spec.peers[1]: duplicate peer `a`: each stands once"),
        (json!({ "communities": ["1:2", "1:2"] }), "spec.communities[1]: duplicate community `1:2`: each stands once"),
        (json!({ "ipAddressPoolSelectors": twice }), "spec.ipAddressPoolSelectors[1]: duplicate selector"),
        (json!({ "nodeSelectors": twice }), "spec.nodeSelectors[1]: duplicate selector"),
        (json!({ "serviceSelectors": twice }), "spec.serviceSelectors[1]: duplicate selector"),
        (
            json!({ "ipAddressPoolSelectors": odd }),
            "spec.ipAddressPoolSelectors[0].matchExpressions[0].operator: `Is` is not an operator: write In,",
        ),
        (
            json!({ "nodeSelectors": odd }),
            "spec.nodeSelectors[0].matchExpressions[0].operator: `Is` is not an operator",
        ),
        (
            json!({ "serviceSelectors": odd }),
            "spec.serviceSelectors[0].matchExpressions[0].operator: `Is` is not an operator",
        ),
    ]
}

#[test]
fn everything_wrong_with_a_bgp_advertisement_is_one_message() {
    for (change, beginning) in of_values() {
        one(bgp_advertisement_settings(&advertisement(&change)), false, beginning, &change);
    }
    for (change, beginning) in of_lists() {
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
        (json!({ "receiveInterval": 60001 }), "spec.receiveInterval: 60001 is out of range: write 10 to 60000"),
        (json!({ "transmitInterval": 9 }), "spec.transmitInterval: 9 is out of range: write 10 to 60000 milliseconds"),
        (json!({ "echoInterval": 60001 }), "spec.echoInterval: 60001 is out of range: write 10 to 60000 milliseconds"),
        (json!({ "minimumTtl": 0 }), "spec.minimumTtl: 0 is out of range: write 1 to 254"),
        (json!({ "transmitInterval": 60001 }), "spec.transmitInterval: 60001 is out of range: write 10 to 60000"),
        (json!({ "echoInterval": 0 }), "spec.echoInterval: 0 is out of range"),
        (json!({ "detectMultiplier": 1 }), "spec.detectMultiplier: 1 is out of range: write 2 to 255"),
        (json!({ "detectMultiplier": 256 }), "spec.detectMultiplier: 256 is out of range: write 2 to 255"),
        (json!({ "minimumTtl": 255 }), "spec.minimumTtl: 255 is out of range: write 1 to 254"),
        (
            json!({ method: "md5", secret: "k" }),
            "metadata.annotations[lb.herald.dev/bfd-authentication]: `md5` is unknown: write one of simple, keyed-md5, ",
        ),
        (json!({ method: "keyed-md5" }), "metadata.annotations[lb.herald.dev/bfd-secret]: is missing: name the Secret"),
        (
            json!({ secret: "k" }),
            "metadata.annotations[lb.herald.dev/bfd-secret]: needs lb.herald.dev/bfd-authentication beside it",
        ),
        (
            json!({ annotation::BFD_KEY_ID: "1" }),
            "metadata.annotations[lb.herald.dev/bfd-key-id]: needs lb.herald.dev/bfd-authentication beside it",
        ),
        (
            json!({ method: "keyed-md5", secret: "k", annotation::BFD_KEY_ID: "256" }),
            "metadata.annotations[lb.herald.dev/bfd-key-id]: `256` is not a number from 0 to 255",
        ),
    ] {
        one(bfd_settings(&profile(&change)), false, beginning, &change);
    }
    let change = json!({ annotation::PASSIVE: "true" });
    let beginning = "metadata.annotations[lb.herald.dev/bgp-passive]: is not read on a BFDProfile: write one of";
    one(bfd_settings(&profile(&change)), true, beginning, &change);
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
        ("large:1:2:x", Some("invalid section: write three numbers from 0 to 4294967295 as large:64512:1:2")),
        ("large:1:2:4294967296", Some("invalid section: write three numbers from 0 to 4294967295")),
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
    let strange: Community = object(&json!({}), &json!({ "lb.herald.dev/x": "y", "other.dev/x": "y" }));
    let told: Vec<String> = community(&strange).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["metadata.annotations[lb.herald.dev/x]: is not read on a Community: leave it out"]);
}
