//! A short run of random edits under a controller that is killed; the long one is `cargo xtask soak edits`.
//!
//! `HERALD_EDITS` is how many edits (100), `HERALD_SEED` repeats a run.

use std::env;

use lb_tests::{edits, need};

#[test]
fn random_edits_leave_no_address_given_twice_leaked_or_moved_without_cause() -> anyhow::Result<()> {
    if !need::met(&edits::needs()) {
        return Ok(());
    }
    let seed = number("HERALD_SEED")?.unwrap_or_else(edits::fresh_seed);
    let count = number("HERALD_EDITS")?.unwrap_or(100);
    println!("seed {seed}");
    let figures = edits::run(seed, usize::try_from(count)?)?;
    println!("{figures:?}");
    assert!(figures.quiets > 1 && figures.kills > 0, "nothing was tried: {figures:?}");
    Ok(())
}

fn number(name: &str) -> anyhow::Result<Option<u64>> {
    Ok(env::var(name).ok().map(|text| text.parse()).transpose()?)
}
