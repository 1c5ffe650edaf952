//! BFD beside the session, with FRR's bfdd: it comes up with the profile's times, its end is the session's, and its absence
//! is nothing.

use std::{
    num::NonZeroU8,
    time::{Duration, Instant},
};

use lb_agent::{bfd, bgp::Leave};
use lb_bfd::session::{Timers, Verdict};
use lb_tests::wait;
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

const PROFILE: &str = "\nbfd\n profile fast\n  transmit-interval 60\n  receive-interval 60\n";

fn fast() -> bfd::Wanted {
    let multiplier = NonZeroU8::new(3).expect("not 0");
    let timers = Timers {
        desired_min_tx: 50_000,
        required_min_rx: 50_000,
        detect_mult: multiplier,
        echo_tx: None,
        required_min_echo_rx: 50_000,
    };
    bfd::Wanted { timers, ..bfd::Wanted::default() }
}

fn monitor(speaker: &mut Node, name: &str) {
    if let Some(peer) = speaker.wanted().peers.get_mut(name) {
        peer.bfd = Some(fast());
    }
    speaker.apply();
}

#[test]
fn a_path_that_fails_ends_the_session_at_once_on_either_side() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let addresses = [node.v4.to_string(), node.v6.to_string()];
    let neighbours = addresses.each_ref().map(|address| (address.as_str(), OURS, "NEIGHBOUR bfd profile fast\n"));
    let mut frr = Frr::start(&lab, router, &(frr::bgpd(THEIRS, &neighbours) + PROFILE))?;
    let mut speaker = Node::start(node)?;
    for (name, peer) in [("v4", router.v4.into()), ("v6", router.v6.into())] {
        speaker.tell(name, session(node, peer, THEIRS), routes(["203.0.113.7/32"]));
        monitor(&mut speaker, name);
    }
    for name in ["v4", "v6"] {
        speaker.wait_told(name)?;
    }
    wait::for_ok(LIMIT, "both sessions of BFD to be up with what was negotiated", || {
        let peers = frr.bfd().map_err(|error| format!("{error:#}"))?;
        let negotiated = |peer: &serde_json::Value| {
            peer["status"] == "up"
                && peer["remote-receive-interval"] == 50
                && peer["remote-transmit-interval"] == 50
                && peer["remote-detect-multiplier"] == 3
        };
        if peers.len() == 2 && peers.iter().all(negotiated) { Ok(()) } else { Err(format!("{peers:?}")) }
    })?;
    // It stays so, whatever the routes do.
    speaker.routes("v4", routes(["203.0.113.7/32", "203.0.113.8/32"]));
    wait::observe(Duration::from_secs(1));
    for peer in [router.v4.into(), router.v6.into()] {
        let counters = speaker.bfd(peer).map(|bfd| bfd.counters).unwrap_or_default();
        assert_eq!((counters.ups, counters.downs), (1, 0), "{peer}");
        assert!(counters.received > 10 && counters.sent > 10 && counters.discarded == 0, "{counters:?}");
    }

    // The router's BFD falls silent, its bgpd does not.
    frr.bfdd().stop()?;
    let stopped = Instant::now();
    for name in ["v4", "v6"] {
        wait::until(LIMIT, format!("{name} to be ended by BFD"), || {
            speaker.peer(name).is_some_and(|peer| {
                peer.last_error().is_some_and(|why| why.to_string().contains("cease: BFD down (6/10)"))
            })
        })?;
    }
    println!("BFD 3 × 60 ms: both sessions ended {} ms after the silence", stopped.elapsed().as_millis());
    assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    wait::until(LIMIT, "the router to know why", || {
        frr.neighbour(&addresses[0]).is_ok_and(|peer| peer["connectionsDropped"] != 0)
    })?;
    frr.bfdd().cont()?;
    for name in ["v4", "v6"] {
        wait::until(LIMIT, format!("{name} to be monitored again"), || {
            let peer = speaker.peer(name);
            peer.is_some_and(|peer| peer.is_established() && peer.bfd.is_some_and(|bfd| bfd.verdict == Verdict::Up))
        })?;
    }

    // Ours falls silent, and nobody has said goodbye: the router drops the route long before its hold time.
    speaker.leave(Leave::Restart)?;
    wait::until(Duration::from_secs(3), "the route to be gone", || {
        frr.paths("203.0.113.7/32").is_ok_and(|paths| paths.is_empty())
    })?;
    Ok(())
}

#[test]
fn a_router_without_bfd_keeps_its_session_and_a_port_that_is_taken_is_said() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let address = node.v4.to_string();
    let frr = Frr::start(&lab, router, &frr::bgpd(THEIRS, &[(&address, OURS, "")]))?;
    let other = node.netns.run(|| std::net::UdpSocket::bind(("0.0.0.0", 3784)))??;
    let mut speaker = Node::start(node)?;
    speaker.tell("frr", session(node, router.v4.into(), THEIRS), routes(["203.0.113.7/32"]));
    monitor(&mut speaker, "frr");
    speaker.wait_told("frr")?;
    wait::for_ok(LIMIT, "the problem to be said", || {
        let problem = speaker.bfd(router.v4.into()).and_then(|bfd| bfd.problem);
        let is_said = problem.as_ref().is_some_and(|why| why.contains("receive BFD packets on 0.0.0.0:3784: Address"));
        if is_said { Ok(()) } else { Err(problem) }
    })?;
    drop(other);
    wait::until(LIMIT, "the problem to be over", || {
        speaker.bfd(router.v4.into()).is_some_and(|bfd| bfd.problem.is_none() && bfd.counters.sent > 3)
    })?;
    let peer = speaker.peer("frr").expect("it is wanted");
    assert_eq!(peer.bfd.map(|bfd| bfd.verdict), Some(Verdict::Starting));
    assert_eq!((peer.bgp.counters.established, frr.state(&address)?.as_str()), (1, "Established"));
    Ok(())
}
