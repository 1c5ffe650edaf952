//! The steps of a plan, written: many at once, stage by stage.
//!
//! Invariants:
//! * The steps of one stage are of different objects, so none waits for another. A stage begins when the one before has
//!   ended: what a Service shows is written before the address is given back, and that before an address is taken.
//! * The term is asked for before each write, so nothing new is sent after its end.
//! * An address is given back only if its Services were written, if they had to be.

use std::{collections::BTreeSet, net::IpAddr};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Service;
use lb_plan::controller::{Action, Plan, Step};
use lb_store::{Key, Listing, Stopped, Store};
use tokio::sync::watch;
use tracing::{debug, info};

use crate::{
    apply::{self, Outcome, stale},
    leader::Leadership,
    metrics::Metrics,
};

/// How many writes are under way at once. An API server gives one client some dozens of seats (Kubernetes API priority
/// and fairness); more would wait there, and the other clients with them.
const AT_ONCE: usize = 32;

/// What writes.
pub(super) struct Writes<'a> {
    pub(super) store: &'a Store,
    pub(super) metrics: &'a Metrics,
    pub(super) leadership: &'a Leadership,
    pub(super) term: u64,
    pub(super) stop: &'a watch::Receiver<bool>,
    /// What was planned on.
    pub(super) services: &'a Listing<Service>,
}

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) done: usize,
    pub(super) conflicts: usize,
    pub(super) failures: Vec<String>,
    /// Addresses that somebody has although no VirtualIP of theirs is listed.
    pub(super) taken: Vec<IpAddr>,
    /// The term ended before all was written.
    pub(super) interrupted: bool,
}

/// What is written together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Statuses,
    Updates,
    Creations,
    Deletions,
    Annotations,
    Reports,
}

impl Stage {
    const fn of(step: &Step) -> Self {
        match step.action {
            Action::WriteStatus(_) => Self::Statuses,
            Action::Update(_) => Self::Updates,
            Action::Create(_) => Self::Creations,
            Action::Delete(_) => Self::Deletions,
            Action::Annotate(_) => Self::Annotations,
            Action::CreateEvent(_)
            | Action::DeleteEvent(_)
            | Action::WritePoolStatus(_)
            | Action::CreateState(_)
            | Action::WriteState(_) => Self::Reports,
        }
    }
}

impl Writes<'_> {
    /// Writes a plan. Only a store that is gone is an error.
    pub(super) async fn all(&self, plan: &Plan) -> Result<Written, Stopped> {
        let mut written = Written::default();
        // Services that may still show what the plan takes from them.
        let mut unshown: BTreeSet<Key> = BTreeSet::new();
        for stage in plan.steps.chunk_by(|a, b| Stage::of(a) == Stage::of(b)) {
            let mut outcomes = stream::iter(stage).map(|step| self.one(step, &unshown)).buffer_unordered(AT_ONCE);
            let mut unwritten = Vec::new();
            while let Some(outcome) = outcomes.next().await {
                let (step, outcome) = outcome?;
                unwritten.extend(self.note(&mut written, step, outcome));
            }
            drop(outcomes);
            unshown.extend(unwritten);
            if written.interrupted || *self.stop.borrow() {
                break;
            }
        }
        Ok(written)
    }

    fn may_write(&self) -> bool {
        !*self.stop.borrow() && self.leadership.term() == Some(self.term)
    }

    async fn one<'s>(&self, step: &'s Step, unshown: &BTreeSet<Key>) -> Result<(&'s Step, Outcome), Stopped> {
        let outcome = if !self.may_write() {
            Outcome::Ended
        } else if stale::takes_from(&step.action, unshown) {
            Outcome::Conflict
        } else {
            apply::apply(self.store, step, self.services, || self.may_write()).await?
        };
        Ok((step, outcome))
    }

    /// Counts an outcome. Gives the Service whose status should have been written and was not.
    fn note(&self, written: &mut Written, step: &Step, outcome: Outcome) -> Option<Key> {
        let is_written = matches!(outcome, Outcome::Done | Outcome::Unneeded);
        let mut unshown = None;
        if let Action::WriteStatus(service) = &step.action
            && !is_written
        {
            unshown = Some(Key::of(service.as_ref()));
        }
        let action = apply::word(&step.action);
        let object = || apply::describe(&step.action);
        self.metrics.stepped(action, outcome.word());
        match outcome {
            Outcome::Done => {
                written.done += 1;
                debug!(action, object = object(), why = step.why.word(), "written");
            }
            Outcome::Unneeded => {}
            Outcome::Conflict => {
                written.conflicts += 1;
                debug!(action, object = object(), "changed since it was judged");
            }
            Outcome::Taken(address) => {
                written.conflicts += 1;
                written.taken.push(address);
                info!(%address, "the address is taken already, the next one is used");
            }
            Outcome::Failed(cause) => written.failures.push(cause),
            Outcome::Ended => written.interrupted = true,
        }
        unshown
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lb_api::VirtualIP;
    use lb_plan::controller::Why;

    use super::*;

    #[test]
    fn what_is_shown_is_written_before_what_is_given_back_and_that_before_what_is_taken() {
        let vip = VirtualIP::new("192.0.2.1", Default::default());
        let step = |action| Step { action, why: Why::Status };
        let steps = [
            step(Action::WriteStatus(Box::default())),
            step(Action::WriteStatus(Box::default())),
            step(Action::Update(Box::new(vip.clone()))),
            step(Action::Create(Box::new(vip.clone()))),
            step(Action::Delete(Arc::new(vip))),
            step(Action::Annotate(Box::default())),
            step(Action::CreateEvent(Box::default())),
            step(Action::DeleteEvent(Arc::default())),
        ];
        let sizes: Vec<usize> = steps.chunk_by(|a, b| Stage::of(a) == Stage::of(b)).map(<[Step]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1, 1, 2]);
    }
}
