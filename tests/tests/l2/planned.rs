//! Planned moves, as a controller makes them of what people change: make before break, so no request stays unanswered.

use std::{net::IpAddr, time::Duration};

use anyhow::Context as _;
use lb_tests::{
    herald::{AgentOptions, Controller, Observer},
    wait,
};

use crate::scene::{Scene, pair, scene_to_control};

const LIMIT: Duration = Duration::from_secs(30);

/// What somebody changes, told on which node the addresses are.
type Change = dyn Fn(&Site, &str) -> anyhow::Result<()>;

/// Three nodes with agents, and a controller.
struct Site {
    scene: Scene,
    observer: Observer,
    _controller: Controller,
}

fn site(files: &[(&str, String)]) -> anyhow::Result<Option<Site>> {
    let Some(mut scene) = scene_to_control(3)? else { return Ok(None) };
    for number in 1..=3 {
        scene.manifests.write(&format!("node-{number}.yaml"), &node(&format!("node-{number}"), "", ""))?;
    }
    for (file, text) in files {
        scene.manifests.write(file, text)?;
    }
    let controller = Controller::start(&scene.lab, &scene.manifests, &[])?;
    scene.start_agents(&AgentOptions::default())?;
    let observer = scene.manifests.observe()?;
    Ok(Some(Site { scene, observer, _controller: controller }))
}

/// A Node with the label `lb`, and lines more under `metadata` and `spec`.
fn node(name: &str, metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels: {{ lb: \"yes\", name: {name} }}\n{metadata}spec:\n  podCIDR: 10.0.0.0/24\n{spec}"
    )
}

fn service(policy: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: default\nspec:\n  type: LoadBalancer\n  ipFamilyPolicy: RequireDualStack\n  ipFamilies: [IPv4, IPv6]\n  externalTrafficPolicy: {policy}\n  ports:\n  - port: 80\n"
    )
}

/// The range of a pool with the addresses of `pair(100)` and no others.
const RANGES: &str = "192.0.2.100/32, \"2001:db8:2::100/128\"";

impl Site {
    /// The agent that holds both addresses, by its index; and what it was before is another one.
    fn held_by(&self, before: Option<usize>) -> anyhow::Result<usize> {
        let held = |agent: usize| -> anyhow::Result<usize> {
            let state = self.scene.agents[agent].state()?;
            let holds = state["holds"].as_array().context("holds is a list")?;
            Ok(holds.iter().filter_map(|one| one.as_str()).filter(|one| is_of_pair(one)).count())
        };
        let waited = wait::for_ok(LIMIT, format!("a holder other than {before:?}"), || {
            let held: anyhow::Result<Vec<usize>> = (0..3).map(held).collect();
            let held = held.map_err(|error| format!("{error:#}"))?;
            let whole = held.iter().position(|count| *count == 2).filter(|holder| Some(*holder) != before);
            whole.filter(|_| held.iter().sum::<usize>() == 2).ok_or(format!("{held:?}"))
        });
        Ok(waited?)
    }

    /// Makes each change in turn, told who holds; each moves the addresses, and no request stays unanswered.
    fn moves(&self, changes: &[(&str, &Change)]) -> anyhow::Result<()> {
        let mut holder = self.held_by(None)?;
        let asker = self.scene.ask(&pair(100))?;
        for (what, change) in changes {
            wait::observe(Duration::from_millis(300));
            let (asked, name) = (asker.answers(), self.scene.node(holder).name.clone());
            change(self, &name).with_context(|| format!("{what}: on {name}"))?;
            holder = self.held_by(Some(holder)).with_context(|| format!("{what}: away from {name}"))?;
            println!("{what}: from {name} to {}", self.scene.node(holder).name);
            wait::until(LIMIT, "more answers", || asker.answers() > asked + 500)?;
        }
        wait::observe(Duration::from_millis(500));
        let record = asker.finish()?;
        assert_eq!(record.all().unanswered(), 0, "of {}", record.all().sent());
        // Of each move the old holder may answer the one frame in which it hears of the new one.
        let most = changes.len() * pair(100).len();
        assert!(record.all().answered_twice() <= most, "{} answered twice", record.all().answered_twice());
        let [address, _] = pair(100);
        let named = || self.observer.holder(address) == Some(self.scene.node(holder).name.clone());
        wait::until(LIMIT, "the status to name the last holder", named)?;
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        self.scene.manifests.write(file, text)
    }
}

