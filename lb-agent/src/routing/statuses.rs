//! Writes `ServiceBGPStatus` objects: what this node tells its peers, for MetalLB's tools.
//!
//! Beside the plan, which must not wait for a write. Each change is written once; a server that refuses is left alone for
//! longer each time. Only on an API server: nobody looks for these objects in a folder.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Node;
use lb_api::{ServiceBGPStatus, names::bgp_status::NODE};
use lb_plan::bgp::{Reporter, StatusStep, Told, statuses};
use lb_store::{CreateError, DeleteError, Key, Preconditions, Reflector, Store, UpdateError};
use tokio::sync::watch;

use crate::{args::Run, bgp::chain};

/// Written between two pauses: each may wake every reader.
const BATCH: usize = 100;
const PAUSE: Duration = Duration::from_millis(200);
/// After what failed; doubles.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// What is told, and on behalf of which Node.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    /// From a plan.
    pub(super) told: Arc<Told>,
    /// This node.
    pub(super) node: Option<Arc<Node>>,
}

/// Writes them.
pub(super) struct Statuses {
    store: Store,
    node: String,
    namespace: String,
    known: Reflector<ServiceBGPStatus>,
    /// What was logged last.
    trouble: Option<String>,
    failures: u32,
}

impl Statuses {
    /// `None` in a folder.
    pub(super) fn new(store: &Store, args: &Run) -> Option<Self> {
        matches!(store, Store::Server(_)).then(|| Self {
            known: store.reflect_labelled(&format!("{NODE}={}", args.node)),
            store: store.clone(),
            node: args.node.clone(),
            namespace: args.config_namespace.clone(),
            trouble: None,
            failures: 0,
        })
    }

    /// Follows the reports until there are none any more.
    pub(super) async fn run(mut self, mut reports: watch::Receiver<Option<Report>>) {
        // An error means that the process ends.
        if reports.wait_for(Option::is_some).await.is_err() || self.known.ready().await.is_err() {
            return;
        }
        loop {
            let report = reports.borrow_and_update().clone().unwrap_or_default();
            let due = self.due(&report);
            let is_more = due.len() > BATCH;
            self.write(due.into_iter().take(BATCH)).await;
            let wait = match (self.failures, is_more) {
                (0, true) => Some(PAUSE),
                (0, false) => None,
                (failures, _) => Some(AGAIN.saturating_mul(1 << (failures - 1).min(10)).min(LONGEST)),
            };
            let pause = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = reports.changed() => if changed.is_err() { return },
                changed = self.known.changed() => if changed.is_err() { return },
                () = pause => {}
            }
            // What has failed is not tried again at each change.
            if self.failures > 0
                && let Some(wait) = wait
            {
                tokio::time::sleep(wait).await;
            }
        }
    }

    fn due(&self, report: &Report) -> Vec<StatusStep> {
        let reporter = Reporter { node: &self.node, object: report.node.as_deref(), namespace: &self.namespace };
        let known: Vec<_> = self.known.current().objects.values().map(Arc::clone).collect();
        statuses(reporter, &report.told, &known)
    }

    async fn write(&mut self, steps: impl Iterator<Item = StatusStep>) {
        for step in steps {
            match write(&self.store, step).await {
                Ok(()) => (self.failures, self.trouble) = (0, None),
                Err(why) => {
                    if self.trouble.as_ref() != Some(&why) {
                        tracing::warn!("{why}");
                        self.trouble = Some(why);
                    }
                    self.failures = self.failures.saturating_add(1);
                    return;
                }
            }
        }
    }
}

/// Takes all of them away: this node tells nobody any more.
pub(super) async fn clear(store: &Store, args: &Run) {
    let Some(statuses) = Statuses::new(store, args) else { return };
    let mut known = statuses.known.clone();
    if known.ready().await.is_err() {
        return;
    }
    for step in statuses.due(&Report::default()) {
        if let Err(why) = write(store, step).await {
            tracing::warn!("{why}");
        }
    }
}

/// What somebody else has changed meanwhile is seen at the next look.
async fn write(store: &Store, step: StatusStep) -> Result<(), String> {
    match step {
        StatusStep::Create(object) => match store.create(&object).await {
            Ok(_) | Err(CreateError::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(chain(&error)),
        },
        StatusStep::Write(object) => match store.write_status(&object).await {
            Ok(_) | Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => Ok(()),
            Err(error) => Err(chain(&error)),
        },
        StatusStep::Delete(object) => {
            let (key, judged) = (Key::of(&*object), Preconditions::of(&*object));
            match store.delete::<ServiceBGPStatus>(&key, &judged).await {
                Ok(()) | Err(DeleteError::Conflict(_) | DeleteError::NotFound(_)) => Ok(()),
                Err(error) => Err(chain(&error)),
            }
        }
    }
}
