//! An object that may not decode: one bad object must not fail the list it is in.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::Value;

use crate::decode::{Undecodable, decode};

/// What the server sent, decoded as far as it can be.
#[derive(Debug, Clone)]
pub(crate) struct Guarded<K> {
    metadata: ObjectMeta,
    /// The object, or which field of it cannot be read and why.
    pub(crate) object: Result<K, Undecodable>,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut tree = Value::deserialize(deserializer)?;
        let metadata = tree.get_mut("metadata").and_then(Value::as_object_mut);
        // Often the larger half of an object, and nobody reads it.
        let metadata = metadata.map(|metadata| {
            metadata.remove("managedFields");
            Value::Object(metadata.clone())
        });
        let metadata = ObjectMeta::deserialize(metadata.unwrap_or_default()).map_err(D::Error::custom)?;
        let object = decode(tree);
        Ok(Self { metadata, object })
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Guarded<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(dt: &()) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &()) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &()) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &()) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bad_field_is_named_and_the_name_survives() {
        let tree = json!({
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "ports": [{ "port": 80 }, { "port": "http" }] },
        });
        let guarded: Guarded<Service> = serde_json::from_value(tree).expect("never fails for a field");

        assert_eq!(guarded.meta().name.as_deref(), Some("web"));
        let undecodable = guarded.object.expect_err("a port is a number");
        assert_eq!(undecodable.field, "spec.ports[1].port");
        assert!(undecodable.message.contains("http"), "{}", undecodable.message);
    }

    /// As in MetalLB's documentation.
    #[test]
    fn an_advertisement_without_a_spec_is_one_of_every_pool() {
        let guarded: Guarded<lb_api::L2Advertisement> =
            serde_json::from_value(json!({ "metadata": { "name": "example" } })).expect("an object");
        assert_eq!(guarded.object.expect("nothing is required").spec, lb_api::metallb::L2AdvertisementSpec::default());
        let guarded: Guarded<lb_api::IPAddressPool> =
            serde_json::from_value(json!({ "metadata": { "name": "example" } })).expect("an object");
        assert!(guarded.object.expect_err("addresses are required").message.contains("spec"));
    }

    #[test]
    fn managed_fields_are_not_kept() {
        let tree = json!({
            "metadata": { "name": "web", "managedFields": [{ "manager": "kubectl", "operation": "Apply" }] },
        });
        let guarded: Guarded<Service> = serde_json::from_value(tree).expect("an object");

        assert_eq!(guarded.object.expect("a Service").metadata.managed_fields, None);
    }
}
