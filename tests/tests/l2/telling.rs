//! What the agents publish of ownership: statuses, events, LoadBalancerNodes; and what a VirtualIP says of coming back
//! and of strangers.

use std::{net::IpAddr, time::Duration};

use anyhow::Context as _;
use lb_api::{Conflict, Failback, VirtualIPStatus, node::PeerState};
use lb_tests::{
    herald::{AgentOptions, Observer},
    responder, wait,
};

use crate::scene::{Scene, pair, scene};

const LIMIT: Duration = Duration::from_secs(20);

fn three() -> anyhow::Result<Option<(Scene, Observer)>> {
    let Some(mut scene) = scene(3)? else { return Ok(None) };
    scene.rank(100, &[0, 1, 2])?;
    scene.start_agents(&AgentOptions::default())?;
    scene.wait_until_held(0, &pair(100))?;
    let observer = scene.manifests.observe()?;
    Ok(Some((scene, observer)))
}

/// Waits until the status of an address is as wanted.
fn wait_for_status(
    observer: &Observer,
    address: IpAddr,
    what: &str,
    wanted: impl Fn(&VirtualIPStatus) -> bool,
) -> anyhow::Result<VirtualIPStatus> {
    let waited = wait::for_ok(LIMIT, format!("the status of {address}: {what}"), || match observer.status(address) {
        Some(status) if wanted(&status) => Ok(status),
        other => Err(format!("{other:?}")),
    });
    Ok(waited?)
}

fn names(status: &VirtualIPStatus) -> (&str, &str) {
    (status.holder.as_deref().unwrap_or_default(), status.standby.as_deref().unwrap_or_default())
}

#[test]
fn a_move_is_in_the_status_with_the_next_in_line_and_is_one_event() -> anyhow::Result<()> {
    let Some((mut scene, observer)) = three()? else { return Ok(()) };
    let [address, _] = pair(100);
    wait_for_status(&observer, address, "the first holds, the second is next", |status| {
        names(status) == ("node-1", "node-2")
    })?;

    scene.agents[0].process().kill()?;
    scene.cable(0, "down")?;
    let status = wait_for_status(&observer, address, "the second holds, the third is next", |status| {
        names(status) == ("node-2", "node-3")
    })?;
    assert_eq!(status.why.as_deref(), Some("Silent"));
    assert!(status.since.is_some());

    let moved = format!("{address} moved from node-1 to node-2: Silent");
    let told = || observer.notes("Moved").iter().filter(|note| **note == moved).count();
    wait::until(LIMIT, "the event", || told() == 1)?;
    // A pass, a refresh and a look each: none of them is a move.
    wait::observe(Duration::from_secs(6));
    observer.catch_up()?;
    assert_eq!(told(), 1);
    let all = observer.notes("Moved").into_iter().filter(|note| note.contains("from node-1 to node-2")).count();
    assert_eq!(all, pair(100).len());
    Ok(())
}

#[test]
fn a_node_says_whom_it_asks_and_what_became_of_them() -> anyhow::Result<()> {
    let Some((mut scene, observer)) = three()? else { return Ok(()) };
    let state = |of: &str| {
        let node = observer.node("node-2")?.status?;
        node.peers.into_iter().find(|peer| peer.node == of).map(|peer| (peer.state, peer.interface))
    };
    wait::until(LIMIT, "node-2 to publish that node-1 is up", || {
        state("node-1").is_some_and(|(state, interface)| state == PeerState::Up && !interface.is_empty())
    })?;

    scene.agents[0].process().kill()?;
    scene.cable(0, "down")?;
    wait::until(LIMIT, "node-2 to publish that node-1 is down", || {
        state("node-1").is_some_and(|(state, _)| state == PeerState::Down)
    })?;
    Ok(())
}

