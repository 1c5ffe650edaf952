//! What SIGTERM does: leave everything to a successor, or let go.

use lb_plan::agent::{Departure, Table, table};

use super::Owner;
use crate::cleanup;

impl Owner {
    /// Ends the task, as was decided.
    pub(super) async fn stop(mut self, departure: Departure) -> anyhow::Result<()> {
        match departure {
            Departure::HandOver(why) => {
                tracing::info!("told to stop: {why}");
                self.hand_over();
                Ok(())
            }
            Departure::LetGo(why) => {
                tracing::info!("told to stop: {why}");
                self.drain().await;
                self.release().await
            }
        }
    }

    /// One last, longer renewal: the table answers until a successor takes it up or the lease runs out.
    fn hand_over(&mut self) {
        if !self.keeper.is_held() {
            tracing::warn!("stopping without the lease: there is nothing to hand over");
            return;
        }
        let millis = self.args.handover.millis().max(self.args.lease.millis());
        self.vouch(millis);
        if self.keeper.is_held() {
            tracing::info!("stopping; the addresses stay answered for {} unless a successor comes", self.args.handover);
        }
    }

    /// Empties the table first, so that nothing is answered from a half-removed one, then undoes everything.
    async fn release(mut self) -> anyhow::Result<()> {
        let segments = self.tables.segments().clone();
        let operations = table::diff(&self.tables, &segments, &[]);
        let errors: Vec<_> =
            operations.into_iter().filter_map(|operation| self.tables.apply(operation).err()).collect();
        self.report(errors);
        tracing::info!("stopping; every address is let go");
        cleanup::undo_all(&self.pins, &self.args.places).await
    }
}
