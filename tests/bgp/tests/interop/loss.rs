//! The router restarts, goes silent, resets the session, shuts it down: the reason is told, and the session comes back.

use std::time::Duration;

use lb_bgp::HoldTime;
use lb_tests::wait;
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

#[test]
fn a_router_that_restarts_resets_or_goes_silent_is_told_everything_again() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let address = node.v4.to_string();
    let mut frr = Frr::start(&lab, router, &frr::bgpd(THEIRS, &[(&address, OURS, "")]))?;
    let mut speaker = Node::start(node)?;
    let mut quick = session(node, router.v4.into(), THEIRS);
    quick.config.hold_time = HoldTime::new(Duration::from_secs(3))?;
    quick.config.connect_retry = Duration::from_secs(1);
    speaker.tell("frr", quick, routes(["203.0.113.7/32"]));
    speaker.wait_told("frr")?;

    frr.bgpd().kill()?;
    speaker.wait_reason("frr", "cannot connect: Connection refused")?;
    frr.restart_bgpd(router)?;
    is_told_again(&speaker, &frr, 2)?;

    frr.run(&["clear bgp *"])?;
    wait::until(LIMIT, "the reset to be told", || {
        speaker.peer("frr").is_some_and(|peer| {
            peer.last_error().is_some_and(|why| why.to_string().contains("cease: administrative reset (6/4)"))
        })
    })?;
    is_told_again(&speaker, &frr, 3)?;

    frr.bgpd().stop()?;
    speaker.wait_reason("frr", "closed by us: hold timer expired (4/0)")?;
    frr.bgpd().cont()?;
    is_told_again(&speaker, &frr, 4)?;

    let shutdown = format!("neighbor {address} shutdown message maintenance until noon");
    frr.run(&["configure terminal", &format!("router bgp {THEIRS}"), &shutdown])?;
    let peer = speaker.wait_reason("frr", "administrative shutdown (6/2): \"maintenance until noon\"")?;
    assert_eq!(peer.bgp.counters.established, 4);
    Ok(())
}

fn is_told_again(speaker: &Node, frr: &Frr, times: u64) -> anyhow::Result<()> {
    wait::for_ok(LIMIT, format!("session {times} and the route at the router"), || {
        let peer = speaker.peer("frr").ok_or_else(|| "no such peer".to_owned())?;
        let knows = frr.paths("203.0.113.7/32").is_ok_and(|paths| paths.len() == 1);
        let is_told = peer.bgp.counters.established == times && peer.is_established() && knows;
        if is_told { Ok(()) } else { Err(format!("{:?} {}", peer.bgp.state, peer.reason())) }
    })?;
    Ok(())
}
