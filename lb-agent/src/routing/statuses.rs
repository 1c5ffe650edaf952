//! Writes `ServiceBGPStatus` objects and the `ConfigurationState` of this node's speaker: what this node tells its peers, and
//! whether it can use what was configured, for MetalLB's tools.
//!
//! Beside the plan, which must not wait for a write. Each change is written once; a server that refuses is left alone for
//! longer each time. Only on an API server: nobody looks for these objects in a folder.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use lb_api::{
    ConfigurationState, ServiceBGPStatus,
    names::{bgp_status, configuration_state},
};
use lb_plan::bgp::{Reporter, StateStep, StatusStep, Told, state, statuses};
use lb_store::{CreateError, DeleteError, Key, Object, Preconditions, Reflector, Store, UpdateError};
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
    /// What is wrong, if there is anything to judge.
    pub(super) summary: Option<String>,
    /// This node.
    pub(super) node: Option<Arc<Node>>,
}

/// Writes them.
pub(super) struct Statuses {
    store: Store,
    node: String,
    namespace: String,
    known: Reflector<ServiceBGPStatus>,
    /// Its own alone.
    states: Reflector<ConfigurationState>,
    /// What was logged last.
    trouble: Option<String>,
    failures: u32,
}

impl Statuses {
    /// `None` in a folder.
    pub(super) fn new(store: &Store, args: &Run) -> Option<Self> {
        matches!(store, Store::Server(_)).then(|| Self {
            known: store.reflect_labelled(&format!("{}={}", bgp_status::NODE, args.node)),
            states: store.reflect_labelled(&format!("{}={}", configuration_state::NODE, args.node)),
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
                changed = self.states.changed() => if changed.is_err() { return },
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

    fn due(&self, report: &Report) -> Vec<Write> {
        let reporter = Reporter { node: &self.node, object: report.node.as_deref(), namespace: &self.namespace };
        let (known, states) = (objects(&self.known), objects(&self.states));
        // Whole seconds, as every time of an object.
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
        // Whoever may not read them keeps the others from nothing.
        let state = self.states.current().synced.then(|| state(reporter, report.summary.as_deref(), &states, now));
        let state = state.flatten().map(Write::State);
        let statuses = statuses(reporter, &report.told, &known).into_iter().map(|step| Write::Status(Box::new(step)));
        state.into_iter().chain(statuses).collect()
    }

    async fn write(&mut self, steps: impl Iterator<Item = Write>) {
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

/// One write of either kind.
enum Write {
    Status(Box<StatusStep>),
    State(StateStep),
}

fn objects<K: Object>(reflector: &Reflector<K>) -> Vec<Arc<K>> {
    reflector.current().objects.values().map(Arc::clone).collect()
}

/// Takes all of them away: this node tells nobody any more.
pub(super) async fn clear(store: &Store, args: &Run) {
    let Some(mut statuses) = Statuses::new(store, args) else { return };
    if statuses.known.ready().await.is_err() || statuses.states.ready().await.is_err() {
        return;
    }
    for step in statuses.due(&Report::default()) {
        if let Err(why) = write(store, step).await {
            tracing::warn!("{why}");
        }
    }
}

async fn write(store: &Store, step: Write) -> Result<(), String> {
    match step {
        Write::Status(step) => match *step {
            StatusStep::Create(object) => create(store, &object).await,
            StatusStep::Write(object) => write_status(store, &object).await,
            StatusStep::Delete(object) => delete(store, &*object).await,
        },
        Write::State(StateStep::Create(object)) => create(store, &*object).await,
        Write::State(StateStep::Write(object)) => write_status(store, &*object).await,
        Write::State(StateStep::Delete(object)) => delete(store, &*object).await,
    }
}

// What somebody else has changed meanwhile is seen at the next look.

async fn create<K: Object>(store: &Store, object: &K) -> Result<(), String> {
    match store.create(object).await {
        Ok(_) | Err(CreateError::AlreadyExists(_)) => Ok(()),
        Err(error) => Err(chain(&error)),
    }
}

async fn write_status<K: Object>(store: &Store, object: &K) -> Result<(), String> {
    match store.write_status(object).await {
        Ok(_) | Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => Ok(()),
        Err(error) => Err(chain(&error)),
    }
}

async fn delete<K: Object>(store: &Store, object: &K) -> Result<(), String> {
    match store.delete::<K>(&Key::of(object), &Preconditions::of(object)).await {
        Ok(()) | Err(DeleteError::Conflict(_) | DeleteError::NotFound(_)) => Ok(()),
        Err(error) => Err(chain(&error)),
    }
}
