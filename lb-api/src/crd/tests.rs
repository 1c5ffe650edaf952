//! The definitions hold to Kubernetes' rules for schemas, and to Deckhouse's own definition.

use super::*;

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
                assert!(["int32", "int64", "date-time"].contains(&format), "{format}");
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
    assert_eq!(lists, 2);
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
