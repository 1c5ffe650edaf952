//! What an API server fills in when it stores an object, so that an object from a directory looks the same.
//!
//! The directory stands for a dual-stack cluster whose first family is IPv4.

use std::any::Any;

use k8s_openapi::{
    ByteString,
    api::core::v1::{Secret, Service, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::Value;

/// The object with an empty spec, if it has none: kinds in whose spec nothing is required may be written without one.
pub(crate) fn with_spec(object: &Value) -> Option<Value> {
    let fields = object.as_object().filter(|fields| !fields.contains_key("spec"))?;
    let mut fields = fields.clone();
    fields.insert("spec".into(), Value::Object(serde_json::Map::new()));
    Some(Value::Object(fields))
}

/// Fills in the defaults of the kinds that have any.
pub(crate) fn apply(object: &mut dyn Any) {
    if let Some(service) = object.downcast_mut::<Service>()
        && let Some(spec) = &mut service.spec
    {
        self::service(spec);
    }
    if let Some(secret) = object.downcast_mut::<Secret>() {
        self::secret(secret);
    }
}

/// Kubernetes API: `stringData` is for writing only, and wins over `data`.
fn secret(secret: &mut Secret) {
    secret.type_.get_or_insert_with(|| "Opaque".into());
    for (key, value) in secret.string_data.take().into_iter().flatten() {
        secret.data.get_or_insert_default().insert(key, ByteString(value.into_bytes()));
    }
}

/// Kubernetes API: `SetDefaults_Service`, and the families as the Service registry sets them.
fn service(spec: &mut ServiceSpec) {
    let type_ = spec.type_.get_or_insert_with(|| "ClusterIP".into()).clone();
    spec.session_affinity.get_or_insert_with(|| "None".into());
    for port in spec.ports.iter_mut().flatten() {
        port.protocol.get_or_insert_with(|| "TCP".into());
        port.target_port.get_or_insert(IntOrString::Int(port.port));
    }
    if type_ == "ExternalName" {
        return;
    }
    spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".into());
    if type_ == "NodePort" || type_ == "LoadBalancer" {
        spec.external_traffic_policy.get_or_insert_with(|| "Cluster".into());
    }
    if type_ == "LoadBalancer" {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
    families(spec);
}

fn families(spec: &mut ServiceSpec) {
    let families = spec.ip_families.get_or_insert_default();
    let two = families.len() > 1;
    let policy = spec.ip_family_policy.get_or_insert_with(|| {
        // Two listed families ask for two.
        if two { "RequireDualStack" } else { "SingleStack" }.into()
    });
    if families.is_empty() {
        families.push("IPv4".into());
    }
    if policy != "SingleStack" && families.len() == 1 {
        let other = if families.iter().any(|family| family == "IPv4") { "IPv6" } else { "IPv4" };
        families.push(other.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(spec: ServiceSpec) -> ServiceSpec {
        let mut service = Service { spec: Some(spec), ..Service::default() };
        apply(&mut service);
        service.spec.expect("was set")
    }

    fn families_of(policy: Option<&str>, families: &[&str]) -> (String, Vec<String>) {
        let spec = defaulted(ServiceSpec {
            type_: Some("LoadBalancer".into()),
            ip_family_policy: policy.map(str::to_owned),
            ip_families: Some(families.iter().map(|&family| family.to_owned()).collect()),
            ..ServiceSpec::default()
        });
        (spec.ip_family_policy.expect("default"), spec.ip_families.expect("default"))
    }

    #[test]
    fn families_follow_the_policy() {
        let both = vec!["IPv4".to_owned(), "IPv6".to_owned()];
        assert_eq!(families_of(None, &[]), ("SingleStack".into(), vec!["IPv4".into()]));
        assert_eq!(families_of(None, &["IPv6"]), ("SingleStack".into(), vec!["IPv6".into()]));
        assert_eq!(families_of(None, &["IPv4", "IPv6"]), ("RequireDualStack".into(), both.clone()));
        assert_eq!(families_of(Some("PreferDualStack"), &[]), ("PreferDualStack".into(), both));
        let turned = vec!["IPv6".to_owned(), "IPv4".to_owned()];
        assert_eq!(families_of(Some("RequireDualStack"), &["IPv6"]), ("RequireDualStack".into(), turned));
    }

    #[test]
    fn a_spec_is_filled_in_only_where_there_is_none() {
        let object = serde_json::json!({ "kind": "L2Advertisement" });
        assert_eq!(with_spec(&object), Some(serde_json::json!({ "kind": "L2Advertisement", "spec": {} })));
        assert_eq!(with_spec(&serde_json::json!({ "spec": null })), None);
        assert_eq!(with_spec(&Value::Null), None);
    }

    #[test]
    fn what_is_written_as_text_is_read_as_data() {
        let tree = serde_json::json!({ "data": { "a": "MQ==", "b": "MQ==" }, "stringData": { "b": "2" } });
        let mut secret: Secret = serde_json::from_value(tree).expect("a secret");
        apply(&mut secret);
        let data = secret.data.expect("it has data");
        assert_eq!((data["a"].0.as_slice(), data["b"].0.as_slice()), (b"1".as_slice(), b"2".as_slice()));
        assert_eq!((secret.string_data, secret.type_.as_deref()), (None, Some("Opaque")));
    }

    #[test]
    fn a_cluster_ip_service_gets_no_external_policy() {
        let spec = defaulted(ServiceSpec::default());
        assert_eq!(spec.type_.as_deref(), Some("ClusterIP"));
        assert_eq!(spec.external_traffic_policy, None);
    }

    #[test]
    fn what_is_set_stays() {
        let spec = defaulted(ServiceSpec {
            type_: Some("LoadBalancer".into()),
            external_traffic_policy: Some("Local".into()),
            ..ServiceSpec::default()
        });
        assert_eq!(spec.external_traffic_policy.as_deref(), Some("Local"));
        assert_eq!(spec.allocate_load_balancer_node_ports, Some(true));
    }
}
