//! What of an object nobody here reads, dropped before it is kept: ten thousand Services and their Events must fit.
//!
//! Writes are patches of what differs, so what is dropped here stays on the server.

use std::any::Any;

use k8s_openapi::{
    api::{
        core::v1::{Node, Service},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use lb_api::names::node_annotation::DRAIN;

use crate::Object;

/// `kubectl apply` keeps a whole copy of the object in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops what is not read.
pub(crate) fn trim<K: Object>(object: &mut K) {
    metadata(object.meta_mut());
    let object: &mut dyn Any = object;
    if let Some(service) = object.downcast_mut::<Service>() {
        self::service(service);
    } else if let Some(node) = object.downcast_mut::<Node>() {
        self::node(node);
    } else if let Some(event) = object.downcast_mut::<Event>() {
        self::event(event);
    }
}

fn metadata(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    metadata.self_link = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
        if annotations.is_empty() {
            metadata.annotations = None;
        }
    }
}

/// What becomes of its traffic is kube-proxy's business. Which Pods it leads to matters only where each node answers for
/// its own: then Services share an address only if they lead to the same.
fn service(service: &mut Service) {
    let Some(spec) = &mut service.spec else { return };
    // A headless one need not have ports.
    spec.cluster_ip.take_if(|address| address != "None");
    spec.cluster_ips = None;
    spec.external_ips = None;
    spec.external_name = None;
    spec.internal_traffic_policy = None;
    spec.load_balancer_source_ranges = None;
    spec.session_affinity = None;
    spec.session_affinity_config = None;
    spec.traffic_distribution = None;
    if spec.external_traffic_policy.as_deref() != Some("Local") {
        spec.selector = None;
    }
    for port in spec.ports.iter_mut().flatten() {
        port.app_protocol = None;
        port.node_port = None;
        port.target_port = None;
    }
}

/// A kubelet writes its heartbeat every few minutes, and the images are most of a Node.
fn node(node: &mut Node) {
    if let Some(annotations) = &mut node.metadata.annotations {
        annotations.retain(|name, _| name == DRAIN);
        if annotations.is_empty() {
            node.metadata.annotations = None;
        }
    }
    let Some(status) = &mut node.status else { return };
    status.images = None;
    status.node_info = None;
    status.volumes_attached = None;
    status.volumes_in_use = None;
    status.capacity = None;
    status.allocatable = None;
    for condition in status.conditions.iter_mut().flatten() {
        condition.last_heartbeat_time = None;
        condition.message = None;
    }
}

/// An Event is known by its name, its controller and its time.
fn event(event: &mut Event) {
    event.action = None;
    event.note = None;
    event.reason = None;
    event.type_ = None;
    event.regarding = None;
    event.reporting_instance = None;
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ServicePort;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_kept_where_it_says_who_may_share() {
        let kept = |policy: &str| {
            let mut service: Service = serde_json::from_value(json!({
                "metadata": { "name": "web" },
                "spec": {
                    "externalTrafficPolicy": policy, "selector": { "app": "web" }, "clusterIP": "10.96.0.7",
                    "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30080 }],
                },
            }))
            .expect("a Service");
            trim(&mut service);
            service.spec.expect("kept")
        };
        assert!(kept("Local").selector.is_some());
        let spec = kept("Cluster");
        assert_eq!((spec.selector, spec.cluster_ip), (None, None));
        let port =
            ServicePort { name: Some("http".into()), port: 80, protocol: Some("TCP".into()), ..ServicePort::default() };
        assert_eq!(spec.ports, Some(vec![port]));
    }
}
