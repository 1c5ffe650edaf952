//! A router that spreads traffic over three nodes: one leaves, one dies. `cargo xtask bench bgp` measures how long.

use std::{collections::BTreeSet, time::Duration};

use lb_tests_bgp::ecmp::Ecmp;

/// Debug builds on a busy machine; the bound is the bench's.
const BACK: Duration = Duration::from_secs(5);

/// Seen: none or one.
const IN_FLIGHT: usize = 5;

#[test]
fn a_drained_node_loses_no_new_connection_and_a_dead_one_only_those_before_bfd_notices() -> anyhow::Result<()> {
    let Some(mut site) = Ecmp::start()? else { return Ok(()) };
    let drained = site.drain(0)?;
    println!("drained: {drained:?}");
    assert_eq!(drained.failed, []);
    // The router changes its ways once: it cuts what is open at that moment, with one connection begun every 2 ms.
    assert!(drained.in_flight <= IN_FLIGHT, "{drained:?}");
    assert!(drained.attempts > 100, "{drained:?}");
    assert_eq!(drained.after, BTreeSet::from(["node-2".to_owned(), "node-3".to_owned()]));
    site.restore(0)?;

    let killed = site.kill(1)?;
    println!("killed: {killed:?}");
    // Nothing tells the router before three packets are missing.
    assert!(killed.failed > 0 && killed.back > Duration::from_millis(100), "{killed:?}");
    assert!(killed.back < BACK, "{killed:?}");
    site.restore(1)
}
