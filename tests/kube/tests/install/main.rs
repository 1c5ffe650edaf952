//! Herald installed from `deploy/` in a cluster of three nodes: a Service is reached through all of its addresses, and
//! its daemons can do what they must and no more.
//!
//! Everything is made by kubectl, everything runs by the cluster's own controllers, and pages are fetched by curl from a
//! client on the segment that only ARP and NDP lead to.

mod site;
mod told;

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, ensure};
use lb_api::virtual_ip::name_of;
use lb_tests::{
    need::{self, Need},
    wait,
};
use lb_tests_kube::{ProxyMode, install, programs};
use site::{LIMIT, Site};

/// Requests that show whether one Pod answers all of them or several do: three Pods by chance answer as one in one of
/// 3^11 runs.
const REQUESTS: usize = 12;

fn met() -> bool {
    need::met(&[programs::needs(), install::needs()].concat())
}

/// The Pods that answer an address.
fn pods(site: &Site, address: IpAddr) -> anyhow::Result<BTreeSet<String>> {
    (0..REQUESTS).map(|_| Ok(site.page(address)?.pod)).collect()
}

fn all_addresses_lead_to_pages(site: &Site) -> anyhow::Result<Vec<IpAddr>> {
    site.deploy("page", 3)?;
    let addresses = site.expose("page", "Cluster")?;
    let holders = site.holders(&addresses)?;
    for is_v4 in [true, false] {
        let of_family = holders.iter().filter(|(address, _)| address.is_ipv4() == is_v4);
        let nodes: BTreeSet<_> = of_family.map(|(_, holder)| holder).collect();
        assert_eq!(nodes.len(), 3, "three nodes hold three addresses of a family: {holders:?}");
    }
    for address in &addresses {
        site.page(*address)?;
    }
    Ok(addresses)
}

fn affinity_keeps_a_client_on_one_pod(site: &Site, addresses: &[IpAddr]) -> anyhow::Result<()> {
    let address = *addresses.first().context("an address")?;
    assert!(pods(site, address)?.len() > 1, "without affinity several Pods answer");

    site.patch("page", r#"{"spec": {"sessionAffinity": "ClientIP"}}"#)?;

    wait::for_ok(LIMIT, "one Pod to answer all requests", || {
        let answered = pods(site, address)?;
        ensure!(answered.len() == 1, "{answered:?}");
        Ok(())
    })?;
    Ok(())
}

fn source_ranges_keep_others_out(site: &Site, addresses: &[IpAddr]) -> anyhow::Result<()> {
    let ranges = |v4: &str, v6: &str| format!(r#"{{"spec": {{"loadBalancerSourceRanges": ["{v4}", "{v6}"]}}}}"#);
    site.patch("page", &ranges("192.0.2.0/28", "2001:db8:ffff::/64"))?;
    for address in addresses {
        wait::until(LIMIT, format!("{address} to refuse the client"), || site.fetch(*address).is_err())?;
    }
    site.patch("page", &ranges("192.0.2.192/26", "2001:db8:2::/64"))?;
    for address in addresses {
        site.page(*address)?;
    }
    Ok(())
}

fn local_policy_keeps_the_clients_address(site: &Site) -> anyhow::Result<()> {
    site.deploy("local", 2)?;
    let addresses = site.expose("local", "Local")?;
    let client = site.cluster.lab().client();
    let serving = site.nodes_of("local")?;
    for (address, holder) in site.holders(&addresses)? {
        assert!(serving.contains(&holder), "{address} is held by {holder}, Pods are on {serving:?}");
        let expected = if address.is_ipv4() { IpAddr::from(client.v4) } else { client.v6.into() };
        assert_eq!(site.page(address)?.client, expected, "by {address}");
    }
    Ok(())
}

fn traffic(mode: ProxyMode) -> anyhow::Result<()> {
    let site = Site::start(mode)?;
    let addresses = all_addresses_lead_to_pages(&site)?;
    local_policy_keeps_the_clients_address(&site)?;
    affinity_keeps_a_client_on_one_pod(&site, &addresses)?;
    source_ranges_keep_others_out(&site, &addresses)?;
    site.done();
    Ok(())
}

#[test]
fn services_are_reached_through_all_their_addresses_in_nftables_mode() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    traffic(ProxyMode::Nftables)
}

#[test]
fn services_are_reached_through_all_their_addresses_in_iptables_mode() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    traffic(ProxyMode::Iptables)
}

