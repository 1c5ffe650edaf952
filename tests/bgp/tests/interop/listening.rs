//! The router connects to us: passive peers, collisions, and a port that somebody else has.

use std::{net::TcpListener, time::Duration};

use lb_agent::bgp::PORT;
use lb_tests::wait;
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

#[test]
fn a_passive_peer_is_met_where_it_connects() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let addresses = [node.v4.to_string(), node.v6.to_string()];
    let config = frr::bgpd(
        THEIRS,
        &[
            (&addresses[0], OURS, "NEIGHBOUR password secret\n"),
            (&addresses[1], OURS, "NEIGHBOUR ttl-security hops 1\n"),
        ],
    );
    let frr = Frr::start(&lab, router, &config)?;
    let mut speaker = Node::start(node)?;
    let mut v4 = session(node, router.v4.into(), THEIRS);
    let mut v6 = session(node, router.v6.into(), THEIRS);
    v4.endpoint.authentication = lb_agent::bgp::Authentication::Md5(lb_agent::bgp::Password::new("secret")?);
    v6.endpoint.hops = lb_agent::bgp::Hops::Secured { hops: 1 };
    (v4.config.passive, v6.config.passive) = (true, true);
    speaker.tell("v4", v4, routes(["203.0.113.7/32"]));
    speaker.tell("v6", v6, routes(["203.0.113.7/32"]));
    // Nobody was asked to listen, so nothing is refused and nothing comes.
    speaker.wait_reason("v4", "waits for the peer to connect")?;

    speaker.wanted().listen = Some(PORT);
    speaker.apply();

    for (name, address) in ["v4", "v6"].iter().zip(&addresses) {
        let peer = speaker.wait_told(name)?;
        assert_eq!(peer.ends.map(|(local, _)| local.port()), Some(PORT), "{name}");
        wait::until(LIMIT, "the route at the router", || frr.received(address).is_ok_and(|received| received == 1))?;
        assert_eq!(frr.neighbour(address)?["portForeign"], PORT, "{address}");
    }
    Ok(())
}

#[test]
fn when_both_connect_one_connection_stays() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 2)? else { return Ok(()) };
    let node = &lab.nodes[0];
    let address = node.v4.to_string();
    // One router has the higher identifier, one the lower.
    let config = |id: &str| {
        frr::bgpd(THEIRS, &[(&address, OURS, "")])
            .replace(" no bgp ebgp", &format!(" bgp router-id {id}\n no bgp ebgp"))
    };
    let routers = [
        Frr::start(&lab, &lab.routers[0], &config("255.0.0.1"))?,
        Frr::start(&lab, &lab.routers[1], &config("0.0.0.1"))?,
    ];
    for _ in 0..3 {
        let mut speaker = Node::start(node)?;
        speaker.wanted().listen = Some(PORT);
        for (name, router) in ["higher", "lower"].iter().zip(&lab.routers) {
            speaker.tell(name, session(node, router.v4.into(), THEIRS), routes(["203.0.113.7/32"]));
        }
        for (name, frr) in ["higher", "lower"].iter().zip(&routers) {
            speaker.wait_told(name)?;
            wait::until(LIMIT, format!("the {name} one to know the route"), || {
                frr.paths("203.0.113.7/32").is_ok_and(|paths| paths.len() == 1)
            })?;
        }
        let dropped = |frr: &Frr| frr.neighbour(&address).map(|peer| peer["connectionsDropped"].clone());
        let before = [dropped(&routers[0])?, dropped(&routers[1])?];
        wait::observe(Duration::from_secs(2));
        assert_eq!([dropped(&routers[0])?, dropped(&routers[1])?], before);
        for name in ["higher", "lower"] {
            assert_eq!(speaker.peer(name).map(|peer| peer.bgp.counters.established), Some(1), "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_port_that_is_taken_fails_only_the_listener_and_is_taken_up_when_it_is_free() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 2)? else { return Ok(()) };
    let node = &lab.nodes[0];
    let address = node.v4.to_string();
    let config = frr::bgpd(THEIRS, &[(&address, OURS, "")]);
    let (calls, _waits) = (Frr::start(&lab, &lab.routers[0], &config)?, Frr::start(&lab, &lab.routers[1], &config)?);
    let other = node.netns.run(|| TcpListener::bind(("0.0.0.0", PORT)))??;
    let mut speaker = Node::start(node)?;
    speaker.wanted().listen = Some(PORT);
    let mut passive = session(node, lab.routers[0].v4.into(), THEIRS);
    passive.config.passive = true;
    speaker.tell("passive", passive, routes(["203.0.113.7/32"]));
    speaker.tell("active", session(node, lab.routers[1].v4.into(), THEIRS), routes(["203.0.113.7/32"]));

    speaker.wait_told("active")?;
    speaker.wait_reason("passive", "listen on 0.0.0.0:179: Address already in use")?;
    assert!(speaker.status().listener.is_some_and(|why| why.contains("0.0.0.0:179")));

    drop(other);
    speaker.wait_told("passive")?;
    assert!(speaker.status().listener.is_none());
    wait::until(LIMIT, "the route at the router", || {
        calls.paths("203.0.113.7/32").is_ok_and(|paths| paths.len() == 1)
    })?;
    Ok(())
}
