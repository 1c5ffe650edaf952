//! The CustomResourceDefinitions, made from the types.
//!
//! What the derived schema says in Rust's terms is said here in Kubernetes' (integer formats, list keys, rules).
//! Deckhouse's kinds stay as Deckhouse defines them: no columns, its labels. MetalLB's kinds stay as MetalLB
//! defines them.
//!
//! Nullable: the derive marks an optional field so, which a structural schema takes.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, ConfigurationState, IPAddressPool, L2Advertisement,
    LoadBalancerNode, MetalLoadBalancerBGPPeer, MetalLoadBalancerClass, MetalLoadBalancerConfiguration,
    MetalLoadBalancerPool, ServiceBGPStatus, ServiceL2Status, VirtualIP, metallb::v1beta1, virtual_ip::MAX_NODES,
};

mod bgp;

const HEADER: &str = "# Generated from the types in lb-api by `crdgen`. Do not edit.\n";

/// The definitions as trees, in the order of their names.
pub fn definitions() -> Vec<Value> {
    vec![
        finish(BFDProfile::crd(), bgp::profile),
        finish(BGPAdvertisement::crd(), bgp::advertisement),
        finish(BGPPeer::crd(), |tree| bgp::peer(tree, finish(v1beta1::BGPPeer::crd(), |_| {}))),
        finish(Community::crd(), nothing_required),
        finish(ConfigurationState::crd(), nothing_required),
        finish(IPAddressPool::crd(), |_| {}),
        finish(L2Advertisement::crd(), advertisement),
        finish(LoadBalancerNode::crd(), |_| {}),
        finish(MetalLoadBalancerBGPPeer::crd(), bgp::deckhouse_peer),
        finish(MetalLoadBalancerClass::crd(), deckhouse),
        finish(MetalLoadBalancerConfiguration::crd(), bgp::deckhouse_configuration),
        finish(MetalLoadBalancerPool::crd(), bgp::deckhouse_pool),
        finish(ServiceBGPStatus::crd(), immutable_status),
        finish(ServiceL2Status::crd(), immutable_status),
        finish(VirtualIP::crd(), virtual_ip_rules),
    ]
}

/// The definitions as files: name and text.
pub fn files() -> Vec<(String, String)> {
    let file = |tree: Value| {
        let name = tree.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let text = serde_saphyr::to_string(&tree).expect("a definition has a YAML form");
        (format!("{name}.yaml"), format!("{HEADER}{text}"))
    };
    definitions().into_iter().map(file).collect()
}

fn finish(definition: CustomResourceDefinition, amend: impl Fn(&mut Value)) -> Value {
    let mut tree = serde_json::to_value(definition).expect("a definition has a JSON form");
    for version in tree.pointer_mut("/spec/versions").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
            to_kubernetes(schema);
            if let Some(text) = schema.pointer("/properties/spec/description").cloned() {
                schema["description"] = text;
            }
        }
    }
    amend(&mut tree);
    tree
}

/// Kubernetes knows `int32` and `int64` only, merges a list by keys only if told so, and conditions are merged by type.
fn to_kubernetes(schema: &mut Value) {
    if let Some(format) = schema.get("format").and_then(Value::as_str) {
        let (format, maximum) = match format {
            "uint8" => ("int32", Some(u8::MAX.into())),
            "uint16" => ("int32", Some(u16::MAX.into())),
            "uint32" => ("int64", Some(u32::MAX)),
            other => (other, None),
        };
        let format = format.to_owned();
        if let Some(maximum) = maximum {
            schema["format"] = json!(format);
            schema["minimum"] = json!(0);
            schema["maximum"] = json!(maximum);
        }
    }
    if let Some(conditions) = schema.pointer_mut("/properties/conditions") {
        conditions["x-kubernetes-list-type"] = json!("map");
        conditions["x-kubernetes-list-map-keys"] = json!(["type"]);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(to_kubernetes),
        Value::Array(items) => items.iter_mut().for_each(to_kubernetes),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An object without a spec is accepted.
fn nothing_required(tree: &mut Value) {
    if let Some(Value::Object(schema)) = tree.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        schema.remove("required");
    }
}

/// MetalLB: weights from 1 to 100.
fn advertisement(tree: &mut Value) {
    nothing_required(tree);
    let weight = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/preferredNodeSelectors/items/properties/weight";
    if let Some(weight) = tree.pointer_mut(weight) {
        weight["minimum"] = json!(1);
        weight["maximum"] = json!(100);
    }
}

/// MetalLB: whose status it is never changes.
fn immutable_status(tree: &mut Value) {
    nothing_required(tree);
    let Some(fields) = tree.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties") else {
        return;
    };
    for field in ["node", "serviceName", "serviceNamespace"] {
        fields[field]["x-kubernetes-validations"] = json!([
            { "rule": "self == oldSelf", "message": "Value is immutable" },
        ]);
    }
}

/// Deckhouse's labels on its own definition, in which nothing is required.
fn deckhouse(tree: &mut Value) {
    nothing_required(tree);
    tree["metadata"]["labels"] = json!({ "module": "metallb", "backup.deckhouse.io/cluster-config": "true" });
}

/// What of [`crate::validate::virtual_ip`] CEL can express.
fn virtual_ip_rules(tree: &mut Value) {
    let Some(spec) = tree.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec") else { return };
    spec["x-kubernetes-validations"] = json!([{
        "rule": "(self.phase == 'Released') == has(self.releasedAt)",
        "message": "releasedAt is set exactly in phase Released",
    }]);
    let Some(fields) = spec.get_mut("properties") else { return };
    fields["address"]["x-kubernetes-validations"] = json!([
        { "rule": "self == oldSelf", "message": "the address never changes" },
        { "rule": "isIP(self) && ip.isCanonical(self)", "message": "must be an IP address in its canonical form" },
    ]);
    // Longer texts would make the rules too expensive for an API server to accept.
    fields["address"]["maxLength"] = json!(45);
    fields["rankingKey"]["minLength"] = json!(1);
    fields["nodes"]["maxItems"] = json!(MAX_NODES);
    fields["nodes"]["items"]["maxLength"] = json!(253);
    fields["nodes"]["x-kubernetes-validations"] = json!([{
        "rule": "self.all(node, self.exists_one(other, other == node))",
        "message": "each node is ranked once",
    }]);
    fields["claims"]["x-kubernetes-list-type"] = json!("map");
    fields["claims"]["x-kubernetes-list-map-keys"] = json!(["uid"]);
    fields["interfaces"]["items"]["minLength"] = json!(1);
}

#[cfg(test)]
mod tests;
