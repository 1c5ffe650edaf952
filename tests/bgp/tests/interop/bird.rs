//! BIRD 2: both families, communities, a password, TTL security, and BFD with authentication.

use lb_agent::{
    bfd,
    bgp::{Authentication, Hops, Leave, Password},
};
use lb_bfd::{
    auth::{Key, Keys, Method},
    session::Verdict,
};
use lb_bgp::PathAttributes;
use lb_tests::wait;
use lb_tests_bgp::{
    bird::Bird,
    stage::{LIMIT, Node, OURS, THEIRS, communities, lab, session, with},
};

fn config(node: &str, more: &str, bfd: &str) -> String {
    format!(
        "router id 192.0.2.251;\nprotocol device {{}}\nprotocol bfd {{ accept ipv4; interface \"eth0\" {{ \
         min rx interval 100 ms; min tx interval 100 ms; multiplier 3; {bfd} }}; }}\nprotocol bgp node {{ local as \
         {THEIRS}; neighbor {node} as {OURS}; {more} connect retry time 1; error wait time 1, 2; ipv4 {{ import all; \
         export none; }}; ipv6 {{ import all; export none; }}; }}\n"
    )
}

fn keys(secret: &str) -> anyhow::Result<Keys> {
    Ok(Keys::new(Method::MeticulousSha1, vec![Key { id: 5, secret: secret.into() }])?)
}

#[test]
fn bird_knows_what_it_is_told_and_monitors_with_a_key() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let auth = "authentication meticulous keyed sha1; password \"key\" { id 5; };";
    let more = "password \"secret\"; ttl security on; bfd on;";
    let bird = Bird::start(&lab, router, &config(&node.v4.to_string(), more, auth))?;
    let mut speaker = Node::start(node)?;
    let mut signed = session(node, router.v4.into(), THEIRS);
    signed.endpoint.authentication = Authentication::Md5(Password::new("secret")?);
    signed.endpoint.hops = Hops::Secured { hops: 1 };
    let attributes = PathAttributes {
        communities: communities(&["64512:100"]),
        large_communities: communities(&["64512:1:2"]),
        ..PathAttributes::default()
    };
    speaker.tell("bird", signed, with(["203.0.113.7/32", "2001:db8:7::/64"], attributes));
    let monitor = |speaker: &mut Node, secret: &str| -> anyhow::Result<()> {
        let peer = speaker.wanted().peers.get_mut("bird").expect("it is wanted");
        peer.bfd = Some(bfd::Wanted { authentication: Some(keys(secret)?), ..bfd::Wanted::default() });
        speaker.apply();
        Ok(())
    };
    monitor(&mut speaker, "wrong")?;
    speaker.wait_told("bird")?;

    for (prefix, hop) in [("203.0.113.7/32", node.v4.to_string()), ("2001:db8:7::/64", node.v6.to_string())] {
        let route = wait::for_ok(LIMIT, format!("{prefix} at the router"), || {
            let said = bird.ask(&format!("show route all {prefix}")).map_err(|error| format!("{error:#}"))?;
            if said.contains("BGP.as_path") { Ok(said) } else { Err(said) }
        })?;
        for line in [
            format!("BGP.next_hop: {hop}"),
            format!("BGP.as_path: {OURS}"),
            "BGP.community: (64512,100)".to_owned(),
            "BGP.large_community: (64512, 1, 2)".to_owned(),
        ] {
            assert!(route.contains(&line), "{line} is not in\n{route}");
        }
    }
    let is_up = |bird: &Bird| bird.ask("show bfd sessions").is_ok_and(|said| said.contains(" Up "));
    wait::until(LIMIT, "packets with the wrong key to be discarded", || {
        speaker.bfd(router.v4.into()).is_some_and(|bfd| bfd.counters.discarded > 2)
    })?;
    assert!(!is_up(&bird));
    monitor(&mut speaker, "key")?;
    wait::until(LIMIT, "BFD with the right key to be up", || is_up(&bird))?;
    wait::until(LIMIT, "both sides to agree", || {
        speaker.bfd(router.v4.into()).is_some_and(|bfd| bfd.verdict == Verdict::Up)
    })?;

    speaker.leave(Leave::Shutdown("maintenance".into()))?;
    let said = bird.ask("show protocols all node")?;
    assert!(said.contains("Administrative shutdown") && said.contains("maintenance"), "{said}");
    assert!(!bird.ask("show route")?.contains("203.0.113.7"));
    Ok(())
}

#[test]
fn another_as_than_bird_expects_stays_down() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let bird = Bird::start(&lab, router, &config(&node.v4.to_string(), "", "").replace(&OURS.to_string(), "64999"))?;
    let mut speaker = Node::start(node)?;
    speaker.tell("bird", session(node, router.v4.into(), THEIRS), with(["203.0.113.7/32"], PathAttributes::default()));
    speaker.wait_reason("bird", "closed by the peer: bad peer AS (2/2)")?;
    let said = bird.ask("show protocols all node")?;
    assert!(!said.contains("Established") && !bird.ask("show route")?.contains("203.0.113.7"), "{said}");
    Ok(())
}
