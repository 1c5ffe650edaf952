//! What the controller says of who holds an address: of a node that is gone, and in MetalLB's words.
//!
//! There is no agent: the test writes what one would.

#[path = "leader/replica.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod replica;

use anyhow::{Context as _, ensure};
use lb_tests::{
    lab::{Lab, Shape},
    need, wait,
};
use lb_tests_kube::{Kubectl, Plane, PlaneShape};
use replica::{Replica, START};
use serde_json::{Value, json};

const NO_STATIONS: Shape = Shape { nodes: 0, clients: 0, routers: 0, snooping: false };

fn status(kubectl: &Kubectl, vip: &str) -> anyhow::Result<Value> {
    Ok(kubectl.json(&["get", "vip", vip])?["status"].clone())
}

/// As an agent writes it.
fn hold(kubectl: &Kubectl, vip: &str, node: &str) -> anyhow::Result<()> {
    let status = json!({ "status": { "holder": node, "since": "2026-01-01T00:00:00Z", "why": "FirstRanked" } });
    let patch = format!("--patch={status}");
    kubectl.run(&["patch", "vip", vip, "--subresource=status", "--type=merge", &patch])?;
    Ok(())
}

/// Node and Service of each ServiceL2Status, in order.
fn said(kubectl: &Kubectl) -> anyhow::Result<Vec<(String, String)>> {
    let list = kubectl.json(&["--namespace", "metallb-system", "get", "servicel2statuses"])?;
    let items = list["items"].as_array().context("a list")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut said: Vec<_> =
        items.iter().map(|item| (text(&item["status"]["node"]), text(&item["status"]["serviceName"]))).collect();
    said.sort();
    Ok(said)
}

#[test]
fn what_a_node_that_is_gone_held_is_unknown_until_it_is_back() -> anyhow::Result<()> {
    if !need::met(&replica::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let plane = Plane::start(&lab, PlaneShape::default())?;
    replica::install(&plane, "192.0.2.0/29")?;
    let mut controller = Replica::start(&lab, plane.admin(), 7481, &[])?;
    controller.wait_for_role("leader", START)?;
    let kubectl = plane.kubectl();
    kubectl.apply(&replica::service("web"))?;
    let vip = replica::address_of(&plane, "web", START)?;
    // Written with the address, by the status.
    let service = kubectl.json(&["get", "service", "web"])?;
    assert_eq!(service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"], "pool", "{service}");

    hold(&kubectl, &vip, "node-1")?;
    let pair = |node: &str| (node.to_owned(), "web".to_owned());
    wait::for_ok(START, "a ServiceL2Status of node-1", || {
        let said = said(&kubectl)?;
        ensure!(said == [pair("node-1")], "{said:?}");
        Ok(())
    })?;
    // What a tool asks by.
    let by = "metallb.io/node=node-1,metallb.io/service-name=web,metallb.io/service-namespace=default";
    let found = kubectl.json(&["--namespace", "metallb-system", "get", "servicel2statuses", "--selector", by])?;
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");

    kubectl.run(&["delete", "node", "node-1"])?;
    wait::for_ok(START, "the holder to be unknown", || {
        let status = status(&kubectl, &vip)?;
        ensure!(status["why"] == "Unknown" && status["holder"] == "node-1", "{status}");
        ensure!(said(&kubectl)?.is_empty(), "{:?}", said(&kubectl)?);
        Ok(())
    })?;

    kubectl.apply("apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\n")?;
    wait::for_ok(START, "the name to be taken out", || {
        let status = status(&kubectl, &vip)?;
        ensure!(status["holder"].is_null() && status["why"].is_null(), "{status}");
        Ok(())
    })?;

    // Another node takes over.
    hold(&kubectl, &vip, "node-2")?;
    wait::for_ok(START, "a ServiceL2Status of node-2 alone", || {
        let said = said(&kubectl)?;
        ensure!(said == [pair("node-2")], "{said:?}");
        Ok(())
    })?;
    plane.done();
    Ok(())
}
