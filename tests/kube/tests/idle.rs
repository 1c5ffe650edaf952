//! An idle cluster is idle: with 1,000 Services that have their addresses, Herald's controller and agent write nothing but
//! the one Lease.
//!
//! `HERALD_IDLE_SECONDS` (120 unless set) says for how long.

#[path = "leader/replica.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod replica;

use std::{collections::BTreeMap, env, fs, time::Duration};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    core::v1::{Service, ServicePort, ServiceSpec},
    discovery::v1::{Endpoint, EndpointSlice},
};
use kube::{Api, api::PostParams};
use lb_tests::{
    herald::{self, Agent, AgentOptions, Manifests},
    lab::{Lab, Shape},
    need, wait,
};
use lb_tests_kube::{Identity, Plane, PlaneShape};
use replica::{Replica, START};
use serde_json::Value;

const SERVICES: usize = 1_000;
const AT_ONCE: usize = 16;
/// A debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// For so long nothing may have been written before the time begins: an agent writes its sessions every 10 s at most.
const QUIET: Duration = Duration::from_secs(12);
const IDENTITIES: [&str; 2] = ["controller", "agent"];

#[test]
fn with_a_thousand_services_at_rest_only_the_lease_is_written() -> anyhow::Result<()> {
    if !need::met(&[replica::needs(), herald::agent_needs()].concat()) {
        return Ok(());
    }
    let seconds = env::var("HERALD_IDLE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(120);
    let mut lab = Lab::new(Shape::default())?;
    lab.attach_pass()?;
    let identities = IDENTITIES.map(Identity::user).to_vec();
    let plane = Plane::start(&lab, PlaneShape { audit: true, identities, ..PlaneShape::default() })?;
    replica::install(&plane, "10.128.0.0/16")?;
    for user in IDENTITIES {
        let of = format!("--user={user}");
        plane.kubectl().run(&["create", "clusterrolebinding", user, "--clusterrole=cluster-admin", &of])?;
    }
    let mut controller = Replica::start(&lab, &plane.access("controller"), 7481, &[])?;
    controller.wait_for_role("leader", START)?;
    let node = lab.nodes.first().context("a node")?.clone();
    let kubeconfig = Some(plane.access("agent").kubeconfig().to_owned());
    let unused = Manifests::new(lab.dir().join("unused"))?;
    let mut agent = Agent::launch(&lab, &node, &unused, &AgentOptions { kubeconfig, ..AgentOptions::default() })?;
    agent.wait_ready(START)?;
    create(&plane)?;
    wait::for_ok(LIMIT, "all addresses, and then nothing but the lease", || {
        controller.process().must_run()?;
        let state = controller.state()?;
        ensure!(state["addresses"]["assigned"] == SERVICES, "{}", state["addresses"]);
        let before = writes(&plane)?;
        wait::observe(QUIET);
        let new = since(&before, &writes(&plane)?);
        ensure!(new.keys().all(|write| write.ends_with(" leases")), "{new:?}");
        let held = agent.state()?["holds"].as_array().map_or(0, Vec::len);
        ensure!(held > 0, "the agent holds nothing");
        Ok::<(), anyhow::Error>(())
    })?;

    let before = writes(&plane)?;
    wait::observe(Duration::from_secs(seconds));
    let new = since(&before, &writes(&plane)?);
    controller.process().must_run()?;
    agent.process().must_run()?;
    ensure!(new.keys().collect::<Vec<_>>() == ["controller patch leases"], "{new:?}");
    plane.done();
    Ok(())
}

fn create(plane: &Plane) -> anyhow::Result<()> {
    plane.admin().run(async |client| {
        let api = Api::<Service>::namespaced(client.clone(), "default");
        let services: Vec<Service> = (0..SERVICES).map(service).collect();
        let params = PostParams::default();
        // Without an endpoint nobody answers.
        let endpoints = Api::<EndpointSlice>::namespaced(client.clone(), "default");
        let slices: Vec<EndpointSlice> = (0..SERVICES).map(slice).collect();
        let served = stream::iter(&slices).map(|slice| endpoints.create(&params, slice)).buffer_unordered(AT_ONCE);
        served.try_collect::<Vec<_>>().await?;
        let created = stream::iter(&services).map(|service| api.create(&params, service)).buffer_unordered(AT_ONCE);
        created.try_collect::<Vec<_>>().await?;
        Ok(())
    })
}

fn service(number: usize) -> Service {
    let mut service = Service::default();
    service.metadata.name = Some(format!("web-{number}"));
    service.spec = Some(ServiceSpec {
        type_: Some("LoadBalancer".into()),
        allocate_load_balancer_node_ports: Some(false),
        ports: Some(vec![ServicePort { port: 80, ..ServicePort::default() }]),
        ..ServiceSpec::default()
    });
    service
}

/// A serving endpoint of a Service on the node that has an agent.
fn slice(number: usize) -> EndpointSlice {
    let mut slice = EndpointSlice { address_type: "IPv4".into(), ..EndpointSlice::default() };
    slice.metadata.name = Some(format!("web-{number}-1"));
    slice.metadata.labels = Some([("kubernetes.io/service-name".to_owned(), format!("web-{number}"))].into());
    let addresses = vec!["10.244.1.2".to_owned()];
    slice.endpoints = vec![Endpoint { addresses, node_name: Some("node-1".into()), ..Endpoint::default() }];
    slice
}

/// What Herald's identities wrote, by identity, verb and resource.
fn writes(plane: &Plane) -> anyhow::Result<BTreeMap<String, usize>> {
    let text = fs::read_to_string(plane.audit_log()).context("read the audit log")?;
    let mut writes = BTreeMap::new();
    // The last line may be half written.
    for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let user = event["user"]["username"].as_str().unwrap_or_default();
        if IDENTITIES.contains(&user) {
            let part = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
            *writes.entry(format!("{user} {} {resource}", part("verb"))).or_insert(0) += 1;
        }
    }
    Ok(writes)
}

fn since(before: &BTreeMap<String, usize>, now: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let new = now.iter().map(|(write, count)| (write.clone(), count - before.get(write).copied().unwrap_or(0)));
    new.filter(|(_, count)| *count > 0).collect()
}
