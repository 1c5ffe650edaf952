//! From manifests to a router's table: controller and agents as they are shipped, and FRR.

mod changes;
mod deckhouse;
mod ecmp;
mod stand_in;

use std::time::Duration;

use lb_tests::wait;
use serde_json::{Value, json};

use lb_tests_bgp::scene::{self, LIMIT, Scene, Setting, V4, V6};

#[test]
fn a_service_is_announced_from_every_node_with_what_its_advertisement_says() -> anyhow::Result<()> {
    let Some(scene) = Scene::start(&Setting::of(2))? else { return Ok(()) };
    let hops = |prefix: &str| scene.next_hops(prefix);
    for (prefix, own) in [(V4, scene.own_v4()), (V6, scene.own_v6())] {
        wait::for_ok(LIMIT, format!("{prefix} from both nodes"), || {
            let found = hops(prefix).map_err(|error| format!("{error:#}"))?;
            if found == own { Ok(()) } else { Err(format!("{found:?}")) }
        })?;
        for path in scene.frr.paths(prefix)? {
            assert_eq!(path["community"]["list"], json!(["64512:100"]), "{prefix}: {path}");
            assert_eq!(path["largeCommunity"]["string"], "64512:1:2", "{prefix}: {path}");
        }
    }

    // Nobody serves it any more: withdrawn everywhere. Somebody does again: told again.
    scene.manifests.write("slice.yaml", &scene::slice(false))?;
    wait::until(LIMIT, "the withdrawal", || hops(V4).is_ok_and(|hops| hops.is_empty()))?;
    scene.manifests.write("slice.yaml", &scene::slice(true))?;
    wait::until(LIMIT, "the route to be back", || hops(V4).is_ok_and(|hops| hops == scene.own_v4()))?;

    // A node that is cordoned asks to be the last choice, and goes on serving.
    scene.manifests.write("nodes.yaml", &scene::nodes(2, &[1]))?;
    wait::for_ok(LIMIT, "node-1's path to carry the graceful shutdown community", || {
        let paths = scene.frr.paths(V4).map_err(|error| format!("{error:#}"))?;
        let list = |path: &Value| path["community"]["list"].clone();
        let drained = paths.iter().find(|path| path["nexthops"][0]["ip"] == scene.own_v4()[0]).map(list);
        let both = paths.len() == 2 && drained == Some(json!(["64512:100", "gracefulShutdown"]));
        if both { Ok(()) } else { Err(format!("{drained:?}")) }
    })?;
    Ok(())
}

#[test]
fn an_agent_that_restarts_loses_no_route_and_one_that_is_killed_neither() -> anyhow::Result<()> {
    let Some(mut scene) = Scene::start(&Setting::of(1))? else { return Ok(()) };
    let own = scene.own_v4();
    wait::until(LIMIT, "the route", || scene.next_hops(V4).is_ok_and(|hops| hops == own))?;
    for crash in [false, true] {
        match crash {
            false => drop(scene.agents[0].process().term(LIMIT)?),
            true => scene.agents[0].process().kill()?,
        }
        let stale = wait::for_some(LIMIT, "the route to be stale", || {
            scene.frr.paths(V4).ok()?.pop().filter(|path| path["stale"] == true)
        })?;
        assert_eq!(stale["valid"], true);
        scene.start_agent(0)?;
        wait::for_ok(LIMIT, "the route to be fresh again", || {
            let paths = scene.frr.paths(V4).map_err(|error| format!("{error:#}"))?;
            assert_eq!(paths.len(), 1, "the route was lost");
            if paths[0]["stale"].is_null() { Ok(()) } else { Err(paths[0].to_string()) }
        })?;
    }
    assert_eq!(scene.frr.neighbour(&own[0])?["messageStats"]["notificationsRecv"], 0);
    Ok(())
}

#[test]
fn a_session_of_bfd_goes_on_over_a_crash_of_the_agent() -> anyhow::Result<()> {
    // Noticed after six seconds: a debug build on a busy machine is not back in less than one.
    let Some(mut scene) = Scene::start(&Setting { bfd_millis: 2_000, ..Setting::of(1) })? else { return Ok(()) };
    wait::for_ok(LIMIT, "the session to be up with what was negotiated", || {
        let peers = scene.frr.bfd().map_err(|error| format!("{error:#}"))?;
        let fast = |peer: &Value| peer["status"] == "up" && peer["remote-transmit-interval"] == 2_000;
        if peers.iter().any(fast) { Ok(()) } else { Err(format!("{peers:?}")) }
    })?;
    let before = scene::bfd_counters(&scene.frr)?;
    assert!(before["session-up"].is_u64() && before["session-down"].is_u64(), "{before}");
    for _ in 0..2 {
        wait::observe(Duration::from_millis(1_500));
        scene.agents[0].process().kill()?;
        scene.start_agent(0)?;
        wait::until(LIMIT, "the agent to have its session again", || {
            let metrics = scene.agents[0].metrics();
            metrics.is_ok_and(|metrics| metrics.sum("metallb_bfd_session_up", &[("peer", "192.0.2.251")]) == Some(1.0))
        })?;
    }
    wait::observe(Duration::from_secs(7));
    let after = scene::bfd_counters(&scene.frr)?;
    assert_eq!((&after["session-down"], &after["session-up"]), (&before["session-down"], &before["session-up"]));
    Ok(())
}

#[test]
fn a_bad_peer_says_why_in_the_node_and_the_good_one_is_counted() -> anyhow::Result<()> {
    let Some(scene) = Scene::start(&Setting::of(1))? else { return Ok(()) };
    let observer = scene.manifests.observe()?;
    let nobody = scene::peer("bad", 64_999, "").replace("192.0.2.251", "192.0.2.99");
    scene.manifests.write("bad.yaml", &nobody)?;
    let session = |name: &str| {
        drop(observer.catch_up());
        let node = observer.nodes().objects.values().next().cloned()?;
        let sessions = node.status.as_ref()?.sessions.clone();
        sessions.into_iter().find(|session| session.peer == name)
    };
    let bad = wait::for_some(LIMIT, "the bad session in the LoadBalancerNode", || {
        session("bad").filter(|session| session.reason.contains("cannot connect: No route to host"))
    })?;
    assert_eq!((bad.told_prefixes, bad.remote.as_str()), (0, "192.0.2.99:179"));
    let good = wait::for_some(LIMIT, "the good session in the LoadBalancerNode", || {
        session("router").filter(|session| session.told_prefixes == 2)
    })?;
    assert_eq!((good.state.as_str(), good.reason.as_str(), good.bfd.as_str()), ("Established", "", "Up"));
    assert!(good.since.is_some());

    let metrics = scene.agents[0].metrics()?;
    let bfd = metrics.sum("metallb_bfd_session_up", &[("peer", "192.0.2.251")]);
    assert_eq!(bfd, Some(1.0));
    let told = metrics.sum("metallb_bgp_announced_prefixes_total", &[("peer", "192.0.2.251:179"), ("vrf", "default")]);
    assert_eq!(told, Some(2.0));

    // It goes, and takes nothing with it.
    scene.manifests.remove("bad.yaml")?;
    wait::until(LIMIT, "the bad session to be gone", || {
        scene.agents[0].state().is_ok_and(|state| state["bgp"]["sessions"].as_array().is_some_and(|all| all.len() == 1))
    })?;
    wait::observe(Duration::from_millis(500));
    assert_eq!(scene.frr.neighbour(&scene.own_v4()[0])?["bgpState"], "Established");
    Ok(())
}