#[test]
fn an_object_of_a_node_that_is_deleted_is_made_again_and_nobody_becomes_a_stranger() -> anyhow::Result<()> {
    let Some((scene, observer)) = three()? else { return Ok(()) };
    let asker = scene.ask(&pair(100))?;
    let complete = || observer.node("node-1").and_then(|node| node.status).is_some_and(|told| told.discriminator != 0);
    assert!(complete());

    scene.stand_in()?.forget_node("node-1")?;
    observer.catch_up()?;
    wait::until(Duration::from_secs(5), "node-1 to publish itself again", complete)?;
    wait::observe(Duration::from_secs(1));

    let record = asker.finish()?;
    assert_eq!(record.all().unanswered(), 0, "of {}", record.all().sent());
    for agent in &scene.agents {
        let strangers = agent.metrics()?.sum("herald_agent_strangers_total", &[]);
        assert_eq!(strangers, Some(0.0), "{}", agent.node().name);
    }
    Ok(())
}

#[test]
fn a_changed_hardware_address_is_published_at_once() -> anyhow::Result<()> {
    let Some((scene, observer)) = three()? else { return Ok(()) };
    let mac = "02:00:00:00:77:01";

    let node = scene.node(2);
    let changed = node.netns.command("ip").args(["link", "set", lb_tests::lab::INTERFACE, "address", mac]).status()?;
    anyhow::ensure!(changed.success(), "set the hardware address: {changed}");

    let published = || {
        let status = observer.node("node-3")?.status?;
        Some(status.interfaces.iter().any(|interface| interface.mac == mac))
    };
    // Far below the ten seconds between two writes of what can wait.
    wait::until(Duration::from_secs(4), "node-3 to publish it", || published().unwrap_or_default())?;
    Ok(())
}

#[test]
fn who_may_never_take_back_leaves_an_address_where_it_is() -> anyhow::Result<()> {
    let Some(mut scene) = scene(2)? else { return Ok(()) };
    scene.rank(100, &[0, 1])?;
    for address in pair(100) {
        scene.stand_in()?.edit(address, |spec| spec.failback = Some(Failback::Never))?;
    }
    scene.start_agents(&AgentOptions::default())?;
    scene.wait_until_held(0, &pair(100))?;

    scene.cable(0, "down")?;
    scene.wait_until_held(1, &pair(100))?;
    let asker = scene.ask(&pair(100))?;
    scene.cable(0, "up")?;
    wait::observe(Duration::from_secs(5));
    scene.wait_until_held(1, &pair(100))?;
    // The same node takes them back once it is told that it may.
    for address in pair(100) {
        scene.stand_in()?.edit(address, |spec| spec.failback = Some(Failback::After(Duration::from_secs(1))))?;
    }
    scene.wait_until_held(0, &pair(100))?;
    wait::observe(Duration::from_secs(1));

    let record = asker.finish()?;
    assert_eq!(record.all().unanswered(), 0, "of {}", record.all().sent());
    Ok(())
}

#[test]
fn a_stranger_is_a_condition_with_its_mac_and_who_retreats_lets_go() -> anyhow::Result<()> {
    let Some(mut scene) = scene(1)? else { return Ok(()) };
    scene.rank(100, &[0])?;
    let [address, _] = pair(100);
    scene.stand_in()?.edit(address, |spec| spec.conflict = Some(Conflict::Retreat))?;
    scene.start_agents(&AgentOptions::default())?;
    scene.wait_until_held(0, &pair(100))?;
    let observer = scene.manifests.observe()?;

    // The client announces the address for itself, again and again, as a misconfigured host does.
    let client = scene.lab.client();
    let IpAddr::V4(target) = address else { anyhow::bail!("the first of a pair is IPv4") };
    let condition = wait::for_ok(LIMIT, "the condition", || {
        responder::announce(client, target).map_err(|error| format!("{error:#}"))?;
        let status = observer.status(address).unwrap_or_default();
        let stands = status.conditions.iter().find(|one| one.type_ == "Stranger" && one.status == "True");
        let held = scene.agents[0].state().map_err(|error| format!("{error:#}"))?["holds"].to_string();
        match stands {
            Some(stands) if !held.contains(&address.to_string()) => Ok(stands.message.clone()),
            other => Err(format!("{other:?}, held: {held}")),
        }
    })
    .context("a stranger was told of, and given way to")?;
    assert!(condition.starts_with(&client.mac.to_string()), "{condition}");
    Ok(())
}
