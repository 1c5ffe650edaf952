//! The node itself: its object, its Ready condition and its lease, as kubelet keeps them, under kubelet's identity.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::Node as NodeObject,
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use tokio::time::sleep;

use super::Node;

/// As kubelet: four renewals fit into the lease.
const RENEW: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
const RETRY: Duration = Duration::from_millis(500);
const LEASES: &str = "kube-node-lease";

/// Registers the node, then renews its lease as long as it is polled. A failure is tried again.
pub(super) async fn keep(node: &Node, client: Client) {
    while let Err(error) = register(node, &client).await {
        tracing::debug!("register {}: {error}", node.name);
        sleep(RETRY).await;
    }
    loop {
        match renew(node, &client).await {
            Ok(()) => sleep(RENEW).await,
            Err(error) => {
                tracing::debug!("the lease of {}: {error}", node.name);
                sleep(RETRY).await;
            }
        }
    }
}

async fn register(node: &Node, client: &Client) -> kube::Result<()> {
    let nodes: Api<NodeObject> = Api::all(client.clone());
    if nodes.get_opt(&node.name).await?.is_none() {
        nodes.create(&PostParams::default(), &object(node)).await?;
    }
    let status = serde_json::json!({ "status": status(node, Timestamp::now()) });
    nodes.patch_status(&node.name, &PatchParams::default(), &Patch::Strategic(status)).await?;
    renew(node, client).await
}

fn object(node: &Node) -> NodeObject {
    let mut labels = serde_json::json!({
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    });
    for (key, value) in &node.labels {
        labels[key] = value.clone().into();
    }
    let object = serde_json::json!({
        "metadata": { "name": node.name, "labels": labels },
        "spec": { "podCIDR": node.ranges.v4(), "podCIDRs": [node.ranges.v4(), node.ranges.v6()] },
    });
    serde_json::from_value(object).expect("it is written as a Node")
}

fn status(node: &Node, now: Timestamp) -> serde_json::Value {
    let resources = serde_json::json!({ "cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "64Gi" });
    let condition = |kind: &str, holds: bool, reason: &str| {
        let (status, now) = (if holds { "True" } else { "False" }, now.to_string());
        serde_json::json!({ "type": kind, "status": status, "reason": reason, "message": reason,
            "lastHeartbeatTime": now, "lastTransitionTime": now })
    };
    serde_json::json!({
        "addresses": [
            { "type": "InternalIP", "address": node.v4.to_string() },
            { "type": "InternalIP", "address": node.v6.to_string() },
            { "type": "Hostname", "address": node.name },
        ],
        "capacity": resources,
        "allocatable": resources,
        "conditions": [
            condition("MemoryPressure", false, "KubeletHasSufficientMemory"),
            condition("DiskPressure", false, "KubeletHasNoDiskPressure"),
            condition("PIDPressure", false, "KubeletHasSufficientPID"),
            condition("NetworkUnavailable", false, "RouteCreated"),
            condition("Ready", true, "KubeletReady"),
        ],
        "nodeInfo": {
            "machineID": node.name, "systemUUID": node.name, "bootID": node.lab, "kernelVersion": "", "osImage": "the lab",
            "containerRuntimeVersion": "pod-runner://1", "kubeletVersion": "", "kubeProxyVersion": "",
            "operatingSystem": "linux", "architecture": "amd64",
        },
    })
}

async fn renew(node: &Node, client: &Client) -> kube::Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), LEASES);
    let spec = LeaseSpec {
        holder_identity: Some(node.name.clone()),
        lease_duration_seconds: Some(LEASE_SECONDS),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    };
    let mut lease = Lease { spec: Some(spec), ..Lease::default() };
    lease.metadata.name = Some(node.name.clone());
    match leases.get_opt(&node.name).await? {
        None => leases.create(&PostParams::default(), &lease).await.map(drop),
        Some(_) => leases.patch(&node.name, &PatchParams::default(), &Patch::Merge(&lease)).await.map(drop),
    }
}
