//! The definitions of BGP's kinds are MetalLB's (metallb.md sections 1.3 to 1.5 and 1.8) and Deckhouse's.

use super::*;

fn at<'a>(tree: &'a Value, version: usize, path: &str) -> &'a Value {
    let spec = format!("/spec/versions/{version}/schema/openAPIV3Schema/properties/spec{path}");
    tree.pointer(&spec).unwrap_or(&Value::Null)
}

fn fields(tree: &Value, version: usize) -> Vec<&str> {
    at(tree, version, "/properties").as_object().into_iter().flat_map(|all| all.keys().map(String::as_str)).collect()
}

fn columns(tree: &Value, version: usize) -> Vec<&str> {
    let columns = tree["spec"]["versions"][version]["additionalPrinterColumns"].as_array();
    columns.into_iter().flatten().filter_map(|column| column["name"].as_str()).collect()
}

#[test]
fn both_versions_of_a_peer_are_served_and_nothing_converts() {
    let tree = definition("BGPPeer");
    assert_eq!(tree["spec"].get("conversion"), None);
    let versions = tree["spec"]["versions"].as_array().expect("a list");
    let shown = |field: &str| -> Vec<&Value> { versions.iter().map(|version| &version[field]).collect() };
    assert_eq!(shown("name"), ["v1beta1", "v1beta2"]);
    assert_eq!(shown("served"), [true, true]);
    assert_eq!(shown("storage"), [false, true]);
    assert_eq!(versions[0]["deprecationWarning"], "v1beta1 is deprecated, please use v1beta2");
    for version in [0, 1] {
        assert_eq!(columns(&tree, version), ["Address", "ASN", "BFD Profile", "Multi Hops"]);
    }
}

#[test]
fn each_field_of_the_older_peer_is_one_of_the_newer() {
    let tree = definition("BGPPeer");
    let (older, newer) = (fields(&tree, 0), fields(&tree, 1));
    assert_eq!((older.len(), newer.len()), (12, 21));
    for field in older {
        let of = |version| at(&tree, version, &format!("/properties/{field}"))["type"].clone();
        assert_eq!(of(0), of(1), "{field}");
    }
}

#[test]
fn what_a_peer_requires_and_its_limits_are_metallbs() {
    let tree = definition("BGPPeer");
    assert_eq!(at(&tree, 0, "/required"), &json!(["myASN", "peerASN", "peerAddress"]));
    assert_eq!(at(&tree, 1, "/required"), &json!(["myASN"]));
    let limits = |version, field: &str| {
        let field = at(&tree, version, &format!("/properties/{field}"));
        (field["minimum"].clone(), field["maximum"].clone(), field["default"].clone())
    };
    assert_eq!(limits(0, "peerPort"), (json!(0), json!(16384), Value::Null));
    assert_eq!(limits(1, "peerPort"), (json!(1), json!(16384), json!(179)));
    assert_eq!(limits(1, "localASN"), (json!(1), json!(u32::MAX), Value::Null));
    assert_eq!(at(&tree, 1, "/properties/dynamicASN/enum"), &json!(["internal", "external"]));
    assert_eq!(at(&tree, 1, "/properties/enableGracefulRestart/x-kubernetes-validations/0/rule"), "self == oldSelf");
    // A default would give the rule an old value that nobody wrote.
    assert_eq!(at(&tree, 1, "/properties/enableGracefulRestart/default"), &Value::Null);
    assert_eq!(at(&tree, 1, "/properties/connectTime/x-kubernetes-validations").as_array().map(Vec::len), Some(2));
    for field in ["holdTime", "keepaliveTime"] {
        assert_eq!(at(&tree, 1, &format!("/properties/{field}/default")), &Value::Null, "{field} stays unset");
    }
}

