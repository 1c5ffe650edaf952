//! Unnumbered sessions with FRR: both find the other by router advertisements, and IPv4 routes have IPv6 next hops.

use lb_agent::bgp::Remote;
use lb_tests::wait;
use lb_tests_bgp::{
    frr::Frr,
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

#[test]
fn a_router_on_the_interface_is_found_and_told_both_families() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let mut speaker = Node::start(node)?;
    let mut unnumbered = session(node, router.v4.into(), THEIRS);
    unnumbered.endpoint.remote = Remote::Interface("eth0".into());
    unnumbered.config.extended_next_hop = true;
    speaker.tell("frr", unnumbered.clone(), routes(["203.0.113.7/32", "2001:db8:7::7/128"]));
    unnumbered.endpoint.remote = Remote::Interface("nowhere0".into());
    speaker.tell("nowhere", unnumbered, routes([]));
    // The router is not there yet.
    speaker.wait_reason("frr", "no router advertisement was heard on eth0")?;
    speaker.wait_reason("nowhere", "listen for routers on nowhere0: ")?;

    let config = format!(
        "router bgp {THEIRS}\n bgp router-id 192.0.2.251\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         neighbor eth0 interface remote-as {OURS}\n neighbor eth0 timers connect 1\n address-family ipv6 unicast\n  \
         neighbor eth0 activate\n exit-address-family\n"
    );
    let frr = Frr::start(&lab, router, &config)?;
    speaker.wait_told("frr")?;
    for prefix in ["203.0.113.7/32", "2001:db8:7::7/128"] {
        let path = wait::for_some(LIMIT, format!("{prefix} at the router"), || frr.paths(prefix).ok()?.pop())?;
        let hops = path["nexthops"].as_array().cloned().unwrap_or_default();
        let is_link_local = |hop: &serde_json::Value| hop["ip"].as_str().is_some_and(|ip| ip.starts_with("fe80:"));
        assert!(path["valid"] == true && hops.iter().any(is_link_local), "{prefix}: {path}");
    }
    Ok(())
}
