//! Two replicas of the controller on a real API server: one writes, and another takes its place.

mod replica;

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use lb_tests::{
    lab::{Lab, Shape},
    need, wait,
};
use lb_tests_kube::{Identity, Plane, PlaneShape};
use replica::{Replica, START, address_of, install, service};
use serde_json::Value;

const NO_STATIONS: Shape = Shape { nodes: 0, clients: 0, routers: 0, snooping: false };

/// Short, so that a killed leader is replaced soon.
const SHORT: &[&str] = &["--lease-duration", "4s", "--renew-deadline", "3s", "--retry-period", "500ms"];
/// So long that nobody waits for its end in a test.
const LONG: &[&str] =
    &["--lease-name", "long", "--lease-duration", "600s", "--renew-deadline", "500s", "--retry-period", "500ms"];

fn holder(plane: &Plane, name: &str) -> anyhow::Result<String> {
    let lease = plane.admin().run(async |client| Ok(Api::<Lease>::namespaced(client, "default").get(name).await?))?;
    lease.spec.and_then(|spec| spec.holder_identity).context("a Lease without a holder")
}

#[test]
fn a_killed_leader_is_replaced_by_the_standby() -> anyhow::Result<()> {
    if !need::met(&replica::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let plane = Plane::start(&lab, PlaneShape::default())?;
    install(&plane, "192.0.2.100-192.0.2.109")?;
    let mut first = Replica::start(&lab, plane.admin(), 7481, SHORT)?;
    first.wait_for_role("leader", START)?;
    let mut second = Replica::start(&lab, plane.admin(), 7482, SHORT)?;
    second.wait_for_role("standby", START)?;
    ensure!(second.get("/readyz")?.contains("ok"), "a standby is ready");
    ensure!(second.state()?["leader"] == first.state()?["leader"], "both name the same leader");
    plane.kubectl().apply(&service("before"))?;
    let before = address_of(&plane, "before", START)?;
    ensure!(second.get("/metrics")?.contains("herald_controller_leader 0"), "a standby counts as none");
    let passes = &second.state()?["passes"];
    ensure!(*passes == 0, "the standby has planned: {passes}");

    first.process().kill()?;
    second.wait_for_role("leader", START)?;
    ensure!(second.get("/metrics")?.contains("herald_controller_leader 1"));
    plane.kubectl().apply(&service("after"))?;
    let after = address_of(&plane, "after", START)?;
    ensure!(after != before && address_of(&plane, "before", START)? == before, "nothing moved");

    // The killed one comes back under another name, and waits.
    let mut third = Replica::start(&lab, plane.admin(), 7481, SHORT)?;
    third.wait_for_role("standby", START)?;
    ensure!(second.role()? == "leader");
    plane.done();
    Ok(())
}

#[test]
fn a_leader_that_is_told_to_end_hands_over_at_once() -> anyhow::Result<()> {
    if !need::met(&replica::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let plane = Plane::start(&lab, PlaneShape::default())?;
    install(&plane, "192.0.2.100-192.0.2.109")?;
    let mut first = Replica::start(&lab, plane.admin(), 7481, LONG)?;
    first.wait_for_role("leader", START)?;
    let mut second = Replica::start(&lab, plane.admin(), 7482, LONG)?;
    second.wait_for_role("standby", START)?;
    let before = holder(&plane, "long")?;

    let status = first.process().term(START)?;
    ensure!(status.success(), "{status}");
    // A tenth of the lease: without the release it could not be.
    second.wait_for_role("leader", Duration::from_secs(60))?;
    let after = holder(&plane, "long")?;
    ensure!(!after.is_empty() && after != before, "{before} {after}");

    // Somebody deletes the Lease: the leader makes it again and stays.
    plane.kubectl().run(&["delete", "lease", "long"])?;
    wait::for_ok(START, "the Lease to be back", || match holder(&plane, "long") {
        Ok(name) if name == after => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    ensure!(second.role()? == "leader");
    plane.done();
    Ok(())
}

#[test]
fn an_idle_leader_writes_its_lease_and_nothing_else() -> anyhow::Result<()> {
    if !need::met(&replica::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let identities = vec![Identity::user("herald")];
    let plane = Plane::start(&lab, PlaneShape { audit: true, identities, ..PlaneShape::default() })?;
    install(&plane, "192.0.2.100-192.0.2.109")?;
    plane.kubectl().run(&["create", "clusterrolebinding", "herald", "--clusterrole=cluster-admin", "--user=herald"])?;
    let herald = plane.access("herald");
    let mut first = Replica::start(&lab, &herald, 7481, SHORT)?;
    first.wait_for_role("leader", START)?;
    let mut second = Replica::start(&lab, &herald, 7482, SHORT)?;
    second.wait_for_role("standby", START)?;
    plane.kubectl().apply(&service("web"))?;
    address_of(&plane, "web", START)?;
    // Whatever follows an address is written when two renewals have brought nothing else.
    let quiet = |writes: &[String]| writes.iter().rev().take(4).all(|write| write == "leases");
    wait::for_ok(START, "nothing but renewals", || {
        let writes = writes(&plane).map_err(|error| format!("{error:#}"))?;
        if quiet(&writes) { Ok(()) } else { Err(format!("{writes:?}")) }
    })?;

    let before = writes(&plane)?.len();
    wait::observe(Duration::from_secs(8));
    let all = writes(&plane)?;
    let new = all.get(before..).unwrap_or_default();
    ensure!(new.len() >= 4, "the lease is renewed: {new:?}");
    ensure!(new.iter().all(|resource| resource == "leases"), "{new:?}");
    plane.done();
    Ok(())
}

/// The resources that the controllers wrote, in order.
fn writes(plane: &Plane) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(plane.audit_log()).context("read the audit log")?;
    let mut writes = Vec::new();
    // The last line may be half written.
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let is_write = ["create", "update", "patch", "delete"].iter().any(|verb| event["verb"] == *verb);
        if event["user"]["username"] == "herald" && is_write {
            writes.push(event["objectRef"]["resource"].as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(writes)
}