fn is_of_pair(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok_and(|address| pair(100).contains(&address))
}

/// A class whose addresses any labelled node may hold.
fn site_of_class() -> anyhow::Result<Option<Site>> {
    let class = format!(
        "apiVersion: network.deckhouse.io/v1alpha1\nkind: MetalLoadBalancerClass\nmetadata:\n  name: main\nspec:\n  isDefault: true\n  addressPool: [{RANGES}]\n  nodeSelector: {{ lb: \"yes\" }}\n"
    );
    site(&[("class.yaml", class), ("service.yaml", service("Cluster"))])
}

// Two moves in each test: of an address that moves a fourth time within three minutes the way back may be capped.

#[test]
fn a_node_that_is_cordoned_or_drained_gives_away_what_it_holds_without_a_gap() -> anyhow::Result<()> {
    let Some(site) = site_of_class()? else { return Ok(()) };

    site.moves(&[
        ("cordon", &|site, name| site.write(&format!("{name}.yaml"), &node(name, "", "  unschedulable: true\n"))),
        ("drain annotation", &|site, name| {
            let annotation = "  annotations: { lb.herald.dev/drain: \"\" }\n";
            site.write(&format!("{name}.yaml"), &node(name, annotation, ""))
        }),
    ])
}

#[test]
fn a_node_that_is_deselected_or_deleted_gives_away_what_it_holds_without_a_gap() -> anyhow::Result<()> {
    let Some(site) = site_of_class()? else { return Ok(()) };

    site.moves(&[
        ("selector", &|site, name| {
            site.write(&format!("{name}.yaml"), &node(name, "", "").replace("lb: \"yes\"", "lb: \"no\""))
        }),
        ("node deleted", &|site, name| site.scene.manifests.remove(&format!("{name}.yaml"))),
    ])
}

/// A pool, and the advertisement of it on one node, with another preferred.
fn pool(name: &str, advertisement: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata:\n  name: {name}\n  namespace: metallb-system\nspec:\n  addresses: [{RANGES}]\n---\napiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata:\n  name: {name}\n  namespace: metallb-system\nspec:\n  ipAddressPools: [{name}]\n{advertisement}"
    )
}

fn endpoints(node: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: web-1\n  namespace: default\n  labels: {{ kubernetes.io/service-name: web }}\naddressType: IPv4\nports: []\nendpoints:\n- addresses: [10.0.0.1]\n  nodeName: {node}\n  conditions: {{ ready: true }}\n"
    )
}

fn preferred(node: &str) -> String {
    format!("  preferredNodeSelectors:\n  - weight: 100\n    preference: {{ matchLabels: {{ name: {node} }} }}\n")
}

/// Another node than this one.
fn next(name: &str) -> &'static str {
    if name == "node-2" { "node-3" } else { "node-2" }
}

#[test]
fn an_endpoint_that_moves_other_weights_and_another_pool_move_an_address_without_a_gap() -> anyhow::Result<()> {
    let files =
        [("pool.yaml", pool("one", "")), ("endpoints.yaml", endpoints("node-1")), ("service.yaml", service("Local"))];
    let Some(site) = site(&files)? else { return Ok(()) };

    site.moves(&[
        ("endpoint of Local", &|site, name| site.write("endpoints.yaml", &endpoints(next(name)))),
        ("weights", &|site, name| {
            site.write("pool.yaml", &pool("one", &preferred(next(name))))?;
            site.write("service.yaml", &service("Cluster"))
        }),
        ("pool", &|site, name| {
            let only = format!("  nodeSelectors:\n  - matchLabels: {{ name: {} }}\n", next(name));
            site.write("pool.yaml", &pool("two", &only))
        }),
    ])
}
