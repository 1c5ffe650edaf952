//! Ten thousand prefixes to four routers.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use lb_tests::wait;
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};

/// A debug build on a busy machine; a release build is measured by `bench`.
const TOLD: Duration = Duration::from_secs(10);

#[test]
fn ten_thousand_prefixes_are_told_to_four_routers_and_one_change_is_one_update() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 4)? else { return Ok(()) };
    let node = &lab.nodes[0];
    let address = node.v4.to_string();
    let config = frr::bgpd(THEIRS, &[(&address, OURS, "")]);
    let routers =
        lab.routers.iter().map(|router| Frr::start(&lab, router, &config)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut speaker = Node::start(node)?;
    let prefixes: Vec<String> =
        (0..10_000).map(|number| format!("{}/32", Ipv4Addr::from(0x0a00_0000 + number))).collect();
    let all = routes(prefixes.iter().map(String::as_str));
    let names: Vec<String> = (0..4).map(|number| format!("router {number}")).collect();
    let began = Instant::now();
    for (name, router) in names.iter().zip(&lab.routers) {
        speaker.tell(name, session(node, router.v4.into(), THEIRS), all.clone());
    }
    for name in &names {
        speaker.wait_told(name)?;
    }
    let told = began.elapsed();
    wait::until(LIMIT, "every router to have taken them all", || {
        routers.iter().all(|frr| frr.received(&address).is_ok_and(|received| received == 10_000))
    })?;
    println!("10,000 prefixes told to 4 routers in {told:?}, taken in {:?}", began.elapsed());
    assert!(told < TOLD, "{told:?}");

    let updates = |frr: &Frr| -> anyhow::Result<u64> {
        Ok(frr.neighbour(&address)?["messageStats"]["updatesRecv"].as_u64().unwrap_or_default())
    };
    let before = routers.iter().map(updates).collect::<anyhow::Result<Vec<_>>>()?;
    let fewer = routes(prefixes.iter().skip(1).map(String::as_str));
    for name in &names {
        speaker.routes(name, fewer.clone());
    }
    wait::until(LIMIT, "the withdrawal everywhere", || {
        routers.iter().all(|frr| frr.received(&address).is_ok_and(|received| received == 9_999))
    })?;
    let after = routers.iter().map(updates).collect::<anyhow::Result<Vec<_>>>()?;
    assert_eq!(after, before.iter().map(|before| before + 1).collect::<Vec<_>>());
    Ok(())
}
