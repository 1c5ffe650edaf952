//! The bare loop: for each Service what Herald writes, a VirtualIP, a status and an Event, with as many requests under way
//! as Herald has, and nothing else: no watch, no decision.

use std::{net::Ipv4Addr, time::Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{core::v1::Service, events::v1::Event};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use lb_api::VirtualIP;
use lb_tests_kube::Access;
use serde_json::{Value, json};

use crate::services::{self, AT_ONCE};

/// Nobody's: Herald lets such Services be.
const CLASS: &str = "example.org/nobody";

/// Writes for so many Services of its own, and takes everything away again. Gives the writes a second.
pub(crate) fn rate(admin: &Access, access: &Access, run: usize, count: usize) -> anyhow::Result<f64> {
    let names: Vec<String> = (0..count).map(|number| format!("bare-{run}-{number}")).collect();
    let services = services::create(admin, &names, Some(CLASS))?;
    access.run(async |client| {
        let started = Instant::now();
        let writes = stream::iter(services.iter().enumerate());
        let writes = writes.map(|(number, service)| write(&client, number, service)).buffer_unordered(AT_ONCE);
        writes.try_collect::<Vec<()>>().await?;
        let took = started.elapsed();
        let ends = stream::iter(services.iter().enumerate());
        let ends = ends.map(|(number, service)| take_away(&client, number, service)).buffer_unordered(AT_ONCE);
        ends.try_collect::<Vec<()>>().await?;
        Ok(3.0 * count as f64 / took.as_secs_f64())
    })
}

fn address(number: usize) -> anyhow::Result<Ipv4Addr> {
    Ok(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 200, 0, 0)) + u32::try_from(number)?))
}

async fn write(client: &Client, number: usize, service: &Service) -> anyhow::Result<()> {
    let (namespace, name) = ("default", service.metadata.name.clone().unwrap_or_default());
    let (address, uid) = (address(number)?.to_string(), service.metadata.uid.clone().unwrap_or_default());
    let create = PostParams { field_manager: Some("bare".into()), ..PostParams::default() };
    Api::<VirtualIP>::all(client.clone()).create(&create, &virtual_ip(&address, &name, &uid)?).await?;

    let patch = PatchParams { field_manager: Some("bare".into()), ..PatchParams::default() };
    let status = status(&address, service);
    Api::<Service>::namespaced(client.clone(), namespace).patch_status(&name, &patch, &Patch::Merge(status)).await?;

    let event = event(&address, &name, &uid)?;
    Api::<Event>::namespaced(client.clone(), namespace).create(&create, &event).await?;
    Ok(())
}

async fn take_away(client: &Client, number: usize, service: &Service) -> anyhow::Result<()> {
    let name = service.metadata.name.clone().unwrap_or_default();
    let now = DeleteParams::default();
    // The Service first: Herald, if it runs, sees no claim of one that is there.
    Api::<VirtualIP>::all(client.clone()).delete(&address(number)?.to_string(), &now).await?;
    Api::<Service>::namespaced(client.clone(), "default").delete(&name, &now).await?;
    Api::<Event>::namespaced(client.clone(), "default").delete(&format!("{name}.0123456789abcdef"), &now).await?;
    Ok(())
}

fn virtual_ip(address: &str, name: &str, uid: &str) -> anyhow::Result<VirtualIP> {
    let claim = json!({ "namespace": "default", "name": name, "uid": uid, "index": 0, "family": "IPv4" });
    Ok(serde_json::from_value(json!({
        "apiVersion": "lb.herald.dev/v1alpha1",
        "kind": "VirtualIP",
        "metadata": { "name": address },
        "spec": {
            "address": address,
            "phase": "Bound",
            "pool": "bench",
            "claims": [claim],
            "nodes": ["node-1"],
            "rankingKey": format!("default/{name}#0"),
        },
    }))?)
}

fn status(address: &str, service: &Service) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!({
        "metadata": { "resourceVersion": service.metadata.resource_version, "uid": service.metadata.uid },
        "status": {
            "loadBalancer": { "ingress": [{ "ip": address, "ipMode": "VIP" }] },
            "conditions": [
                condition("network.deckhouse.io/load-balancer-class", "LoadBalancerClassBound", "bench"),
                condition("AllPublicIPsAssigned", "AllIPsAssigned", "1 of 1 public IPs were assigned"),
            ],
        },
    })
}

fn event(address: &str, name: &str, uid: &str) -> anyhow::Result<Event> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "name": format!("{name}.0123456789abcdef"), "namespace": "default" },
        "action": "Allocate",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "note": format!("Assigned IP [\"{address}\"]"),
        "reason": "IPAllocated",
        "regarding": { "apiVersion": "v1", "kind": "Service", "name": name, "namespace": "default", "uid": uid },
        "reportingController": "example.org",
        "reportingInstance": "bare",
        "type": "Normal",
    }))?)
}
