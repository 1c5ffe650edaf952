//! Every message about a Service, a VirtualIP, a class or an entry of a pool, whole: what is wrong, and what would be right.

use serde_json::{Value, json};

use super::super::*;

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// A good tree with some fields of its spec changed.
fn changed<K: serde::de::DeserializeOwned>(mut good: Value, change: &Value) -> K {
    for (name, value) in change.as_object().into_iter().flatten() {
        match name.strip_prefix("metadata.") {
            Some(name) => good["metadata"][name] = value.clone(),
            None => good["spec"][name] = value.clone(),
        }
    }
    serde_json::from_value(good).expect("test data")
}

#[test]
fn everything_wrong_with_a_service_is_one_message() {
    let good = json!({ "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] } });
    let ports = |first: Value, second: Value| json!({ "ports": [first, second] });
    for (change, message) in [
        (
            json!({ "type": "Loadbalancer" }),
            "spec.type: `Loadbalancer` is unknown: write one of ClusterIP, NodePort, LoadBalancer, ExternalName",
        ),
        (
            json!({ "ipFamilyPolicy": "DualStack" }),
            "spec.ipFamilyPolicy: `DualStack` is unknown: write one of SingleStack, PreferDualStack, RequireDualStack",
        ),
        (
            json!({ "externalTrafficPolicy": "local" }),
            "spec.externalTrafficPolicy: `local` is unknown: write one of Cluster, Local",
        ),
        (
            json!({ "internalTrafficPolicy": "node" }),
            "spec.internalTrafficPolicy: `node` is unknown: write one of Cluster, Local",
        ),
        (json!({ "ipFamilies": ["ipv6"] }), "spec.ipFamilies[0]: `ipv6` is unknown: write one of IPv4, IPv6"),
        (
            json!({ "ipFamilies": ["IPv6", "IPv6"] }),
            "spec.ipFamilies[1]: `IPv6` is listed twice: each family stands once",
        ),
        (
            json!({ "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack" }),
            "spec.ipFamilyPolicy: SingleStack allows one family: write PreferDualStack or RequireDualStack, or list one \
             family",
        ),
        (json!({ "ports": [] }), "spec.ports: is empty: a Service needs at least one port"),
        (json!({ "ports": [{ "port": 0 }] }), "spec.ports[0].port: 0 is not a port: write 1 to 65535"),
        (json!({ "ports": [{ "port": 65536 }] }), "spec.ports[0].port: 65536 is not a port: write 1 to 65535"),
        (
            json!({ "ports": [{ "port": 80, "protocol": "tcp" }] }),
            "spec.ports[0].protocol: `tcp` is unknown: write one of TCP, UDP, SCTP",
        ),
        (
            json!({ "ports": [{ "port": 80, "name": "Web" }] }),
            "spec.ports[0].name: `Web` is not a port name: write lower-case letters, digits, -",
        ),
        (
            ports(json!({ "port": 80, "name": "web" }), json!({ "port": 81 })),
            "spec.ports[1].name: is missing: of several ports each needs a name",
        ),
        (
            ports(json!({ "port": 80, "name": "web" }), json!({ "port": 81, "name": "web" })),
            "spec.ports[1].name: `web` names two ports: each name stands once",
        ),
        (
            ports(json!({ "port": 80, "name": "a" }), json!({ "port": 80, "name": "b" })),
            "spec.ports[1].port: TCP 80 is listed twice",
        ),
    ] {
        assert_eq!(told(&service(&changed(good.clone(), &change))), [message], "{change}");
    }
    assert_eq!(told(&service(&changed(good, &json!({})))), [""; 0]);
    assert_eq!(told(&service(&Default::default())), ["spec: is missing: a Service needs a spec with ports"]);
}

/// Somebody makes one by hand, in a folder or with the break-glass group.
#[test]
fn everything_wrong_with_a_virtual_ip_made_by_hand_is_one_message() {
    let good = json!({
        "metadata": { "name": "192.0.2.1" },
        "spec": { "address": "192.0.2.1", "pool": "a", "rankingKey": "key" },
    });
    let claim = |uid: &str, family: &str| json!({ "namespace": "default", "name": "web", "uid": uid, "index": 0, "family": family });
    let nodes: Vec<String> = (0..9).map(|number| format!("node-{number}")).collect();
    for (change, message) in [
        (json!({ "address": "here" }), "spec.address: `here` is not an IP address"),
        (
            json!({ "address": "2001:DB8::1", "metadata.name": "2001-0db8-0000-0000-0000-0000-0000-0001" }),
            "spec.address: `2001:DB8::1` is not canonical: write `2001:db8::1`",
        ),
        (
            json!({ "metadata.name": "web" }),
            "metadata.name: `web` is not the name of 192.0.2.1: write `192.0.2.1`; the name is the lock on the address",
        ),
        (json!({ "nodes": nodes }), "spec.nodes: has 9 nodes: at most 8 may be ranked"),
        (json!({ "nodes": ["Node_1"] }), "spec.nodes[0]: `Node_1` is not the name of a Node"),
        (json!({ "nodes": ["a", "a"] }), "spec.nodes[1]: `a` is ranked twice: each node stands once"),
        (json!({ "claims": [claim("a", "IPv6")] }), "spec.claims[0].family: is not the family of `192.0.2.1`"),
        (
            json!({ "claims": [claim("a", "IPv4"), claim("a", "IPv4")] }),
            "spec.claims[1].uid: claims the address a second time: a Service has one claim on an address",
        ),
        (json!({ "interfaces": [" "] }), "spec.interfaces[0]: is empty: write the name of an interface"),
        (json!({ "rankingKey": "" }), "spec.rankingKey: is empty: the ranking needs a key"),
        (json!({ "phase": "Released" }), "spec.releasedAt: is missing: phase Released needs the time of the release"),
        (json!({ "releasedAt": "2026-01-01T00:00:00Z" }), "spec.releasedAt: is set: only phase Released has it"),
    ] {
        assert_eq!(told(&virtual_ip(&changed(good.clone(), &change))), [message], "{change}");
    }
    assert_eq!(told(&virtual_ip(&changed(good, &json!({})))), [""; 0]);
}

#[test]
fn everything_wrong_with_a_class_is_one_message() {
    let good = json!({ "metadata": { "name": "a" }, "spec": { "addressPool": ["192.0.2.0/30"] } });
    for (change, message) in [
        (json!({ "type": "L3" }), "spec.type: `L3` is unknown: write `L2`; it is taken as `L2`"),
        (json!({ "l2": { "interfaces": [""] } }), "spec.l2.interfaces[0]: is empty: write the name of an interface"),
        (
            json!({ "addressPool": [""] }),
            "spec.addressPool[0]: is empty: write a CIDR block as 192.0.2.0/24 or a range as 192.0.2.100-192.0.2.150",
        ),
        (
            json!({ "addressPool": ["192.0.2.1/24"] }),
            "spec.addressPool[0]: `192.0.2.1/24` has host bits set: write `192.0.2.0/24` for the block",
        ),
        (
            json!({ "addressPool": ["192.0.2.9-192.0.2.1"] }),
            "spec.addressPool[0]: `192.0.2.9-192.0.2.1` is reversed: write `192.0.2.1-192.0.2.9`",
        ),
        (
            json!({ "addressPool": ["192.0.2.1-2001:db8::1"] }),
            "spec.addressPool[0]: `192.0.2.1-2001:db8::1` mixes IPv4 and IPv6: write one range per family",
        ),
        (
            json!({ "addressPool": ["::ffff:192.0.2.0/120"] }),
            "spec.addressPool[0]: `::ffff:192.0.2.0` is an IPv4-mapped IPv6 address: write `192.0.2.0`",
        ),
        (
            json!({ "addressPool": ["fe80::1%eth0/128"] }),
            "spec.addressPool[0]: `fe80::1%eth0` has a zone: write the address without `%` and what follows",
        ),
    ] {
        assert_eq!(told(&class(&changed(good.clone(), &change))), [message], "{change}");
    }
}
