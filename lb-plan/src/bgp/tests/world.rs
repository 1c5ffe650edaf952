//! A snapshot that is written in YAML's terms and changed object by object.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service};
use kube::Resource;
use lb_api::{EndpointSlice, VirtualIP};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::bgp::{Plan, Planner, ServiceName, Snapshot};

pub(super) const NAMESPACE: &str = "metallb-system";

/// A snapshot and the planner that has seen it grow.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) snapshot: Snapshot,
}

/// An object from its spec.
pub(super) fn object<K: DeserializeOwned>(namespace: Option<&str>, name: &str, spec: &Value) -> Arc<K> {
    let metadata = match namespace {
        Some(namespace) => json!({ "name": name, "namespace": namespace }),
        None => json!({ "name": name }),
    };
    Arc::new(serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).expect("test data"))
}

/// Puts an object in the place of the one of its name, in the order of names as a store lists it.
pub(super) fn put<K: Resource>(list: &mut Vec<Arc<K>>, new: Arc<K>) {
    let key = |object: &K| (object.meta().namespace.clone(), object.meta().name.clone());
    match list.binary_search_by(|known| key(known).cmp(&key(&new))) {
        Ok(position) => list[position] = new,
        Err(position) => list.insert(position, new),
    }
}

pub(super) fn remove<K: Resource>(list: &mut Vec<Arc<K>>, name: &str) {
    list.retain(|object| object.meta().name.as_deref() != Some(name));
}

impl World {
    /// Node `iris`, peer `tor`, pool `pool` with both families, and an advertisement of everything.
    pub(super) fn new() -> Self {
        let mut world =
            Self { snapshot: Snapshot { node: "iris".into(), namespace: NAMESPACE.into(), ..Snapshot::default() } };
        world.node(&json!({}));
        world.peer("tor", &json!({ "dualStackAddressFamily": true }));
        world.pool("pool", &json!({ "addresses": ["192.0.2.0/24", "2001:db8::/64"] }));
        world.advertise("all", &json!({}));
        // Something of endpoints is known.
        world.endpoints("other", &[]);
        world
    }

    /// The Node of this node, as a tree.
    pub(super) fn node(&mut self, tree: &Value) {
        let node: Node = serde_json::from_value(tree.clone()).expect("test data");
        self.snapshot.node_object = Some(Arc::new(node));
    }

    pub(super) fn peer(&mut self, name: &str, spec: &Value) {
        let mut tree = json!({ "myASN": 64512, "peerASN": 64513, "peerAddress": "198.51.100.1" });
        merge(&mut tree, spec);
        put(&mut self.snapshot.peers, object(Some(NAMESPACE), name, &tree));
    }

    pub(super) fn pool(&mut self, name: &str, spec: &Value) {
        put(&mut self.snapshot.pools, object(Some(NAMESPACE), name, spec));
    }

    pub(super) fn advertise(&mut self, name: &str, spec: &Value) {
        put(&mut self.snapshot.advertisements, object(Some(NAMESPACE), name, spec));
    }

    pub(super) fn profile(&mut self, name: &str, spec: &Value) {
        put(&mut self.snapshot.profiles, object(Some(NAMESPACE), name, spec));
    }

    pub(super) fn community(&mut self, name: &str, aliases: &[(&str, &str)]) {
        let aliases: Vec<Value> = aliases.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        put(&mut self.snapshot.communities, object(Some(NAMESPACE), name, &json!({ "communities": aliases })));
    }

    /// A Service with an address from `pool`, and one endpoint that serves on this node.
    pub(super) fn service(&mut self, name: &str, address: &str) {
        self.plain_service(name, &json!({}), &json!({}));
        self.address(address, name, "metallb-system/pool");
        self.endpoints(name, &[("iris", json!({ "ready": true }))]);
    }

    pub(super) fn plain_service(&mut self, name: &str, spec: &Value, labels: &Value) {
        let mut tree = json!({ "type": "LoadBalancer" });
        merge(&mut tree, spec);
        let metadata = json!({ "name": name, "namespace": "default", "uid": name, "labels": labels });
        let service: Service =
            serde_json::from_value(json!({ "metadata": metadata, "spec": tree })).expect("test data");
        put(&mut self.snapshot.services, Arc::new(service));
    }

    /// A VirtualIP that gives an address to Services, separated by commas.
    pub(super) fn address(&mut self, address: &str, services: &str, pool: &str) {
        let family = if address.contains(':') { "IPv6" } else { "IPv4" };
        let claims: Vec<Value> = services
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| json!({ "namespace": "default", "name": name, "uid": name, "index": 0, "family": family }))
            .collect();
        let spec = json!({ "address": address, "pool": pool, "rankingKey": "x", "claims": claims });
        put(&mut self.snapshot.virtual_ips, object::<VirtualIP>(None, address, &spec));
    }

    /// The endpoints of a Service: the node (empty: none), and the conditions.
    pub(super) fn endpoints(&mut self, service: &str, endpoints: &[(&str, Value)]) {
        let endpoint = |(node, conditions): &(&str, Value)| {
            let mut tree = json!({ "addresses": ["10.0.0.1"], "conditions": conditions });
            if !node.is_empty() {
                tree["nodeName"] = json!(node);
            }
            tree
        };
        let metadata = json!({
            "name": format!("{service}-1"), "namespace": "default", "labels": { "kubernetes.io/service-name": service },
        });
        let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
        let tree = json!({ "metadata": metadata, "addressType": "IPv4", "endpoints": endpoints });
        let slice: EndpointSlice = serde_json::from_value(tree).expect("test data");
        put(&mut self.snapshot.endpoint_slices, Arc::new(slice));
    }

    pub(super) fn plan(&self) -> Plan {
        Planner::new().plan(&self.snapshot)
    }

    /// What a peer is told: prefix, LOCAL_PREF, communities.
    pub(super) fn told(&self, peer: &str) -> Vec<String> {
        told(&self.plan(), peer)
    }

    /// Why a Service is not announced.
    pub(super) fn withheld(&self, service: &str) -> Option<&'static str> {
        let mut planner = Planner::new();
        planner.plan(&self.snapshot);
        planner.withheld(&named(service)).map(crate::bgp::Withheld::word)
    }

    /// Every problem, as a user reads it.
    pub(super) fn problems(&self) -> Vec<String> {
        let text = |problem: &crate::bgp::Problem| {
            format!("{} {}: {}: {}", problem.kind, problem.name, problem.field, problem.message)
        };
        self.plan().problems.iter().map(text).collect()
    }
}

pub(super) fn named(service: &str) -> ServiceName {
    ServiceName { namespace: "default".into(), name: service.into() }
}

pub(super) fn told(plan: &Plan, peer: &str) -> Vec<String> {
    let Some(peer) = plan.peers.get(peer) else { return Vec::new() };
    let text = |(prefix, attributes): (&crate::bgp::Prefix, &Arc<crate::bgp::Attributes>)| {
        let mut text = prefix.to_string();
        if let Some(local_pref) = attributes.local_pref {
            text.push_str(&format!(" lp {local_pref}"));
        }
        for community in &attributes.communities {
            text.push_str(&format!(" {}:{}", community >> 16, community & 0xffff));
        }
        for [one, two, three] in &attributes.large_communities {
            text.push_str(&format!(" {one}:{two}:{three}"));
        }
        text
    };
    peer.routes.iter().map(text).collect()
}

pub(super) fn merge(tree: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            drop(tree.as_object_mut().map(|tree| tree.remove(name)));
        } else {
            tree[name] = value.clone();
        }
    }
}
