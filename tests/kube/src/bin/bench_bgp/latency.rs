//! From the write at the API server to the message at the router, with many Services that do not change.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use lb_tests::{
    herald::{Agent, AgentOptions, Manifests, addresses_of, program},
    lab::{Lab, Process, Shape},
    spread::Spread,
    wait,
};
use lb_tests_bgp::ear::{Ear, Notes};
use lb_tests_kube::{Identity, Plane, PlaneShape};
use serde_json::{Value, json};

use crate::{Args, figures::Latency};

const THEIRS: u16 = 64_513;
const AT_ONCE: usize = 32;
/// Between two changes: everything is at rest when the next comes.
const APART: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(120);

const OBJECTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: metallb-system}
spec: {addresses: [10.128.0.0/15]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: bench, namespace: metallb-system}
spec: {ipAddressPools: [bench]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: first, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.251}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: second, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.252}
";

pub(crate) fn measure(args: &Args) -> anyhow::Result<Latency> {
    let mut lab = Lab::new(Shape { nodes: 1, clients: 0, routers: 2, snooping: false })?;
    lab.attach_pass()?;
    let ears = lab.routers.iter().map(|router| Ear::start(router, THEIRS)).collect::<anyhow::Result<Vec<_>>>()?;
    let identities = ["controller", "agent"].map(Identity::user).to_vec();
    let plane = Plane::start(&lab, PlaneShape { controllers: false, audit: false, identities })?;
    install(&plane)?;
    let names: Vec<String> = (0..args.services).map(|number| format!("web-{number}")).collect();
    plane.admin().run(async |client| create_all(&client, &names).await)?;
    let _controller = controller(&lab, &plane)?;
    let options =
        AgentOptions { kubeconfig: Some(plane.access("agent").kubeconfig().to_owned()), ..Default::default() };
    let unused = Manifests::new(lab.dir().join("unused"))?;
    let _agent = Agent::start(&lab, &lab.nodes[0], &unused, &options)?;
    for ear in &ears {
        ear.wait(LIMIT, "the first routes", |notes| (notes.told() == args.services).then_some(()))?;
    }
    wait::observe(Duration::from_secs(2));
    let mut figures = Latency { services: args.services, ..Latency::default() };
    let before: Vec<Notes> = ears.iter().map(Ear::notes).collect();
    let (withdrawn, told, created) =
        plane.admin().run(async |client| changes(&client, &ears[0], &names, args).await)?;
    wait::observe(Duration::from_secs(1));
    let asked = withdrawn.len() + told.len() + created.len();
    for (ear, before) in ears.iter().zip(&before) {
        figures.unasked += (ear.notes().changes - before.changes).abs_diff(asked);
    }
    figures.withdrawn_ms = Spread::of(withdrawn);
    figures.told_again_ms = Spread::of(told);
    figures.created_ms = Spread::of(created);

    let patch = r#"--patch={"spec": {"holdTime": "60s"}}"#;
    plane.kubectl().run(&["--namespace", "metallb-system", "patch", "bgppeer", "second", "--type=merge", patch])?;
    let all = args.services + args.created;
    let again = |notes: &Notes| (notes.sessions == before[1].sessions + 1 && notes.told() == all).then_some(());
    ears[1].wait(LIMIT, "the changed peer to be told again", again)?;
    figures.sessions_of_the_other = ears[0].notes().sessions;
    figures.sessions_of_the_changed = ears[1].notes().sessions;
    plane.done();
    Ok(figures)
}

