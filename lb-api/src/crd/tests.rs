//! The definitions hold to Kubernetes' rules for schemas, and to Deckhouse's own definition.

use super::*;

mod bgp;
mod chart;
mod compatibility;

fn walk(schema: &Value, seen: &mut impl FnMut(&Value)) {
    seen(schema);
    match schema {
        Value::Object(fields) => fields.values().for_each(|value| walk(value, seen)),
        Value::Array(items) => items.iter().for_each(|value| walk(value, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn definition(name: &str) -> Value {
    definitions()
        .into_iter()
        .find(|tree| tree.pointer("/spec/names/kind").and_then(Value::as_str) == Some(name))
        .expect("is defined")
}

#[test]
fn formats_are_those_of_kubernetes() {
    for tree in definitions() {
        walk(&tree, &mut |value| {
            if let Some(format) = value.get("format").and_then(Value::as_str) {
                assert!(["int32", "int64", "date-time", "ipv4"].contains(&format), "{format}");
            }
        });
    }
}

#[test]
fn conditions_are_merged_by_type() {
    let mut lists = 0;
    for tree in definitions() {
        walk(&tree, &mut |value| {
            if let Some(conditions) = value.pointer("/properties/conditions") {
                assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
                lists += 1;
            }
        });
    }
    assert_eq!(lists, 3);
}

#[test]
fn the_class_is_deckhouses() {
    let tree = definition("MetalLoadBalancerClass");
    assert_eq!(tree["metadata"]["name"], "metalloadbalancerclasses.network.deckhouse.io");
    assert_eq!(tree["spec"]["scope"], "Cluster");
    assert_eq!(tree["spec"]["names"].get("shortNames"), None);
    let version = &tree["spec"]["versions"][0];
    assert_eq!(version.get("additionalPrinterColumns"), None);
    assert_eq!(version["subresources"]["status"], json!({}));
    let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    for schema in [spec, &version["schema"]["openAPIV3Schema"]] {
        assert_eq!(schema.get("required"), None, "nothing is required");
    }
    assert_eq!(tree["metadata"]["labels"]["module"], "metallb");
}

/// Kind, plural, fields of the spec and of the status, and printer columns.
type Kind = (&'static str, &'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// MetalLB's definitions (metallb.md sections 1.1, 1.2, 1.6, 1.7 and 1.9).
const METALLB: [Kind; 5] = [
    (
        "IPAddressPool",
        "ipaddresspools",
        &["addresses", "autoAssign", "avoidBuggyIPs", "serviceAllocation"],
        &["assignedIPv4", "assignedIPv6", "availableIPv4", "availableIPv6"],
        &["Auto Assign", "Avoid Buggy IPs", "Addresses"],
    ),
    (
        "L2Advertisement",
        "l2advertisements",
        &[
            "interfaces",
            "ipAddressPoolSelectors",
            "ipAddressPools",
            "nodeSelectors",
            "preferredNodeSelectors",
            "serviceSelectors",
        ],
        &[],
        &["IPAddressPools", "IPAddressPool Selectors", "Interfaces", "Node Selectors"],
    ),
    ("Community", "communities", &["communities"], &[], &[]),
    (
        "ServiceL2Status",
        "servicel2statuses",
        &[],
        &["interfaces", "node", "serviceName", "serviceNamespace"],
        &["Allocated Node", "Service Name", "Service Namespace"],
    ),
    (
        "ConfigurationState",
        "configurationstates",
        &[],
        &["conditions", "errorSummary", "result"],
        &["Result", "ErrorSummary", "Age"],
    ),
];

#[test]
fn metallbs_kinds_are_metallbs() {
    for (kind, plural, spec, status, columns) in METALLB {
        let tree = definition(kind);
        assert_eq!(tree["metadata"]["name"], format!("{plural}.metallb.io"));
        assert_eq!(tree["spec"]["scope"], "Namespaced", "{kind}");
        let version = &tree["spec"]["versions"][0];
        assert_eq!((&version["name"], &version["subresources"]["status"]), (&json!("v1beta1"), &json!({})), "{kind}");
        let fields = |part: &str| -> Vec<String> {
            let properties = version.pointer(&format!("/schema/openAPIV3Schema/properties/{part}/properties"));
            let mut names: Vec<String> =
                properties.and_then(Value::as_object).into_iter().flat_map(|all| all.keys().cloned()).collect();
            names.sort();
            names
        };
        assert_eq!((fields("spec"), fields("status")), (owned(spec), owned(status)), "{kind}");
        let shown = version["additionalPrinterColumns"].as_array().into_iter().flatten();
        let shown: Vec<String> = shown.filter_map(|column| column["name"].as_str().map(str::to_owned)).collect();
        assert_eq!(shown, owned(columns), "{kind}");
    }
}

#[test]
fn what_metallb_requires_and_limits_is_required_and_limited() {
    let pool = definition("IPAddressPool");
    let schema = &pool["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let required = (&schema["required"], &schema["properties"]["spec"]["required"]);
    assert_eq!(required, (&json!(["spec"]), &json!(["addresses"])));
    assert_eq!(schema["properties"]["status"]["required"].as_array().map(Vec::len), Some(4));
    assert_eq!(schema["properties"]["spec"]["properties"]["autoAssign"]["default"], true);
    let tree = definition("L2Advertisement");
    let schema = &tree["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert_eq!(schema.get("required"), None);
    let preferred = &schema["properties"]["spec"]["properties"]["preferredNodeSelectors"]["items"];
    assert_eq!(preferred["required"], json!(["preference", "weight"]));
    let weight = &preferred["properties"]["weight"];
    assert_eq!((&weight["minimum"], &weight["maximum"]), (&json!(1), &json!(100)));
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_virtual_ip_has_its_rules() {
    let tree = definition("VirtualIP");
    assert_eq!(tree["spec"]["names"]["shortNames"], json!(["vip"]));
    let spec = tree.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties").expect("fields");
    assert_eq!(spec["nodes"]["maxItems"], 8);
    assert_eq!(spec["address"]["x-kubernetes-validations"][0]["rule"], "self == oldSelf");
    assert_eq!(spec["claims"]["items"]["properties"]["index"]["format"], "int64");
}

#[test]
fn the_committed_files_are_these() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds");
    for (name, text) in files() {
        let there = std::fs::read_to_string(format!("{folder}/{name}")).expect("is committed");
        assert!(there == text, "{name} differs from the types: run `crdgen deploy/crds` and commit the result");
    }
}
