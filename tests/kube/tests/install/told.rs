//! What the agents of a cluster tell through the API server, with the rights that `deploy/` gives them, and what a real
//! kube-proxy that hangs makes of its node.

use anyhow::{Context as _, ensure};
use lb_api::virtual_ip::name_of;
use lb_tests::wait;
use lb_tests_kube::ProxyMode;

use crate::{
    met,
    site::{LIMIT, Site},
};

/// The notes of all Events with a reason.
fn notes(site: &Site, reason: &str) -> anyhow::Result<Vec<String>> {
    let kubectl = site.cluster.kubectl();
    let selector = format!("--field-selector=reason={reason}");
    let events = kubectl.json(&["get", "events", "--all-namespaces", &selector])?;
    let items = events["items"].as_array().context("a list")?;
    Ok(items.iter().filter_map(|event| event["message"].as_str()).map(str::to_owned).collect())
}

#[test]
fn a_node_whose_kube_proxy_hangs_gives_away_what_it_holds_and_the_move_is_told() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    let mut site = Site::start(ProxyMode::Nftables)?;
    site.deploy("page", 3)?;
    let addresses = site.expose("page", "Cluster")?;
    let holders = site.holders(&addresses)?;
    let (address, _) = holders.iter().find(|(_, holder)| *holder == "node-1").context("node-1 holds something")?;
    let vip = name_of(*address);
    let status =
        |site: &Site| Ok::<_, anyhow::Error>(site.cluster.kubectl().json(&["get", "vip", &vip])?["status"].clone());
    wait::for_ok(LIMIT, "the status to name a standby", || {
        let status = status(&site)?;
        ensure!(status["standby"].as_str().is_some_and(|standby| standby != "node-1"), "{status}");
        Ok(())
    })?;
    wait::for_ok(LIMIT, "the Service to hear who announces it", || {
        let told = notes(&site, "nodeAssigned")?;
        ensure!(told.iter().any(|note| note == "announcing from node \"node-1\" with protocol \"layer2\""), "{told:?}");
        Ok(())
    })?;
    wait::for_ok(LIMIT, "each node to publish its sessions and its kube-proxy", || {
        let node = site.cluster.kubectl().json(&["get", "lbnode", "node-2"])?["status"].clone();
        let peers = node["peers"].as_array().map_or(0, Vec::len);
        ensure!(peers == 2 && node["proxy"] == "Healthy", "{node}");
        Ok(())
    })?;

    site.cluster.proxy("node-1")?.stop()?;

    wait::for_ok(LIMIT, "another node to hold it", || {
        let status = status(&site)?;
        ensure!(status["holder"].as_str().is_some_and(|holder| holder != "node-1"), "{status}");
        ensure!(status["why"] == "AdminDown", "{status}");
        Ok(())
    })?;
    let moved = format!("{address} moved from node-1 to ");
    wait::for_ok(LIMIT, "the move to be told", || {
        let told = notes(&site, "Moved")?;
        ensure!(told.iter().filter(|note| note.starts_with(&moved)).count() == 1, "{told:?}");
        Ok(())
    })?;
    site.page(*address)?;
    site.cluster.proxy("node-1")?.cont()?;
    site.done();
    Ok(())
}
