//! BGP on a real API server: objects by kubectl, agents and controller from `deploy/` with the very rights that it gives
//! them, a router in the lab.

mod site;

use anyhow::ensure;
use lb_tests::{need, wait};
use serde_json::{Value, json};

use site::{LIMIT, PASSWORD, ROLE, Site, V4, WRONG};

#[test]
fn a_peer_with_a_password_is_told_routes_by_agents_that_may_read_that_secret_only() -> anyhow::Result<()> {
    if !need::met(&site::needs()) || !lb_tests_bgp::met() {
        return Ok(());
    }
    let site = Site::start()?;
    let kubectl = site.cluster.kubectl();
    kubectl.apply(site::SECRETS)?;
    kubectl.apply(site::OBJECTS)?;
    kubectl.apply(site::SERVICE)?;

    // The router's view.
    site.wait_for_routes(&site.own())?;
    for node in site.own() {
        assert_eq!(site.frr.state(&node)?, "Established");
    }
    wait::for_ok(LIMIT, "BFD to be up with both nodes", || {
        let peers = site.frr.bfd()?;
        ensure!(peers.len() == 2 && peers.iter().all(|peer| peer["status"] == "up"), "{peers:?}");
        Ok(())
    })?;

    // One Role, one Secret, one reader.
    assert_eq!(site.allowed()?, ["routers"]);
    let may =
        |what: &[&str]| kubectl.run(&[&["auth", "can-i", "--namespace", "metallb-system"], what].concat()).is_ok();
    let agent = "--as=system:serviceaccount:herald-system:herald-agent";
    assert!(may(&["get", "secret/routers", agent]) && may(&["watch", "secret/routers", agent]));
    for refused in [["get", "secret/other", agent], ["list", "secrets", agent], ["update", "secret/routers", agent]] {
        assert!(!may(&refused), "{refused:?}");
    }
    let controller = "--as=system:serviceaccount:herald-system:herald-controller";
    assert!(!may(&["get", "secret/routers", controller]), "the controller reads no password");

    statuses_say_who_is_told(&site)?;
    states_say_what_a_node_cannot_use(&site)?;

    // Another password is used as soon as the Secret has it.
    site.password(WRONG)?;
    site.wait_for_routes(&[])?;
    site.password(PASSWORD)?;
    site.wait_for_routes(&site.own())?;

    // With the peer goes the right to read its Secret, and nobody is told any more.
    kubectl.run(&["delete", "bgppeer", "router", "--namespace", "metallb-system"])?;
    site.wait_for_routes(&[])?;
    wait::for_ok(LIMIT, "the Role to allow nothing", || {
        let allowed = site.allowed()?;
        ensure!(allowed.is_empty(), "{allowed:?}");
        Ok(())
    })?;
    assert!(!may(&["get", "secret/routers", agent]));
    site.wait_for_statuses(&[])?;

    for (pod, log) in site.logs()? {
        assert!(log.contains("BGP") || pod.contains("controller"), "{pod}: {log}");
        for word in [PASSWORD, WRONG] {
            assert!(!log.contains(word), "{pod} has logged a password");
        }
    }
    site.done();
    Ok(())
}

fn statuses_say_who_is_told(site: &Site) -> anyhow::Result<()> {
    let kubectl = site.cluster.kubectl();
    site.wait_for_statuses(&[("node-1", &["router"]), ("node-2", &["router"])])?;
    let all = site.statuses()?;
    let one = all.iter().find(|status| status["status"]["node"] == "node-1").cloned().unwrap_or_default();
    let labels = &one["metadata"]["labels"];
    assert_eq!(
        labels,
        &json!({ "metallb.io/node": "node-1", "metallb.io/service-name": "page", "metallb.io/service-namespace": "default" })
    );
    assert!(one["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("bgp-")), "{one}");
    assert_eq!(one["metadata"]["ownerReferences"][0]["kind"], "Node");
    let versions = |all: &[Value]| all.iter().map(|one| one["metadata"]["resourceVersion"].clone()).collect::<Vec<_>>();
    let before = versions(&all);

    // An object that changes nothing of it is no write; a second peer is one.
    kubectl.run(&["annotate", "service", "page", "note=none"])?;
    kubectl.apply(&site::peer("edge", "192.0.2.99", ""))?;
    site.wait_for_statuses(&[("node-1", &["edge", "router"]), ("node-2", &["edge", "router"])])?;
    assert_ne!(versions(&site.statuses()?), before);
    kubectl.run(&["delete", "bgppeer", "edge", "--namespace", "metallb-system"])?;
    site.wait_for_statuses(&[("node-1", &["router"]), ("node-2", &["router"])])?;

    // A node whose peer does not select it tells nobody.
    let only = r#"--patch={"spec": {"nodeSelectors": [{"matchLabels": {"kubernetes.io/hostname": "node-2"}}]}}"#;
    let patch = ["--namespace", "metallb-system", "patch", "bgppeer", "router", "--type=merge"];
    kubectl.run(&[&patch[..], &[only]].concat())?;
    site.wait_for_statuses(&[("node-2", &["router"])])?;
    site.wait_for_routes(&site.own()[1..])?;
    kubectl.run(&[&patch[..], &[r#"--patch={"spec": {"nodeSelectors": []}}"#]].concat())?;
    site.wait_for_statuses(&[("node-1", &["router"]), ("node-2", &["router"])])?;
    site.wait_for_routes(&site.own())?;
    assert_eq!(site.allowed()?, ["routers"], "{ROLE} and {V4}");
    Ok(())
}

/// What only a node can know: the controller reads no Secret.
fn states_say_what_a_node_cannot_use(site: &Site) -> anyhow::Result<()> {
    let kubectl = site.cluster.kubectl();
    site.wait_for_states("Valid", "")?;
    kubectl.apply(site::UNUSABLE)?;
    site.wait_for_states(
        "Invalid",
        "BGPPeer `third`: spec.passwordSecret.name: Secret `metallb-system/plain`: secret type mismatch: it is of type `Opaque`",
    )?;
    site.wait_for_routes(&site.own())?;
    kubectl.run(&["delete", "bgppeer", "third", "--namespace", "metallb-system"])?;
    site.wait_for_states("Valid", "")?;
    // Deleted by hand, it comes back.
    kubectl.run(&["delete", "configurationstate", "speaker-node-1", "--namespace", "metallb-system"])?;
    site.wait_for_states("Valid", "")?;

    let token = site.cluster.agent_token("node-1")?;
    let path =
        |node: &str| format!("metallb.io/v1beta1/namespaces/metallb-system/configurationstates/speaker-{node}/status");
    site.cluster.patch_as(&token, &path("node-1"), r#"{"status": {"errorSummary": ""}}"#)?;
    let forged = site.cluster.patch_as(&token, &path("node-2"), r#"{"status": {"result": "Invalid"}}"#);
    let said = forged.expect_err("it is another node's").to_string();
    ensure!(said.contains("may write the ConfigurationState of its own node's speaker only"), "{said}");
    Ok(())
}
