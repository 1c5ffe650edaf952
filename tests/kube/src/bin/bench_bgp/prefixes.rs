//! Many prefixes to four routers: a speaker by itself in this process.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use lb_tests::{spread::ms, usage::Usage, wait};
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{Node, OURS, THEIRS, lab, routes, session},
};

use crate::figures::Prefixes;

const ROUTERS: u8 = 4;
const LIMIT: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(10);

pub(crate) fn measure(count: u32) -> anyhow::Result<Prefixes> {
    let lab = lab(1, ROUTERS)?.context("a prerequisite is missing")?;
    let node = &lab.nodes[0];
    let address = node.v4.to_string();
    let config = frr::bgpd(THEIRS, &[(&address, OURS, "")]);
    let routers =
        lab.routers.iter().map(|router| Frr::start(&lab, router, &config)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut speaker = Node::start(node)?;
    let names: Vec<String> = (0..ROUTERS).map(|number| format!("router {number}")).collect();
    // Sessions first: the time until a router is there is the router's.
    for (name, router) in names.iter().zip(&lab.routers) {
        speaker.tell(name, session(node, router.v4.into(), THEIRS), routes([]));
    }
    for name in &names {
        speaker.wait_told(name)?;
    }
    let prefixes: Vec<String> =
        (0..count).map(|number| format!("{}/32", Ipv4Addr::from(0x0a00_0000 + number))).collect();
    let all = routes(prefixes.iter().map(String::as_str));
    drop(prefixes);
    let began = Instant::now();
    for name in &names {
        speaker.routes(name, all.clone());
    }
    let wanted = u64::from(count);
    let is_told = |name: &String| speaker.peer(name).is_some_and(|peer| peer.bgp.settled && peer.bgp.told == wanted);
    wait::until(LIMIT, "everybody to be told", || names.iter().all(is_told))?;
    let told_ms = ms(began.elapsed());
    wait::until(LIMIT, "every router to have taken them all", || {
        routers.iter().all(|frr| frr.received(&address).is_ok_and(|received| received == u64::from(count)))
    })?;
    drop(all);
    // Of this process, which holds the routes once more as they are planned.
    let usage = Usage::own();
    let rss_kib = usage.resident_kib()?;
    let before = usage.cpu()?;
    wait::observe(IDLE);
    let idle_percent = (usage.cpu()? - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    ensure!(names.iter().all(|name| speaker.peer(name).is_some_and(|peer| peer.is_established())), "a session fell");
    Ok(Prefixes { prefixes: count, routers: routers.len(), told_ms, rss_kib, idle_percent })
}
