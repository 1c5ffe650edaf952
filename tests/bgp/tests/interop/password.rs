//! TCP MD5 (RFC 2385) in both families: the right password, the wrong one, and one on one side only.

use lb_agent::bgp::{Authentication, Password};
use lb_tests::wait;
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

#[test]
fn only_the_right_password_comes_up_and_the_wrong_one_says_what_it_may_be() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 3)? else { return Ok(()) };
    let node = &lab.nodes[0];
    let (v4, v6) = (node.v4.to_string(), node.v6.to_string());
    let with = |password: &str| {
        let line = if password.is_empty() { String::new() } else { format!("NEIGHBOUR password {password}\n") };
        frr::bgpd(THEIRS, &[(&v4, OURS, &line), (&v6, OURS, &line)])
    };
    let routers = ["right", "wrong", ""]
        .iter()
        .zip(&lab.routers)
        .map(|(password, router)| Frr::start(&lab, router, &with(password)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut speaker = Node::start(node)?;
    for (index, router) in lab.routers.iter().enumerate() {
        for peer in [router.v4.into(), router.v6.into()] {
            let mut signed = session(node, peer, THEIRS);
            signed.endpoint.authentication = Authentication::Md5(Password::new("right")?);
            speaker.tell(&format!("{index} {peer}"), signed, routes(["203.0.113.7/32"]));
        }
    }
    // The router has a password and we have none.
    let unsigned = session(node, lab.routers[1].v4.into(), THEIRS);
    speaker.tell("unsigned", unsigned, routes(["203.0.113.7/32"]));

    for neighbour in [&v4, &v6] {
        wait::for_ok(LIMIT, format!("{neighbour} to be up with the right password"), || {
            let state = routers[0].state(neighbour);
            if state.as_ref().is_ok_and(|state| state == "Established") { Ok(()) } else { Err(state) }
        })?;
    }
    assert_eq!(routers[0].paths("203.0.113.7/32")?.len(), 2);
    let down: Vec<String> = speaker.wanted().peers.keys().filter(|name| !name.starts_with('0')).cloned().collect();
    for name in down {
        speaker.wait_reason(&name, "no answer (address, route, firewall or password?)")?;
    }
    for router in &routers[1..] {
        assert_eq!(router.paths("203.0.113.7/32")?, Vec::<serde_json::Value>::new());
        for neighbour in [&v4, &v6] {
            assert_ne!(router.state(neighbour)?, "Established");
        }
    }
    Ok(())
}

#[test]
fn tcp_ao_is_refused_with_its_reason_and_an_address_of_the_other_family_too() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let mut speaker = Node::start(node)?;
    let mut signed = session(node, router.v4.into(), THEIRS);
    signed.endpoint.authentication = Authentication::TcpAo;
    speaker.tell("ao", signed, routes([]));
    let mut mixed = session(node, router.v4.into(), THEIRS);
    mixed.endpoint.source = Some(node.v6.into());
    speaker.tell("mixed", mixed, routes([]));
    let mut absent = session(node, router.v4.into(), THEIRS);
    absent.endpoint.source = Some("192.0.2.99".parse()?);
    speaker.tell("absent", absent, routes([]));
    let mut nowhere = session(node, router.v4.into(), THEIRS);
    nowhere.endpoint.device = Some("nowhere0".into());
    speaker.tell("nowhere", nowhere, routes([]));
    speaker.wait_reason("ao", "use a password (TCP MD5)")?;
    speaker.wait_reason("mixed", "are of different families")?;
    speaker.wait_reason("absent", "use the source address 192.0.2.99: Cannot assign requested address")?;
    speaker.wait_reason("nowhere", "bind the socket to nowhere0: this node has no VRF or interface nowhere0")?;
    Ok(())
}
