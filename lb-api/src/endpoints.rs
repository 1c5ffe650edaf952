//! What Herald reads of an `EndpointSlice` (`discovery.k8s.io/v1`): which nodes serve a Service.
//!
//! Kubernetes' own type has room for all that kube-proxy needs, 350 bytes an endpoint, and a cluster has a slice for each
//! Service and more: what is not read is dropped when a slice is decoded. An endpoint serves if it has an address and is
//! ready, if nothing is said of its readiness, or if it is terminating and still serving (metallb.md section 2.4).
//!
//! Herald writes none. What is encoded reads back as the same.

use std::borrow::Cow;

use k8s_openapi::{
    NamespaceResourceScope,
    api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice as Whole},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::{Deserialize, Serialize};

/// The label that names the Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// See the module.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(from = "Whole", into = "Whole")]
pub struct EndpointSlice {
    /// Name, namespace, version; labels and annotations are not kept.
    pub metadata: ObjectMeta,
    /// The Service of the slice's namespace whose endpoints these are; `None` if they are of none.
    pub service: Option<String>,
    /// The node of each endpoint that serves, each once; `None` for those that are on no node.
    pub serving: Vec<Option<String>>,
}

impl EndpointSlice {
    /// The namespace and the name of the Service.
    pub fn service_name(&self) -> Option<(&str, &str)> {
        Some((self.metadata.namespace.as_deref().unwrap_or_default(), self.service.as_deref()?))
    }
}

impl From<Whole> for EndpointSlice {
    fn from(whole: Whole) -> Self {
        let Whole { mut metadata, endpoints, .. } = whole;
        let service = metadata.labels.take().and_then(|mut labels| labels.remove(SERVICE_NAME));
        metadata.annotations = None;
        metadata.generate_name = None;
        metadata.managed_fields = None;
        metadata.owner_references = None;
        let mut serving = Vec::new();
        for endpoint in endpoints.into_iter().filter(serves) {
            if !serving.contains(&endpoint.node_name) {
                serving.push(endpoint.node_name);
            }
        }
        serving.shrink_to_fit();
        Self { metadata, service, serving }
    }
}

impl From<EndpointSlice> for Whole {
    fn from(slice: EndpointSlice) -> Self {
        let mut metadata = slice.metadata;
        metadata.labels = slice.service.map(|service| [(SERVICE_NAME.to_owned(), service)].into());
        let endpoint = |node_name| Endpoint {
            // Which one is not known any more; there was one.
            addresses: vec!["192.0.2.0".into()],
            conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
            node_name,
            ..Endpoint::default()
        };
        let endpoints = slice.serving.into_iter().map(endpoint).collect();
        Self { address_type: "IPv4".into(), endpoints, metadata, ports: None }
    }
}

fn serves(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    let serving = conditions.and_then(|conditions| conditions.serving).unwrap_or(false);
    !endpoint.addresses.is_empty() && (ready || serving)
}

impl Resource for EndpointSlice {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        "EndpointSlice".into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        "discovery.k8s.io".into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        "endpointslices".into()
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
    use serde_json::{Value, json};

    use super::*;

    fn slice(endpoints: &[Value]) -> EndpointSlice {
        let tree = json!({
            "metadata": {
                "name": "web-x7", "namespace": "shop", "generateName": "web-", "resourceVersion": "7",
                "labels": { "kubernetes.io/service-name": "web", "app": "web" }, "annotations": { "a": "b" },
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }],
        });
        serde_json::from_value(tree).expect("a slice")
    }

    #[test]
    fn an_endpoint_serves_by_its_conditions_and_each_node_is_kept_once() {
        let endpoint = |node: &str, conditions: Value| {
            let addresses = json!(["10.0.0.1"]);
            json!({ "addresses": addresses, "nodeName": node, "conditions": conditions, "zone": "a" })
        };
        let read = slice(&[
            endpoint("ready", json!({ "ready": true })),
            endpoint("ready", json!({ "ready": true, "serving": true })),
            endpoint("unsaid", json!({})),
            endpoint("not", json!({ "ready": false })),
            endpoint("ending", json!({ "ready": false, "serving": true, "terminating": true })),
            endpoint("ended", json!({ "ready": false, "serving": false, "terminating": true })),
            json!({ "addresses": [], "nodeName": "nowhere" }),
            json!({ "addresses": ["10.0.0.9"] }),
        ]);

        let nodes: Vec<_> = read.serving.iter().map(Option::as_deref).collect();
        assert_eq!(nodes, [Some("ready"), Some("unsaid"), Some("ending"), None]);
        assert_eq!(read.service_name(), Some(("shop", "web")));
        let metadata = ObjectMeta {
            name: Some("web-x7".into()),
            namespace: Some("shop".into()),
            resource_version: Some("7".into()),
            ..ObjectMeta::default()
        };
        assert_eq!(read.metadata, metadata);
    }

    #[test]
    fn what_is_encoded_reads_back_as_the_same() {
        let read =
            slice(&[json!({ "addresses": ["10.0.0.1"], "nodeName": "a" }), json!({ "addresses": ["10.0.0.2"] })]);
        let tree = serde_json::to_value(&read).expect("a tree");
        assert_eq!((&tree["kind"], &tree["apiVersion"]), (&json!("EndpointSlice"), &json!("discovery.k8s.io/v1")));
        assert_eq!(serde_json::from_value::<EndpointSlice>(tree).expect("a slice"), read);
    }
}
