//! Who holds an address while nodes, links, agents and the network fail: a short run of random faults, and each fault
//! that has a name. Order and counts, not times; `cargo xtask soak holder` and `soak partition` are the long runs.

use std::time::Duration;

use clap::ValueEnum as _;
use lb_tests::{
    faults::{
        NODES, Stage,
        account::Second,
        holder,
        log::{Bounds, Fault},
        scenes::Scene,
    },
    need,
};

const SEED: u64 = 1;
/// What the seed does.
const FAULTS: [&str; 5] = [
    "the agent of node-1 is killed",
    "node-4 dies",
    "the agent of node-2 is stopped",
    "node-5 is drained",
    "node-1 does not hear node-2",
];
const ADDRESSES: usize = 20;
const LENGTH: Duration = Duration::from_secs(75);

#[test]
fn every_second_of_random_faults_is_accounted_for() -> anyhow::Result<()> {
    if !need::met(&Stage::needs()) {
        return Ok(());
    }
    let holder = holder::Holder { seed: SEED, length: LENGTH, addresses: ADDRESSES, unhurried: true, keep: None };

    let outcome = holder::run(&holder)?;

    outcome.log.iter().for_each(|entry| println!("{}", entry.show(outcome.start)));
    println!("{}", outcome.account);
    outcome.account.verdict(&outcome.log, outcome.start)?;
    let done = outcome.log.iter().map(|entry| &entry.fault).filter(|fault| **fault != Fault::Stalled);
    assert_eq!(done.map(ToString::to_string).collect::<Vec<_>>(), FAULTS);
    assert_eq!(outcome.account.lines, 2 * ADDRESSES, "each client asked for each address");
    let seconds: u64 = outcome.account.seconds.values().sum();
    assert!(seconds >= 2 * ADDRESSES as u64 * LENGTH.as_secs(), "{seconds} seconds");
    let held = outcome.account.seconds.iter().filter(|(second, _)| matches!(second, Second::Held(_)));
    assert_eq!(held.clone().count(), NODES, "each node held something");
    assert!(held.map(|(_, count)| count).sum::<u64>() * 10 > seconds * 8, "somebody holds whenever somebody can");
    assert!(outcome.account.moves >= ADDRESSES, "{} moves", outcome.account.moves);
    Ok(())
}

#[test]
fn each_fault_with_a_name_ends_with_one_holder() -> anyhow::Result<()> {
    if !need::met(&Stage::needs()) {
        return Ok(());
    }
    let mut stage = Stage::build(holder::LEASE.0)?;
    let bounds = Bounds::of(holder::LEASE.1).unhurried();
    // The division twice, from both ends of the nodes.
    let scenes = [Scene::Division].iter().chain(Scene::value_variants());
    for (number, scene) in scenes.enumerate() {
        let played = scene.play(&mut stage, number * 3 % NODES, &bounds)?;
        println!("{scene:?}: {played}");
        assert!(!played.orders.is_empty());
    }
    Ok(())
}