#[test]
fn a_browser_shows_the_page_by_each_family() -> anyhow::Result<()> {
    if !need::met(&[programs::needs(), install::needs(), vec![Need::Program("chromium")]].concat()) {
        return Ok(());
    }
    let site = Site::start(ProxyMode::Nftables)?;
    site.deploy("page", 1)?;
    let addresses = site.expose("page", "Local")?;
    let client = site.cluster.lab().client();
    for own in [IpAddr::from(client.v4), client.v6.into()] {
        let address = addresses.iter().find(|address| address.is_ipv4() == own.is_ipv4()).context("an address")?;
        site.page(*address)?;
        let shown = site.browse(*address)?;
        assert!(shown.contains(&format!("client {own}")), "by {address}: {shown}");
    }
    site.done();
    Ok(())
}

/// A pool as MetalLB's users write it, and two Services: one that MetalLB serves, one with a class of Herald's.
const METALLB: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: metallb-system }
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: theirs, namespace: metallb-system }
spec: { addresses: [192.0.2.160-192.0.2.170] }
---
apiVersion: v1
kind: Service
metadata: { name: theirs, namespace: default }
spec: { type: LoadBalancer, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: marked, namespace: default }
spec: { type: LoadBalancer, loadBalancerClass: lb.herald.dev/herald, ports: [{ port: 80 }] }
";

#[test]
fn beside_metallb_its_services_and_pools_are_left_alone() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    let site = Site::start_as("beside-metallb", ProxyMode::Nftables)?;
    let kubectl = site.cluster.kubectl();
    kubectl.apply(METALLB)?;
    site.deploy("page", 1)?;

    let addresses = site.expose("page", "Cluster")?;

    for address in &addresses {
        site.page(*address)?;
    }
    // What was there before the Service that has its addresses by now was looked at, too.
    let theirs = kubectl.json(&["get", "service", "theirs"])?;
    assert_eq!(theirs["status"]["loadBalancer"], serde_json::json!({}), "{}", theirs["status"]);
    assert!(theirs["status"]["conditions"].is_null(), "{}", theirs["status"]);
    let pool = kubectl.json(&["--namespace", "metallb-system", "get", "ipaddresspool", "theirs"])?;
    assert!(pool["status"].is_null(), "{pool}");
    let account = "--as=system:serviceaccount:herald-system:herald-controller";
    let may = |verb, what, part| kubectl.run(&["auth", "can-i", verb, what, part, account]).is_ok();
    assert!(may("list", "ipaddresspools.metallb.io", "--subresource="), "its listing waits for it");
    assert!(!may("patch", "ipaddresspools.metallb.io", "--subresource=status"));
    assert!(!may("create", "configurationstates.metallb.io", "--subresource="));
    // Its own mark, once a class is the default.
    kubectl.run(&[
        "patch",
        "metalloadbalancerclass",
        "segment",
        "--type=merge",
        r#"--patch={"spec": {"isDefault": true}}"#,
    ])?;
    site.addresses("marked", 1)?;
    site.done();
    Ok(())
}

