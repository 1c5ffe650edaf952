//! Vouching for the table.

use anyhow::Context;
use lb_common::lease::{LATCH, Latch};

use super::Owner;
use crate::{
    clock,
    xdp::{
        lease::{self, Verdict},
        maps::Maps,
    },
};

/// The word that stands in the map.
pub(super) fn standing(maps: &Maps) -> anyhow::Result<Latch> {
    Ok(Latch(maps.lease.get(&LATCH, 0).context("read the lease")?))
}

impl Owner {
    /// Renews or takes the lease from now on for `millis`.
    pub(super) fn vouch(&mut self, millis: u64) {
        match self.try_vouch(millis) {
            Ok(Verdict::Renewed) => {}
            Ok(Verdict::Lost) => self.start_over(),
            Err(error) => self.report(vec![error]),
        }
    }

    fn try_vouch(&mut self, millis: u64) -> anyhow::Result<Verdict> {
        let deadline = clock::now() + millis;
        let standing = standing(self.tables.maps())?;
        let asked = self.keeper.renewal(standing, deadline, deadline + self.args.suppress_limit.millis());
        let verdict = lease::run(self.object.renewal()?, &asked)?;
        let was_held = self.keeper.is_held();
        self.keeper.answered(&asked, verdict);
        if verdict == Verdict::Lost && was_held {
            self.seen.counters.lease_losses += 1;
            tracing::warn!(
                epoch = self.keeper.epoch(),
                "the lease ran out before it was renewed: others may hold the addresses; starting over"
            );
        }
        if verdict == Verdict::Renewed && !was_held {
            tracing::info!(epoch = self.keeper.epoch(), entries = self.tables.entry_count(), "lease taken");
        }
        Ok(verdict)
    }

    /// New epoch, nothing answers, everything is planned again.
    fn start_over(&mut self) {
        self.seen.retry = true;
        self.seen.lost = true;
        if self.tables.epoch() != self.keeper.epoch() {
            let errors = self.tables.start_over(self.keeper.epoch());
            self.report(errors);
            self.schedule.retain(|_| false);
        }
    }
}
