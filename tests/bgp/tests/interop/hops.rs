//! How far away a peer may be: on the link, at most so many hops (GTSM, RFC 5082), behind a router.

use std::process::Command;

use anyhow::ensure;
use lb_agent::{
    bfd,
    bgp::{Endpoint, Hops},
};
use lb_tests::{
    lab::{Host, Lab},
    wait,
};
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

#[test]
fn ttl_security_comes_up_where_both_have_it_and_stays_down_where_only_we_have() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 2)? else { return Ok(()) };
    let node = &lab.nodes[0];
    let (v4, v6) = (node.v4.to_string(), node.v6.to_string());
    let config = |line: &str| frr::bgpd(THEIRS, &[(&v4, OURS, line), (&v6, OURS, line)]);
    let secured = Frr::start(&lab, &lab.routers[0], &config("NEIGHBOUR ttl-security hops 1\n"))?;
    let open = Frr::start(&lab, &lab.routers[1], &config(""))?;
    let mut speaker = Node::start(node)?;
    let mut tell = |name: &str, peer, hops| {
        let mut session = session(node, peer, THEIRS);
        session.endpoint = Endpoint { hops, ..session.endpoint };
        speaker.tell(name, session, routes(["203.0.113.7/32"]));
    };
    tell("both v4", lab.routers[0].v4.into(), Hops::Secured { hops: 1 });
    tell("both v6", lab.routers[0].v6.into(), Hops::Secured { hops: 1 });
    tell("only we v4", lab.routers[1].v4.into(), Hops::Secured { hops: 1 });
    tell("only we v6", lab.routers[1].v6.into(), Hops::Secured { hops: 1 });

    for neighbour in [&v4, &v6] {
        wait::until(LIMIT, format!("{neighbour} to be up"), || {
            secured.state(neighbour).is_ok_and(|state| state == "Established")
        })?;
    }
    assert_eq!(secured.paths("203.0.113.7/32")?.len(), 2);
    for name in ["only we v4", "only we v6"] {
        speaker.wait_reason(name, "look at both sides' TTL security")?;
    }
    for neighbour in [&v4, &v6] {
        assert_ne!(open.state(neighbour)?, "Established");
    }
    // The other way round is a race of FRR's own: it asks for the TTL after it has taken the connection.
    Ok(())
}

#[test]
fn a_peer_behind_a_router_comes_up_if_it_may_be_there_and_bfd_with_it() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 2)? else { return Ok(()) };
    let (node, near, far) = (&lab.nodes[0], &lab.routers[0], &lab.routers[1]);
    put_behind(&lab, near, far)?;
    ip(node, &["route", "add", "10.9.0.0/30", "via", &near.v4.to_string()])?;
    let address = node.v4.to_string();
    let lines = "NEIGHBOUR ebgp-multihop 10\nNEIGHBOUR bfd profile slow\n";
    let config = frr::bgpd(THEIRS, &[(&address, OURS, lines)])
        + "\nbfd\n profile slow\n  transmit-interval 100\n  receive-interval 100\n  minimum-ttl 250\n";
    let frr = Frr::start(&lab, far, &config)?;
    let mut speaker = Node::start(node)?;
    let peer = "10.9.0.2".parse()?;

    speaker.tell("far", session(node, peer, THEIRS), routes(["203.0.113.7/32"]));
    speaker.wait_reason("far", "cannot connect: No route to host")?;
    assert_ne!(frr.state(&address)?, "Established");

    let mut multihop = session(node, peer, THEIRS);
    multihop.endpoint.hops = Hops::Multi { ttl: 2 };
    speaker.tell("far", multihop, routes(["203.0.113.7/32"]));
    if let Some(far) = speaker.wanted().peers.get_mut("far") {
        far.bfd = Some(bfd::Wanted { min_ttl: 250, ..bfd::Wanted::default() });
    }
    speaker.apply();
    let path = wait::for_some(LIMIT, "the route at the far router", || frr.paths("203.0.113.7/32").ok()?.pop())?;
    assert_eq!(path["nexthops"][0]["ip"], address);
    wait::for_ok(LIMIT, "BFD over two hops at the far router", || {
        let peers = frr.bfd().map_err(|error| format!("{error:#}"))?;
        let is_up = peers.iter().any(|peer| peer["multihop"] == true && peer["status"] == "up");
        if is_up { Ok(()) } else { Err(format!("{peers:?} {:?}", speaker.peer("far").and_then(|peer| peer.bfd))) }
    })?;
    Ok(())
}

/// Takes a router off the segment and connects it to another one.
fn put_behind(lab: &Lab, near: &Host, far: &Host) -> anyhow::Result<()> {
    ip(far, &["link", "set", "eth0", "down"])?;
    let link = format!("link add mh0 type veth peer name mh0 netns {}", far.netns.name());
    ip(near, &link.split(' ').collect::<Vec<_>>())?;
    for (host, address) in [(near, "10.9.0.1/30"), (far, "10.9.0.2/30")] {
        ip(host, &["address", "add", address, "dev", "mh0"])?;
        ip(host, &["link", "set", "mh0", "up"])?;
    }
    ip(far, &["route", "add", "192.0.2.0/24", "via", "10.9.0.1"])?;
    ensure!(lab.routers.len() == 2, "a router to pass and one to reach");
    Ok(())
}

fn ip(host: &Host, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command: Command = host.netns.command("ip");
    let output = command.args(arguments).output()?;
    ensure!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