#[test]
fn an_agents_token_is_good_for_its_own_node_only() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    let site = Site::start(ProxyMode::Nftables)?;
    site.deploy("page", 1)?;
    let addresses = site.expose("page", "Cluster")?;
    let holders = site.holders(&addresses)?;
    let held_by = |node: &str| {
        let found = holders.iter().find(|(_, holder)| *holder == node);
        found.map(|(address, _)| name_of(*address)).with_context(|| format!("{node} holds nothing: {holders:?}"))
    };
    let (own, others) = (held_by("node-1")?, held_by("node-2")?);
    let token = site.cluster.agent_token("node-1")?;
    let refused = |token: &str, path: &str, patch: &str, words: &str| -> anyhow::Result<()> {
        let said = site.patch_as(token, path, patch).expect_err("it is not its to write").to_string();
        ensure!(said.contains(words), "{path} {patch}: {said}");
        Ok(())
    };
    let own_only = "may write the LoadBalancerNode of its own node only";
    let holder_only = "may name itself as holder, or itself no more";
    let (own_status, others_status) = (format!("virtualips/{own}/status"), format!("virtualips/{others}/status"));

    site.patch_as(&token, "loadbalancernodes/node-1/status", r#"{"status": {"version": "by hand"}}"#)?;
    refused(&token, "loadbalancernodes/node-2/status", r#"{"status": {"version": "forged"}}"#, own_only)?;
    site.patch_as(&token, &own_status, r#"{"status": {"why": "ByHand"}}"#)?;
    refused(&token, &own_status, r#"{"status": {"holder": "node-3"}}"#, holder_only)?;
    refused(&token, &others_status, r#"{"status": {"holder": null}}"#, holder_only)?;
    // Of no Pod, so of no node.
    let kubectl = site.cluster.kubectl();
    let free = kubectl.run(&["--namespace", install::NAMESPACE, "create", "token", "herald-agent"])?;
    let free = free.trim();
    refused(free, "loadbalancernodes/node-1/status", r#"{"status": {"version": "forged"}}"#, own_only)?;
    refused(free, &own_status, r#"{"status": {"holder": "node-2"}}"#, holder_only)?;
    // The spec is not its at all.
    refused(&token, &format!("virtualips/{own}"), r#"{"spec": {"nodes": []}}"#, "cannot patch resource")?;
    site.done();
    Ok(())
}

#[test]
fn a_virtual_ip_is_the_controllers_and_the_break_glass_groups() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    let site = Site::start(ProxyMode::Nftables)?;
    site.deploy("page", 1)?;
    let addresses = site.expose("page", "Cluster")?;
    let vip = name_of(*addresses.first().context("an address")?);
    let kubectl = site.cluster.kubectl();
    let uid = || Ok::<_, anyhow::Error>(kubectl.json(&["get", "vip", &vip])?["metadata"]["uid"].clone());
    let before = uid()?;

    // A cluster administrator by mistake.
    for attempt in [
        vec!["delete", "vip", &vip],
        vec!["patch", "vip", &vip, "--type=merge", r#"--patch={"spec": {"nodes": ["node-1"]}}"#],
    ] {
        let said = kubectl.run(&attempt).expect_err("it is the controller's").to_string();
        ensure!(said.contains("written by Herald's controller only"), "{said}");
    }
    kubectl.run(&["label", "vip", &vip, "team=edge"])?;
    assert_eq!(uid()?, before);

    kubectl.run(&["delete", "vip", &vip, "--as=somebody", "--as-group=herald:break-glass", "--wait=false"])?;
    // The controller makes it again: the Service still shows the address.
    wait::for_ok(LIMIT, "another VirtualIP of the address", || {
        ensure!(uid()? != before, "still the old one");
        Ok(())
    })?;
    site.done();
    Ok(())
}

#[test]
fn an_agent_lets_go_when_no_successor_comes_and_hands_over_when_one_does() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    let site = Site::start(ProxyMode::Nftables)?;
    site.deploy("page", 1)?;
    let addresses = site.expose("page", "Cluster")?;
    site.holders(&addresses)?;
    let kubectl = site.cluster.kubectl();
    let namespace = ["--namespace", install::NAMESPACE];
    let attached = |node: &str| site.is_attached(node);

    // A Pod that is deleted comes again: its program stays where it is.
    let replaced = site.agent_of("node-1")?;
    kubectl.run(&[&namespace[..], &["delete", "pod", &replaced]].concat())?;
    assert!(site.agent_log(&replaced)?.contains("the DaemonSet still wants this node"), "{replaced}");
    assert!(attached("node-1")?);
    site.cluster.wait_for_herald()?;

    // A node that the DaemonSet does not select any more.
    let excluded = site.agent_of("node-2")?;
    kubectl.run(&["label", "nodes", "--all", "edge="])?;
    let select = r#"--patch={"spec": {"template": {"spec": {"nodeSelector": {"edge": ""}}}}}"#;
    kubectl.run(&[&namespace[..], &["patch", "daemonset", "herald-agent", select]].concat())?;
    site.cluster.wait_for_herald()?;
    let excluded_again = site.agent_of("node-2")?;
    assert_ne!(excluded, excluded_again, "the template changed");
    kubectl.run(&["label", "node", "node-2", "edge-"])?;
    wait::for_ok(LIMIT, "the program of node-2 to be gone", || {
        ensure!(!attached("node-2")?, "{}", site.agent_log(&excluded_again)?);
        Ok(())
    })?;
    assert!(site.agent_log(&excluded_again)?.contains("does not select this node any more"));

    // The DaemonSet itself.
    let (first, third) = (site.agent_of("node-1")?, site.agent_of("node-3")?);
    kubectl.run(&[&namespace[..], &["delete", "daemonset", "herald-agent", "--timeout=60s"]].concat())?;
    for (node, pod) in [("node-1", first), ("node-3", third)] {
        wait::for_ok(LIMIT, format!("the program of {node} to be gone"), || {
            ensure!(!attached(node)?, "{}", site.agent_log(&pod)?);
            Ok(())
        })?;
        assert!(site.agent_log(&pod)?.contains("the DaemonSet is "), "{}", site.agent_log(&pod)?);
    }
    // What the Service shows is for whoever comes next.
    assert_eq!(site.addresses("page", addresses.len())?, addresses);
    site.done();
    Ok(())
}
