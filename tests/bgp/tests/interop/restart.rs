//! The agent restarts: with graceful restart the routes stay at the router, without it they go.

use std::time::Duration;

use lb_agent::bgp::Leave;
use lb_bgp::RestartTime;
use lb_tests::wait;
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

#[test]
fn with_graceful_restart_no_route_is_lost_and_without_it_they_are() -> anyhow::Result<()> {
    const ROUTES: [&str; 2] = ["203.0.113.7/32", "2001:db8:7::7/128"];
    let Some(lab) = lab(1, 2)? else { return Ok(()) };
    let node = &lab.nodes[0];
    let address = node.v4.to_string();
    let config = frr::bgpd(THEIRS, &[(&address, OURS, "")]);
    let (graceful, plain) = (Frr::start(&lab, &lab.routers[0], &config)?, Frr::start(&lab, &lab.routers[1], &config)?);
    let mut speaker = Node::start(node)?;
    let mut restarting = session(node, lab.routers[0].v4.into(), THEIRS);
    restarting.config.graceful_restart = Some(RestartTime::MAX);
    speaker.tell("graceful", restarting, routes(ROUTES));
    speaker.tell("plain", session(node, lab.routers[1].v4.into(), THEIRS), routes(ROUTES));
    wait::until(LIMIT, "both routers to know the routes", || {
        [&graceful, &plain].iter().all(|frr| frr.received(&address).is_ok_and(|received| received == 2))
    })?;
    // RFC 4724 §3, RFC 8538 §2: as the router reads it.
    let restart = graceful.neighbour(&address)?["gracefulRestartInfo"].clone();
    assert_eq!(restart["timers"]["receivedRestartTimer"], 30, "{restart}");

    speaker.leave(Leave::Restart)?;
    wait::until(LIMIT, "the route to be gone from the router that keeps nothing", || {
        plain.paths(ROUTES[0]).is_ok_and(|paths| paths.is_empty())
    })?;
    for route in ROUTES {
        let path = graceful.paths(route)?.pop().unwrap_or_default();
        assert_eq!((&path["stale"], &path["valid"]), (&true.into(), &true.into()), "{route}: {path}");
    }

    speaker.again()?;
    for route in ROUTES {
        wait::for_ok(LIMIT, format!("{route} to be fresh again"), || {
            // At no moment may it be missing.
            let paths = graceful.paths(route).map_err(|error| format!("{error:#}"))?;
            assert_eq!(paths.len(), 1, "{route} was lost");
            if paths[0]["stale"].is_null() { Ok(()) } else { Err(paths[0].to_string()) }
        })?;
    }
    let neighbour = graceful.neighbour(&address)?;
    assert_eq!(neighbour["messageStats"]["notificationsRecv"], 0, "{neighbour}");
    wait::until(LIMIT, "the other router to know the routes again", || {
        plain.received(&address).is_ok_and(|received| received == 2)
    })?;
    Ok(())
}

#[test]
fn a_route_that_went_while_the_agent_was_away_goes_when_it_is_back() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let address = node.v4.to_string();
    let frr = Frr::start(&lab, router, &frr::bgpd(THEIRS, &[(&address, OURS, "")]))?;
    let mut speaker = Node::start(node)?;
    let mut restarting = session(node, router.v4.into(), THEIRS);
    restarting.config.graceful_restart = Some(RestartTime::MAX);
    speaker.tell("frr", restarting, routes(["203.0.113.7/32", "203.0.113.8/32"]));
    wait::until(LIMIT, "both routes", || frr.received(&address).is_ok_and(|received| received == 2))?;
    speaker.leave(Leave::Restart)?;

    // Back, and its objects are not read yet: nothing may be purged before they are.
    if let Some(peer) = speaker.wanted().peers.get_mut("frr") {
        peer.routes = None;
    }
    speaker.again()?;
    wait::until(LIMIT, "the session to be up again", || frr.state(&address).is_ok_and(|state| state == "Established"))?;
    wait::observe(Duration::from_secs(2));
    assert_eq!(frr.paths("203.0.113.7/32")?.len() + frr.paths("203.0.113.8/32")?.len(), 2);

    speaker.routes("frr", routes(["203.0.113.8/32"]));
    wait::until(LIMIT, "the route that is not wanted any more to go", || {
        frr.paths("203.0.113.7/32").is_ok_and(|paths| paths.is_empty())
    })?;
    assert_eq!(frr.paths("203.0.113.8/32")?.len(), 1);
    Ok(())
}
