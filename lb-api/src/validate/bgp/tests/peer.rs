//! Everything that can be wrong with a BGPPeer, and what a good one says.

use serde_json::{Value, json};

use super::{super::*, Cases, object, one};
use crate::{
    bgp::{Families, Hops, PeerAs, PeerSettings, Remote, Signing},
    metallb::BGPPeer,
    names::bgp_annotation as annotation,
};

fn peer(change: &Value) -> BGPPeer {
    object(&json!({ "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1" }), change)
}

fn settings(change: &Value) -> PeerSettings {
    let (settings, problems) = bgp_peer_settings(&peer(change));
    assert_eq!(problems, [], "{change}");
    settings.expect("a good peer")
}

const PASSIVE: &str = annotation::PASSIVE;

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
        (json!({ "localASN": 0 }), "spec.localASN: is 0: write the AS number that this peer is shown, or leave it out"),
        (json!({ "localASN": 64512 }), "spec.localASN: is myASN: leave it out"),
        (json!({ "localASN": 64513 }), "spec.localASN: is peerASN: the peer would be of our own AS; write it"),
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
        (
            json!({ "peerAddress": "192.0.2.300" }),
            "spec.peerAddress: invalid BGPPeer address `192.0.2.300`: write an IPv4 or",
        ),
        (
            json!({ "peerAddress": "fe80::1" }),
            "spec.peerAddress: invalid BGPPeer address `fe80::1`: it is link-local, and the link is not said: write",
        ),
        (
            json!({ "peerAddress": "224.0.0.5" }),
            "spec.peerAddress: invalid BGPPeer address `224.0.0.5`: it is the address of no router",
        ),
        (
            json!({ "peerAddress": "255.255.255.255" }),
            "spec.peerAddress: invalid BGPPeer address `255.255.255.255`: it is the address of no router",
        ),
        (json!({ "peerAddress": "0.0.0.0" }), "spec.peerAddress: invalid BGPPeer address `0.0.0.0`"),
        (
            json!({ "peerAddress": null, "interface": "an-interface-name" }),
            "spec.interface: `an-interface-name` is not",
        ),
        (json!({ "vrf": "red vrf" }), "spec.vrf: `red vrf` is not the name of an interface: write at most 15"),
        (json!({ "peerPort": 20000 }), "spec.peerPort: 20000 is out of range: write 1 to 16384"),
        (json!({ "routerID": "2001:db8::1" }), "spec.routerID: invalid router ID `2001:db8::1`: write four numbers"),
        (json!({ "routerID": "0.0.0.0" }), "spec.routerID: invalid router ID `0.0.0.0`"),
        (json!({ "sourceAddress": "node" }), "spec.sourceAddress: invalid source IP `node`: write an address"),
        (
            json!({ "sourceAddress": "0.0.0.0" }),
            "spec.sourceAddress: invalid source IP `0.0.0.0`: write an address of the",
        ),
        (
            json!({ "sourceAddress": "2001:db8::9" }),
            "spec.sourceAddress: 2001:db8::9 is of another family than peerAddress 192.0.2.1: write one of the same",
        ),
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
        (json!({ "keepaliveTime": "often" }), "spec.keepaliveTime: `often` is not a duration: write it as"),
        (json!({ "connectTime": "5" }), "spec.connectTime: `5` is not a duration: write it as `90s` or `1m30s`"),
        (json!({ "connectTime": "19h" }), "spec.connectTime: connect time should be between 1 seconds to 65535"),
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
        (
            json!({ "passwordSecret": { "namespace": "b" } }),
            "spec.passwordSecret.name: is missing: write the name of a Secret",
        ),
        (
            json!({ PASSIVE: "yes" }),
            "metadata.annotations[lb.herald.dev/bgp-passive]: `yes` is neither `true` nor `false`",
        ),
        (
            json!({ annotation::TTL_SECURITY: "0" }),
            "metadata.annotations[lb.herald.dev/bgp-ttl-security]: `0` is not a number",
        ),
        (
            json!({ annotation::TTL_SECURITY: "255" }),
            "metadata.annotations[lb.herald.dev/bgp-ttl-security]: `255` is not a number from 1 to 254",
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
            "metadata.annotations[lb.herald.dev/bgp-tcp-ao-key-id]: TCP-AO needs a key: write `password` or `passwordSecret`",
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
            json!({ "nodeSelectors": [{ "matchExpressions": [{ "key": "a", "operator": "In" }] }] }),
            "spec.nodeSelectors[0].matchExpressions[0].values: In needs at least one value",
        ),
        (
            json!({ "peerASN": null, "dynamicASN": "internal", "ebgpMultiHop": true }),
            "spec.ebgpMultiHop: invalid ebgp-multihop parameter set for an ibgp peer",
        ),
        (
            json!({ "peerASN": 64512, "ebgpMultiHop": true }),
            "spec.ebgpMultiHop: invalid ebgp-multihop parameter set for",
        ),
        (
            json!({ "lb.herald.dev/bgp-pasive": "true" }),
            "metadata.annotations[lb.herald.dev/bgp-pasive]: is not read on a BGPPeer: write one of lb.herald.dev/bgp-passive, ",
        ),
        (
            json!({ annotation::BFD_SECRET: "k" }),
            "metadata.annotations[lb.herald.dev/bfd-secret]: is not read on a BGPPeer: write one of",
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
