//! Who holds an address when nodes and links fail, and when one is to go: order and counts, never times. The figures are
//! printed, and judged by `cargo xtask bench failover`.

use std::time::Duration;

use lb_tests::{
    asker::{Record, Stamp},
    herald::AgentOptions,
    lab::Host,
    wait,
};

use crate::scene::{Scene, pair, scene};

const LIMIT: Duration = Duration::from_secs(20);

/// Three nodes, ranked in their order; the first holds.
fn three() -> anyhow::Result<Option<Scene>> {
    let Some(mut scene) = scene(3)? else { return Ok(None) };
    scene.rank(100, &[0, 1, 2])?;
    scene.start_agents(&AgentOptions::default())?;
    scene.wait_until_held(0, &pair(100))?;
    Ok(Some(scene))
}

/// Whoever answered, in the order of the first answers of each run of them.
fn order(record: &Record, scene: &Scene) -> Vec<(String, String)> {
    let mut order: Vec<(String, String)> = Vec::new();
    for vip in pair(100) {
        for request in record.all().of(vip) {
            let Some(reply) = request.reply() else { continue };
            let node =
                scene.lab.node_of(reply.mac).map_or_else(|| format!("{:?}", reply.mac), |node| node.name.clone());
            if order.last() != Some(&(vip.to_string(), node.clone())) {
                order.push((vip.to_string(), node));
            }
        }
    }
    order
}

fn expected(nodes: &[&str]) -> Vec<(String, String)> {
    let of = |vip: std::net::IpAddr| nodes.iter().map(move |node| (vip.to_string(), (*node).to_owned()));
    pair(100).into_iter().flat_map(of).collect()
}

/// The longest time between two answers.
fn longest_gap(record: &Record) -> Duration {
    let gap = |vip| {
        let mut answers: Vec<Stamp> =
            record.all().of(vip).flat_map(|request| &request.replies).map(|reply| reply.at).collect();
        answers.sort();
        answers.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    };
    pair(100).into_iter().map(gap).max().unwrap_or_default()
}

/// Takes a station's cable out of the switch, or puts it back.
fn cable(scene: &Scene, host: &Host, state: &str) -> anyhow::Result<()> {
    let status = scene.lab.switch.command("ip").args(["link", "set", &host.name, state]).status()?;
    anyhow::ensure!(status.success(), "ip link set {} {state}: {status}", host.name);
    Ok(())
}

#[test]
fn when_the_holders_link_is_cut_the_next_node_answers_and_it_comes_back() -> anyhow::Result<()> {
    let Some(scene) = three()? else { return Ok(()) };
    let asker = scene.ask(&pair(100))?;
    wait::observe(Duration::from_millis(500));

    cable(&scene, scene.node(0), "down")?;
    scene.wait_until_held(1, &pair(100))?;
    wait::observe(Duration::from_secs(1));
    let record = asker.finish()?;
    assert_eq!(order(&record, &scene), expected(&["node-1", "node-2"]));
    assert_eq!(record.all().answered_twice(), 0);
    println!("link cut: {:?} without an answer", longest_gap(&record));

    let asker = scene.ask(&pair(100))?;
    cable(&scene, scene.node(0), "up")?;
    scene.wait_until_held(0, &pair(100))?;
    wait::observe(Duration::from_secs(1));
    let record = asker.finish()?;
    assert_eq!(order(&record, &scene), expected(&["node-2", "node-1"]));
    assert_eq!(record.all().unanswered(), 0, "of {} at the way back", record.all().sent());
    println!("way back: {:?} without an answer", longest_gap(&record));
    Ok(())
}

#[test]
fn when_a_node_dies_the_next_one_answers_and_only_that_one() -> anyhow::Result<()> {
    let Some(mut scene) = three()? else { return Ok(()) };
    let asker = scene.ask(&pair(100))?;
    wait::observe(Duration::from_millis(500));

    scene.agents[0].process().kill()?;
    cable(&scene, scene.node(0), "down")?;
    let taken = |scene: &Scene| {
        let state = scene.agents[1].state().map_err(|error| format!("{error:#}"))?;
        let holds = state["holds"].as_array().map_or(0, Vec::len);
        if holds == 2 { Ok(()) } else { Err(state.to_string()) }
    };
    wait::for_ok(LIMIT, "the second node to hold both", || taken(&scene))?;
    wait::observe(Duration::from_secs(1));

    let record = asker.finish()?;
    assert_eq!(order(&record, &scene), expected(&["node-1", "node-2"]));
    assert_eq!(record.all().answered_twice(), 0);
    println!("node death: {:?} without an answer", longest_gap(&record));
    Ok(())
}

#[test]
fn an_agent_that_lets_go_hands_its_addresses_over_without_a_gap() -> anyhow::Result<()> {
    let Some(mut scene) = scene(3)? else { return Ok(()) };
    scene.rank(100, &[0, 1, 2])?;
    scene.start_agents(&AgentOptions { on_term: "release", ..AgentOptions::default() })?;
    scene.wait_until_held(0, &pair(100))?;
    let asker = scene.ask(&pair(100))?;
    wait::observe(Duration::from_millis(500));

    scene.agents[0].process().term(LIMIT)?;
    wait::observe(Duration::from_secs(1));

    let record = asker.finish()?;
    assert_eq!(order(&record, &scene), expected(&["node-1", "node-2"]));
    assert_eq!(record.all().unanswered(), 0, "of {}", record.all().sent());
    // The old holder may answer one frame more, the one in which it hears of the new one.
    assert!(record.all().answered_twice() <= pair(100).len(), "{} answered twice", record.all().answered_twice());
    println!("drain: {:?} without an answer", longest_gap(&record));
    Ok(())
}

#[test]
fn an_agent_that_is_killed_and_stays_away_loses_its_addresses_with_its_lease() -> anyhow::Result<()> {
    let Some(mut scene) = scene(2)? else { return Ok(()) };
    scene.rank(100, &[0, 1])?;
    scene.start_agents(&AgentOptions { lease: "2s", ..AgentOptions::default() })?;
    scene.wait_until_held(0, &pair(100))?;
    let asker = scene.ask(&pair(100))?;

    scene.agents[0].process().kill()?;
    let end = scene.pins(0).lease()?.deadline.expect("it is held");
    wait::for_ok(LIMIT, "the second node to hold both", || {
        let state = scene.agents[1].state().map_err(|error| format!("{error:#}"))?;
        if state["holds"].as_array().map_or(0, Vec::len) == 2 { Ok(()) } else { Err(state.to_string()) }
    })?;
    wait::observe(Duration::from_secs(1));

    let record = asker.finish()?;
    assert_eq!(order(&record, &scene), expected(&["node-1", "node-2"]));
    assert_eq!(record.all().answered_twice(), 0);
    let second = scene.node(1).mac;
    let early = record.all().requests().iter().flat_map(|request| &request.replies).filter(|reply| reply.mac == second);
    assert_eq!(early.filter(|reply| reply.at < end.before(Duration::from_millis(50))).count(), 0, "within the lease");
    println!("killed: {:?} without an answer", longest_gap(&record));
    Ok(())
}