/// One change at a time, each seen by the router before the next.
async fn changes(
    client: &Client,
    ear: &Ear,
    names: &[String],
    args: &Args,
) -> anyhow::Result<(Vec<Duration>, Vec<Duration>, Vec<Duration>)> {
    let addresses = addresses(client).await?;
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), "default");
    let (mut withdrawn, mut told, mut created) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..args.changes {
        // Far apart in the order of names.
        let name = &names[number * 7 % names.len()];
        let address = *addresses.get(name).with_context(|| format!("{name} has no address"))?;
        for (serves, times) in [(false, &mut withdrawn), (true, &mut told)] {
            tokio::time::sleep(APART).await;
            let patch = Patch::Merge(json!({ "endpoints": [endpoint(serves)] }));
            let began = Instant::now();
            slices.patch(&format!("{name}-1"), &PatchParams::default(), &patch).await?;
            let seen = |notes: &Notes| {
                let (told, at) = *notes.prefixes.get(&(address, 32))?;
                (told == serves && at >= began).then_some(at)
            };
            times.push(ear.wait(LIMIT, &format!("{address} of {name}"), seen)? - began);
        }
    }
    for number in 0..args.created {
        let name = format!("new-{number}");
        serve(client, &name).await?;
        tokio::time::sleep(APART).await;
        let began = Instant::now();
        let services = Api::<Service>::namespaced(client.clone(), "default");
        services.create(&PostParams::default(), &service(&name)?).await?;
        let newest = |notes: &Notes| notes.prefixes.values().map(|(_, at)| *at).max().filter(|at| *at >= began);
        created.push(ear.wait(LIMIT, &format!("the route of {name}"), newest)? - began);
    }
    Ok((withdrawn, told, created))
}

async fn addresses(client: &Client) -> anyhow::Result<BTreeMap<String, Ipv4Addr>> {
    let all = Api::<Service>::namespaced(client.clone(), "default").list(&Default::default()).await?;
    let one = |service: &Service| {
        let address = addresses_of(service).into_iter().find_map(|address| match address {
            std::net::IpAddr::V4(v4) => Some(v4),
            std::net::IpAddr::V6(_) => None,
        });
        Some((service.metadata.name.clone()?, address?))
    };
    Ok(all.items.iter().filter_map(one).collect())
}

async fn create_all(client: &Client, names: &[String]) -> anyhow::Result<()> {
    let made = stream::iter(names).map(async |name| -> anyhow::Result<()> {
        serve(client, name).await?;
        let services = Api::<Service>::namespaced(client.clone(), "default");
        services.create(&PostParams::default(), &service(name)?).await?;
        Ok(())
    });
    made.buffer_unordered(AT_ONCE).try_collect().await
}

async fn serve(client: &Client, name: &str) -> anyhow::Result<()> {
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": { "name": format!("{name}-1"), "labels": { "kubernetes.io/service-name": name } },
        "addressType": "IPv4",
        "endpoints": [endpoint(true)],
        "ports": [{ "name": "", "port": 8080, "protocol": "TCP" }],
    }))?;
    Api::<EndpointSlice>::namespaced(client.clone(), "default").create(&PostParams::default(), &slice).await?;
    Ok(())
}

fn endpoint(serves: bool) -> Value {
    json!({ "addresses": ["10.244.1.2"], "conditions": { "ready": serves, "serving": serves }, "nodeName": "node-1" })
}

fn service(name: &str) -> anyhow::Result<Service> {
    Ok(serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{ "port": 80 }] },
    }))?)
}

fn controller(lab: &Lab, plane: &Plane) -> anyhow::Result<Process> {
    let mut command = lab.control.command(program("lb-controller"));
    command.arg("--kubeconfig").arg(plane.access("controller").kubeconfig());
    Process::start("lb-controller", command, &plane.logs().join("lb-controller.log"))
}

/// The CRDs of `deploy/`, rights, and what a user writes.
fn install(plane: &Plane) -> anyhow::Result<()> {
    let crds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    ensure!(crds.is_dir(), "{} is not there", crds.display());
    let kubectl = plane.kubectl();
    kubectl.run(&["apply", "--server-side", "-f", &crds.to_string_lossy()])?;
    kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    for user in ["controller", "agent"] {
        let user_flag = format!("--user={user}");
        kubectl.run(&["create", "clusterrolebinding", user, "--clusterrole=cluster-admin", &user_flag])?;
    }
    kubectl.apply(OBJECTS)?;
    Ok(())
}
