//! Traffic through a router with multipath: a node leaves, a node dies.

use anyhow::{Context as _, ensure};
use lb_tests::spread::Spread;
use lb_tests_bgp::ecmp::Ecmp as Site;

use crate::figures::Ecmp;

pub(crate) fn measure(deaths: usize) -> anyhow::Result<Ecmp> {
    let mut site = Site::start()?.context("a prerequisite is missing")?;
    let drained = site.drain(0)?;
    ensure!(!drained.after.contains("node-1"), "the drained node was still used: {drained:?}");
    eprintln!("drain: {drained:?}");
    site.restore(0)?;
    let mut figures = Ecmp {
        drain_connections: drained.attempts,
        drain_failed: drained.failed.len(),
        drain_in_flight: drained.in_flight,
        drain_open: drained.open,
        drain_kept: drained.kept,
        ..Ecmp::default()
    };
    let mut times = Vec::with_capacity(deaths);
    for number in 0..deaths {
        let node = number % 3;
        let killed = site.kill(node)?;
        eprintln!("death {}/{deaths}: {killed:?}", number + 1);
        times.push(killed.back);
        figures.failed.push(killed.failed);
        site.restore(node)?;
    }
    figures.back_ms = Spread::of(times);
    Ok(figures)
}
