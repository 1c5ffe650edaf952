//! Sessions with FRR: inside and outside of the AS, over both families, with what routes carry. One router each.

use lb_agent::bgp::{Hops, Leave};
use lb_bgp::{Asn, NextHops, PathAttributes};
use lb_tests::wait;
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, communities, lab, routes, session, with},
};

#[test]
fn outside_of_the_as_both_families_are_told_over_each_transport() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let neighbours = [node.v4.to_string(), node.v6.to_string()];
    let frr = Frr::start(&lab, router, &frr::bgpd(THEIRS, &[(&neighbours[0], OURS, ""), (&neighbours[1], OURS, "")]))?;
    let mut speaker = Node::start(node)?;
    let prefixes = ["203.0.113.7/32", "198.51.100.0/24", "2001:db8:7::7/128"];

    for (name, peer) in [("over-v4", router.v4.into()), ("over-v6", router.v6.into())] {
        speaker.tell(name, session(node, peer, THEIRS), routes(prefixes));
    }

    for (name, neighbour) in ["over-v4", "over-v6"].iter().zip(&neighbours) {
        let status = speaker.wait_told(name)?;
        assert!(status.bgp.untellable.is_empty(), "{name}: {}", status.reason());
        wait::for_ok(LIMIT, format!("three routes from {neighbour}"), || match frr.received(neighbour) {
            Ok(3) => Ok(()),
            other => Err(format!("{other:?}")),
        })?;
    }
    for prefix in prefixes {
        let paths = frr.paths(prefix)?;
        assert_eq!(paths.len(), 2, "{prefix}");
        for path in paths {
            assert_eq!(path["aspath"]["string"], OURS.to_string(), "{prefix}");
            assert_eq!((&path["origin"], &path["valid"]), (&"IGP".into(), &true.into()), "{prefix}: {path}");
            let hops: Vec<_> = path["nexthops"].as_array().into_iter().flatten().map(|hop| hop["ip"].clone()).collect();
            let own = if prefix.contains(':') { node.v6.to_string() } else { node.v4.to_string() };
            assert!(hops.contains(&own.clone().into()), "{prefix}: {hops:?}");
        }
    }
    Ok(())
}

#[test]
fn a_change_is_one_update_and_nothing_else_moves() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 2)? else { return Ok(()) };
    let node = &lab.nodes[0];
    let address = node.v4.to_string();
    let config = frr::bgpd(THEIRS, &[(&address, OURS, "")]);
    let routers =
        lab.routers.iter().map(|router| Frr::start(&lab, router, &config)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut speaker = Node::start(node)?;
    for (name, router) in ["one", "two"].iter().zip(&lab.routers) {
        speaker.tell(name, session(node, router.v4.into(), THEIRS), routes(["203.0.113.7/32", "203.0.113.8/32"]));
        speaker.wait_told(name)?;
    }
    let updates = |frr: &Frr| -> anyhow::Result<u64> {
        Ok(frr.neighbour(&address)?["messageStats"]["updatesRecv"].as_u64().unwrap_or_default())
    };
    wait::until(LIMIT, "both routers to know both routes", || {
        routers.iter().all(|frr| frr.received(&address).is_ok_and(|received| received == 2))
    })?;
    let before = [updates(&routers[0])?, updates(&routers[1])?];

    // The same again, and a change for the first router only.
    speaker.apply();
    speaker.routes("one", routes(["203.0.113.8/32"]));
    wait::until(LIMIT, "the withdrawal at the first router", || {
        routers[0].paths("203.0.113.7/32").is_ok_and(|paths| paths.is_empty())
    })?;
    assert_eq!([updates(&routers[0])?, updates(&routers[1])?], [before[0] + 1, before[1]]);

    // Another session for the first router leaves the second one's up.
    let mut other = session(node, lab.routers[0].v4.into(), THEIRS);
    other.config.hold_time = lb_bgp::HoldTime::new(std::time::Duration::from_secs(30))?;
    speaker.tell("one", other, routes(["203.0.113.8/32"]));
    wait::until(LIMIT, "the new hold time at the first router", || {
        routers[0]
            .neighbour(&address)
            .is_ok_and(|peer| peer["bgpTimerHoldTimeMsecs"] == 30_000 && peer["bgpState"] == "Established")
    })?;
    let dropped = |frr: &Frr| frr.neighbour(&address).map(|peer| peer["connectionsDropped"].clone());
    assert_eq!((dropped(&routers[0])?, dropped(&routers[1])?), (1.into(), 0.into()));

    // A peer that is not wanted any more is told so, and loses the routes.
    speaker.wanted().peers.remove("two");
    speaker.apply();
    wait::until(LIMIT, "the second router to be left", || {
        routers[1].neighbour(&address).is_ok_and(|peer| {
            peer["lastNotificationReason"]
                .as_str()
                .is_some_and(|why| why.contains("Peer De-configured") || why.contains("Peer Unconfigured"))
        })
    })?;
    // FRR notes the reason first and clears the routes after it.
    wait::until(LIMIT, "the second router to lose the routes", || {
        routers[1].paths("203.0.113.8/32").is_ok_and(|paths| paths.is_empty())
    })?;
    assert!(speaker.peer("two").is_none());
    Ok(())
}

