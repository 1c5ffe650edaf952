//! A peer's VRF: its sockets are bound to that device, and one that is not there is said.
//!
//! A VRF is a device to a socket. Where the kernel has none, what binding does is shown by plain interfaces: one that leads to
//! the peer, one that leads elsewhere, one that does not exist.

use std::process::Command;

use anyhow::ensure;
use lb_tests::{
    lab::{Host, INTERFACE},
    wait,
};
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

const PROFILE: &str = "\nbfd\n profile calm\n  transmit-interval 300\n  receive-interval 300\n";
const ROUTE: &str = "203.0.113.7/32";

#[test]
fn a_session_goes_through_the_device_of_its_vrf_and_through_no_other() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let addresses = [node.v4.to_string(), node.v6.to_string()];
    let neighbours = addresses.each_ref().map(|address| (address.as_str(), OURS, "NEIGHBOUR bfd profile calm\n"));
    let frr = Frr::start(&lab, router, &(frr::bgpd(THEIRS, &neighbours) + PROFILE))?;
    let mut speaker = Node::start(node)?;
    // There is no such device.
    through(&mut speaker, node, router, "red");
    for name in ["v4", "v6"] {
        speaker.wait_reason(name, "this node has no VRF or interface red: create it, or correct spec.vrf")?;
    }
    wait::for_ok(LIMIT, "BFD to say so too", || {
        let problem = speaker.bfd(router.v4.into()).and_then(|bfd| bfd.problem);
        let is_said = problem.as_ref().is_some_and(|why| why.contains("this node has no VRF or interface red"));
        if is_said { Ok(()) } else { Err(problem) }
    })?;

    // There is one, and the peer is not behind it, though it can be reached without.
    ip(node, &["link", "add", "red", "type", "veth", "peer", "name", "red-end"])?;
    ip(node, &["address", "add", "198.51.100.1/24", "dev", "red"])?;
    for device in ["red", "red-end"] {
        ip(node, &["link", "set", device, "up"])?;
    }
    for name in ["v4", "v6"] {
        wait::for_ok(LIMIT, format!("{name} to be tried through red"), || {
            let reason = speaker.peer(name).map(|peer| peer.reason()).unwrap_or_default();
            if reason.contains("cannot connect: ") && !reason.contains("this node has no") {
                Ok(())
            } else {
                Err(reason)
            }
        })?;
    }
    for address in &addresses {
        assert_ne!(frr.state(address)?, "Established", "{address}");
    }

    // The one that leads to the peer.
    through(&mut speaker, node, router, INTERFACE);
    for (name, address) in ["v4", "v6"].iter().zip(&addresses) {
        speaker.wait_told(name)?;
        wait::until(LIMIT, format!("{name} at the router"), || frr.state(address).is_ok_and(|is| is == "Established"))?;
    }
    assert_eq!(frr.paths(ROUTE)?.len(), 2);
    wait::for_ok(LIMIT, "BFD of both to be up", || {
        let peers = frr.bfd().map_err(|error| format!("{error:#}"))?;
        if peers.len() == 2 && peers.iter().all(|peer| peer["status"] == "up") {
            Ok(())
        } else {
            Err(format!("{peers:?}"))
        }
    })?;
    // The kernel's own view of what the connections are bound to (ss(8)): both are.
    let bound = ss(node)?;
    assert_eq!(bound.matches(&format!("%{INTERFACE}:")).count(), 2, "{bound}");
    Ok(())
}

/// Peers of both families, by one device, with BFD.
fn through(speaker: &mut Node, node: &Host, router: &Host, device: &str) {
    for (name, peer) in [("v4", router.v4.into()), ("v6", router.v6.into())] {
        let mut session = session(node, peer, THEIRS);
        session.endpoint.device = Some(device.to_owned());
        speaker.tell(name, session, routes([ROUTE]));
        if let Some(peer) = speaker.wanted().peers.get_mut(name) {
            peer.bfd = Some(lb_agent::bfd::Wanted::default());
        }
        speaker.apply();
    }
}

fn ip(host: &Host, args: &[&str]) -> anyhow::Result<()> {
    let mut command: Command = host.netns.command("ip");
    let output = command.args(args).output()?;
    ensure!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Established connections to port 179, by their local ends.
fn ss(host: &Host) -> anyhow::Result<String> {
    let mut command: Command = host.netns.command("ss");
    let output = command.args(["-Htn", "state", "established", "dport", "=", ":179"]).output()?;
    ensure!(output.status.success(), "ss: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
