//! When the agent is gone for good: what must stay does, and what was changed is as before.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use anyhow::ensure;
use lb_tests::{
    asker::{Stamp, ask_once},
    frames::solicited_node,
    herald::AgentOptions,
    lab::{Host, INTERFACE},
    mac::Mac,
    responder::Responder,
    wait,
};

use crate::scene::{pair, scene};

const MARGIN: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(20);
/// The hardware address of the other load balancer.
const OTHER: Mac = Mac([0x02, 0x53, 0, 0, 0, 1]);

#[test]
fn after_a_kill_the_solicited_node_groups_are_still_on_the_interface() -> anyhow::Result<()> {
    let Some(mut scene) = scene(2)? else { return Ok(()) };
    // Ranked first for one, second for the other: the groups of both.
    scene.rank(100, &[0, 1])?;
    scene.rank(101, &[1, 0])?;
    let wanted: BTreeSet<_> = [100, 101].map(|number| group_of(pair(number)[1])).into();
    assert!(groups(scene.node(0))?.is_disjoint(&wanted), "the test would notice");
    scene.start_agents(&AgentOptions::default())?;
    let node = scene.node(0).clone();
    let joined = || groups(&node).is_ok_and(|groups| groups.is_superset(&wanted));
    wait::until(LIMIT, "the groups of both addresses", joined)?;
    // The NIC's filter follows the groups: 33:33 and the last four bytes (RFC 2464 §7).
    let filter = wanted.iter().map(|group| format!("3333{}", &group[24..])).collect::<Vec<_>>();

    scene.agents[0].process().kill()?;

    assert!(joined(), "{:?} of igmp6", groups(&node)?);
    let lines = node.netns.read("/proc/net/dev_mcast")?;
    for mac in filter {
        assert!(lines.lines().any(|line| line.contains(INTERFACE) && line.ends_with(&mac)), "{mac} in\n{lines}");
    }
    Ok(())
}

#[test]
fn after_cleanup_another_load_balancer_answers_and_the_host_is_as_before() -> anyhow::Result<()> {
    let Some(mut scene) = scene(2)? else { return Ok(()) };
    let vips = [pair(100), pair(101)].concat();
    scene.rank(100, &[0, 1])?;
    scene.rank(101, &[1, 0])?;
    let before = settings(scene.node(0))?;
    scene.start_agents(&AgentOptions::default())?;
    scene.wait_for_entries(0, 4)?;
    wait::until(LIMIT, "the agent to change settings", || settings(scene.node(0)).is_ok_and(|now| now != before))?;
    let other = Responder::start(scene.node(0), OTHER, &vips)?;

    for agent in &mut scene.agents {
        agent.process().kill()?;
        agent.cleanup()?;
    }

    for agent in 0..2 {
        assert!(scene.pins(agent).are_gone(), "pins of {}", scene.node(agent).name);
    }
    assert_eq!(settings(scene.node(0))?, before);
    let record = ask_once(&scene.lab.client().netns, INTERFACE, vips.clone())?;
    assert_eq!(record.all().unanswered(), 0);
    for vip in vips {
        assert_eq!(record.all().holders()[&vip].keys().collect::<Vec<_>>(), [&OTHER], "{vip}");
    }
    assert!(other.answered() >= 4);
    Ok(())
}

#[test]
fn past_the_suppress_limit_another_load_balancer_answers() -> anyhow::Result<()> {
    let Some(mut scene) = scene(2)? else { return Ok(()) };
    let vips = [pair(100), pair(101)].concat();
    scene.rank(100, &[0, 1])?;
    scene.rank(101, &[1, 0])?;
    scene.start_agents(&AgentOptions { lease: "4s", suppress_limit: "6s", ..AgentOptions::default() })?;
    for agent in 0..2 {
        scene.wait_for_entries(agent, 4)?;
    }
    let _other = Responder::start(scene.node(0), OTHER, &vips)?;
    let asker = scene.ask(&vips)?;

    for agent in &mut scene.agents {
        agent.process().kill()?;
    }
    let leases = [scene.pins(0).lease()?, scene.pins(1).lease()?];
    let lapsed = leases.iter().filter_map(|lease| lease.deadline).max().expect("both are held").after(MARGIN);
    let limit = leases[0].suppress_until;
    ensure!(limit - lapsed > Duration::from_secs(1), "the limit is well behind the lease");
    wait::until(LIMIT, "the suppress limit to pass", || Stamp::now().is_ok_and(|now| now > limit.after(MARGIN)))?;
    wait::observe(Duration::from_secs(1));
    let record = asker.finish()?;

    let suppressed = record.between(lapsed..limit.before(MARGIN));
    assert!(suppressed.sent() > 1_000, "{} requests before the limit", suppressed.sent());
    assert_eq!(suppressed.answered(), 0, "of {} before the limit", suppressed.sent());
    let passed = record.since(limit.after(MARGIN));
    assert_eq!(passed.unanswered(), 0, "of {} past the limit", passed.sent());
    for vip in vips {
        assert_eq!(passed.holders()[&vip].keys().collect::<Vec<_>>(), [&OTHER], "{vip}");
    }
    Ok(())
}

/// What an agent changes on a host: its addresses (groups are added as such) and how the kernel announces.
fn settings(node: &Host) -> anyhow::Result<[String; 3]> {
    let output = node.netns.command("ip").args(["-o", "address", "show", "dev", INTERFACE]).output()?;
    let announce = node.netns.read(&format!("/proc/sys/net/ipv4/conf/{INTERFACE}/arp_announce"))?;
    Ok([String::from_utf8(output.stdout)?, announce, format!("{:?}", groups(node)?)])
}

/// The IPv6 groups of the interface, as 32 digits each.
fn groups(node: &Host) -> anyhow::Result<BTreeSet<String>> {
    // index, name, group, users, flags, timer
    let table = node.netns.read("/proc/net/igmp6")?;
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(lines.filter(|fields| fields[1] == INTERFACE).map(|fields| fields[2].to_owned()).collect())
}

fn group_of(address: IpAddr) -> String {
    let IpAddr::V6(v6) = address else { unreachable!("the second of a pair is IPv6") };
    format!("{:032x}", u128::from(solicited_node(v6)))
}