#[test]
fn inside_of_the_as_routes_carry_what_they_are_given() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let address = node.v4.to_string();
    let frr = Frr::start(&lab, router, &frr::bgpd(OURS, &[(&address, OURS, "")]))?;
    let mut speaker = Node::start(node)?;
    let attributes = PathAttributes {
        local_pref: Some(250),
        med: None,
        communities: communities(&["64512:100", "65535:65281"]),
        large_communities: communities(&["64512:1:2", "4200000000:3:4"]),
    };
    let mut all = with(["203.0.113.7/32", "2001:db8:7::7/128"], attributes);
    all.extend(routes(["203.0.113.8/32"]));
    let mut internal = session(node, router.v4.into(), OURS);
    internal.endpoint.hops = Hops::Multi { ttl: 255 };

    speaker.tell("frr", internal, all);
    speaker.wait_told("frr")?;

    for prefix in ["203.0.113.7/32", "2001:db8:7::7/128"] {
        let path = wait::for_some(LIMIT, format!("{prefix} at the router"), || frr.paths(prefix).ok()?.pop())?;
        assert_eq!((&path["locPrf"], &path["peer"]["type"]), (&250.into(), &"internal".into()), "{prefix}");
        assert_eq!(path["community"]["list"], serde_json::json!(["64512:100", "noExport"]), "{prefix}");
        assert_eq!(path["largeCommunity"]["string"], "64512:1:2 4200000000:3:4", "{prefix}");
        assert_eq!(path["aspath"]["length"], 0, "{prefix}");
    }
    let plain = frr.paths("203.0.113.8/32")?;
    assert_eq!((&plain[0]["locPrf"], &plain[0]["community"]), (&100.into(), &serde_json::Value::Null));
    Ok(())
}

#[test]
fn outside_of_the_as_the_local_preference_is_not_told() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let frr = Frr::start(&lab, router, &frr::bgpd(THEIRS, &[(&node.v4.to_string(), OURS, "")]))?;
    let mut speaker = Node::start(node)?;
    let attributes = PathAttributes { local_pref: Some(250), ..PathAttributes::default() };
    speaker.tell("frr", session(node, router.v4.into(), THEIRS), with(["203.0.113.7/32"], attributes));
    let path = wait::for_some(LIMIT, "the route at the router", || frr.paths("203.0.113.7/32").ok()?.pop())?;
    assert!(path["locPrf"].is_null() || path["locPrf"] == 100, "{path}");
    Ok(())
}

#[test]
fn numbers_of_four_octets_are_told_and_the_wrong_one_stays_down() -> anyhow::Result<()> {
    const BIG: u32 = 4_200_000_123;
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let (v4, v6) = (node.v4.to_string(), node.v6.to_string());
    let frr = Frr::start(&lab, router, &frr::bgpd(4_200_000_999, &[(&v4, BIG, ""), (&v6, 4_200_000_124, "")]))?;
    let mut speaker = Node::start(node)?;
    for (name, peer) in [("right", router.v4.into()), ("wrong", router.v6.into())] {
        let mut big = session(node, peer, 4_200_000_999);
        big.config.local_as = Asn::new(BIG).expect("not 0");
        big.config.next_hops = NextHops { v4: Some(node.v4), ..NextHops::default() };
        speaker.tell(name, big, routes(["203.0.113.7/32"]));
    }
    speaker.wait_told("right")?;
    let path = wait::for_some(LIMIT, "the route at the router", || frr.paths("203.0.113.7/32").ok()?.pop())?;
    assert_eq!(path["aspath"]["string"], BIG.to_string());

    // The router expects another number there: it refuses, and so do we when it is the other way round.
    speaker.wait_reason("wrong", "closed by the peer: bad peer AS (2/2)")?;
    assert_ne!(frr.state(&v6)?, "Established");
    speaker.tell("right", session(node, router.v4.into(), 64_999), routes([]));
    speaker.wait_reason("right", "bad peer AS")?;
    assert_ne!(frr.state(&v4)?, "Established");
    Ok(())
}

#[test]
fn a_node_that_is_drained_says_so_and_its_routes_go() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let address = node.v4.to_string();
    let frr = Frr::start(&lab, router, &frr::bgpd(THEIRS, &[(&address, OURS, "")]))?;
    let mut speaker = Node::start(node)?;
    speaker.tell("frr", session(node, router.v4.into(), THEIRS), routes(["203.0.113.7/32"]));
    wait::for_some(LIMIT, "the route at the router", || frr.paths("203.0.113.7/32").ok()?.pop())?;

    speaker.wanted().draining = true;
    speaker.apply();
    wait::for_ok(LIMIT, "the graceful shutdown community (RFC 8326)", || {
        let path = frr.paths("203.0.113.7/32").ok().and_then(|mut paths| paths.pop()).unwrap_or_default();
        if path["community"]["list"] == serde_json::json!(["gracefulShutdown"]) { Ok(()) } else { Err(path) }
    })?;

    speaker.leave(Leave::Shutdown("node-1 is drained".into()))?;
    let gone = wait::for_ok(LIMIT, "the router to be told why", || {
        let neighbour = frr.neighbour(&address).map_err(|error| format!("{error:#}"))?;
        if neighbour["lastShutdownDescription"] == "node-1 is drained" {
            Ok(neighbour)
        } else {
            Err(neighbour.to_string())
        }
    })?;
    assert_ne!(gone["bgpState"], "Established");
    assert_eq!(frr.paths("203.0.113.7/32")?, Vec::<serde_json::Value>::new());
    Ok(())
}
