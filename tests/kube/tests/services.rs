//! A Deployment behind a Service: endpoints by the real controllers, ClusterIPs by the real kube-proxy.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, api::ListParams};
use lb_tests::{http, lab::Shape, need, wait};
use lb_tests_kube::{Cluster, ClusterShape, ProxyMode, programs};

const LIMIT: Duration = Duration::from_secs(60);
const PAGES: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: page, namespace: default }
spec:
  replicas: 2
  selector: { matchLabels: { app: page } }
  template:
    metadata: { labels: { app: page } }
    spec:
      terminationGracePeriodSeconds: 2
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        labelSelector: { matchLabels: { app: page } }
      containers:
      - name: main
        image: lab/page
        ports: [{ name: http, containerPort: 8080 }]
        readinessProbe: { httpGet: { path: /healthz, port: http }, periodSeconds: 1, failureThreshold: 2 }
        livenessProbe: { httpGet: { path: /healthz, port: http }, periodSeconds: 1, failureThreshold: 6 }
---
apiVersion: v1
kind: Service
metadata: { name: page, namespace: default }
spec:
  ipFamilyPolicy: RequireDualStack
  selector: { app: page }
  ports: [{ port: 80, targetPort: http }]
";

/// The addresses that stand behind the Service now, of both families.
fn ready(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let slices = cluster.admin().run(async |client| {
        let of = ListParams::default().labels("kubernetes.io/service-name=page");
        Ok(Api::<EndpointSlice>::namespaced(client, "default").list(&of).await?.items)
    })?;
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let ready =
        endpoints.filter(|end| end.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true)));
    Ok(ready.flat_map(|end| end.addresses.clone()).collect())
}

fn wait_for_endpoints(cluster: &Cluster, wanted: usize) -> anyhow::Result<BTreeSet<String>> {
    Ok(wait::for_ok(LIMIT, format!("{wanted} endpoint addresses"), || {
        let ready = ready(cluster)?;
        ensure!(ready.len() == wanted, "{ready:?}");
        Ok(ready)
    })?)
}

/// Asks each ClusterIP from each node until both Pods have answered.
fn reach_all(cluster: &Cluster) -> anyhow::Result<()> {
    let service =
        cluster.admin().run(async |client| Ok(Api::<Service>::namespaced(client, "default").get("page").await?))?;
    let addresses = service.spec.and_then(|spec| spec.cluster_ips).context("the Service has addresses")?;
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for node in &cluster.lab().nodes {
        for address in &addresses {
            let at = SocketAddr::new(address.parse()?, 80);
            let mut seen = BTreeSet::new();
            wait::for_ok(LIMIT, format!("both Pods by {at} from {}", node.name), || {
                let page = http::get(&node.netns, at, "/")?;
                seen.extend(page.lines().next().map(str::to_owned));
                ensure!(seen.len() == 2, "only {seen:?} answered");
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn pages_are_reached(mode: ProxyMode) -> anyhow::Result<()> {
    let lab = Shape { nodes: 2, clients: 0, ..Shape::default() };
    let cluster = Cluster::start(ClusterShape { lab, proxy: Some(mode), ..ClusterShape::default() })?;
    let kubectl = cluster.kubectl();
    kubectl.apply(PAGES)?;
    kubectl.run(&["rollout", "status", "deployment/page", "--timeout", "60s"])?;

    let before = wait_for_endpoints(&cluster, 4)?;
    reach_all(&cluster)?;

    // A page that says it is sick leaves the Service, is started again, and comes back.
    let sick = before.iter().find(|address| address.starts_with("10.")).context("an IPv4 endpoint")?;
    let node = cluster.lab().nodes.first().context("a node")?;
    http::get(&node.netns, SocketAddr::new(sick.parse()?, 8080), "/sick")?;
    wait::until(LIMIT, "the sick page to leave", || ready(&cluster).is_ok_and(|ready| !ready.contains(sick)))?;
    wait_for_endpoints(&cluster, 4)?;
    let pods = kubectl.json(&["get", "pods", "--selector", "app=page"])?;
    let pods = pods["items"].as_array().context("a list of Pods")?;
    let restarts: i64 =
        pods.iter().filter_map(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_i64()).sum();
    assert_eq!(restarts, 1);

    kubectl.run(&["scale", "deployment", "page", "--replicas", "1"])?;
    wait_for_endpoints(&cluster, 2)?;
    cluster.done();
    Ok(())
}

#[test]
fn a_deployment_is_reached_through_its_cluster_ips_in_nftables_mode() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    pages_are_reached(ProxyMode::Nftables)
}

#[test]
fn a_deployment_is_reached_through_its_cluster_ips_in_iptables_mode() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    pages_are_reached(ProxyMode::Iptables)
}
