//! What of an object nobody here reads, dropped before it is kept: ten thousand Services and their Events must fit.
//!
//! Writes are patches of what differs, so what is dropped here stays on the server.

use std::any::Any;

use k8s_openapi::{
    api::{core::v1::Node, discovery::v1::EndpointSlice, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::Object;

/// `kubectl apply` keeps a whole copy of the object in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops what is not read.
pub(crate) fn trim<K: Object>(object: &mut K) {
    metadata(object.meta_mut());
    let object: &mut dyn Any = object;
    if let Some(node) = object.downcast_mut::<Node>() {
        self::node(node);
    } else if let Some(slice) = object.downcast_mut::<EndpointSlice>() {
        self::slice(slice);
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

/// A kubelet writes its heartbeat every few minutes, and the images are most of a Node.
fn node(node: &mut Node) {
    node.metadata.annotations = None;
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

/// Only where which endpoint serves matters: a Pod that comes back elsewhere on its node is no news.
fn slice(slice: &mut EndpointSlice) {
    slice.ports = None;
    slice.metadata.annotations = None;
    slice.metadata.owner_references = None;
    for endpoint in &mut slice.endpoints {
        endpoint.addresses = Vec::new();
        endpoint.hints = None;
        endpoint.hostname = None;
        endpoint.target_ref = None;
        endpoint.zone = None;
    }
}

/// An Event is known by its name, its controller and its time.
fn event(event: &mut Event) {
    event.note = None;
    event.regarding = None;
    event.reporting_instance = None;
}