#[test]
fn what_an_advertisement_and_a_profile_limit_is_metallbs() {
    let tree = definition("BGPAdvertisement");
    let expected = [
        "aggregationLength",
        "aggregationLengthV6",
        "communities",
        "ipAddressPoolSelectors",
        "ipAddressPools",
        "localPref",
        "nodeSelectors",
        "peers",
        "serviceSelectors",
    ];
    assert_eq!(fields(&tree, 0), expected);
    assert_eq!(columns(&tree, 0), ["IPAddressPools", "IPAddressPool Selectors", "Peers", "Node Selectors"]);
    let length = at(&tree, 0, "/properties/aggregationLength");
    assert_eq!((&length["minimum"], &length["default"]), (&json!(1), &json!(32)));
    assert_eq!(at(&tree, 0, "/properties/aggregationLengthV6/default"), 128);
    assert_eq!(at(&tree, 0, "/properties/localPref/format"), "int32");
    assert!(at(&tree, 0, "/x-kubernetes-validations/0/rule").as_str().is_some_and(|rule| rule.contains("128")));

    let tree = definition("BFDProfile");
    assert_eq!(columns(&tree, 0), ["Passive Mode", "Transmit Interval", "Receive Interval", "Multiplier"]);
    for (field, low, high) in [
        ("receiveInterval", 10, 60000),
        ("transmitInterval", 10, 60000),
        ("echoInterval", 10, 60000),
        ("detectMultiplier", 2, 255),
        ("minimumTtl", 1, 254),
    ] {
        let field = at(&tree, 0, &format!("/properties/{field}"));
        assert_eq!(
            (&field["minimum"], &field["maximum"], &field["default"]),
            (&json!(low), &json!(high), &Value::Null)
        );
    }
}

#[test]
fn whose_status_of_bgp_it_is_never_changes() {
    let tree = definition("ServiceBGPStatus");
    assert_eq!(columns(&tree, 0), ["Node", "Service Name", "Service Namespace"]);
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    let status = tree.pointer(status).and_then(Value::as_object).expect("fields");
    assert_eq!(status.keys().collect::<Vec<_>>(), ["node", "peers", "serviceName", "serviceNamespace"]);
    for field in ["node", "serviceName", "serviceNamespace"] {
        assert_eq!(status[field]["x-kubernetes-validations"][0]["rule"], "self == oldSelf");
    }
}

#[test]
fn deckhouses_kinds_of_bgp_are_deckhouses() {
    for (kind, short, required) in [
        ("MetalLoadBalancerPool", "mlbp", json!(["addresses"])),
        ("MetalLoadBalancerBGPPeer", "mlbbp", json!(["peerAddress", "peerASN", "myASN"])),
        ("MetalLoadBalancerConfiguration", "mlbconfig", json!(["mode"])),
    ] {
        let tree = definition(kind);
        assert_eq!(
            (&tree["spec"]["scope"], &tree["spec"]["names"]["shortNames"]),
            (&json!("Cluster"), &json!([short]))
        );
        assert_eq!(at(&tree, 0, "/required"), &required, "{kind}");
        assert_eq!(columns(&tree, 0), Vec::<&str>::new());
        assert_eq!(tree["metadata"]["labels"]["module"], "metallb");
    }
    let peer = definition("MetalLoadBalancerBGPPeer");
    assert_eq!(at(&peer, 0, "/properties/peerPort/maximum"), 65535);
    let pool = definition("MetalLoadBalancerPool");
    assert_eq!(at(&pool, 0, "/properties/addresses/items/oneOf").as_array().map(Vec::len), Some(2));
    assert_eq!(at(&pool, 0, "/properties/autoAssign/default"), true);
    let configuration = definition("MetalLoadBalancerConfiguration");
    assert_eq!(at(&configuration, 0, "/properties/mode/enum"), &json!(["BGP"]));
}

#[test]
fn nothing_of_bgp_is_nullable() {
    for kind in
        ["BGPPeer", "BGPAdvertisement", "BFDProfile", "MetalLoadBalancerBGPPeer", "MetalLoadBalancerConfiguration"]
    {
        walk(&definition(kind), &mut |value| assert_eq!(value.get("nullable"), None, "{kind}"));
    }
}
