//! Who holds an address, said by the controller: of nodes that are gone ([`lb_plan::holders`]), and in MetalLB's words
//! ([`lb_plan::l2_statuses`]); beside the passes and behind them.
//!
//! Must not: be on the way of an address. Nothing waits for it; it writes few objects at a time, only in a running term,
//! and a failure is tried again later.

use std::{convert::Infallible, time::Duration};

use k8s_openapi::api::core::v1::Node;
use lb_api::{ServiceL2Status, VirtualIP};
use lb_plan::{
    holders,
    l2_statuses::{self, Write},
};
use lb_store::{CreateError, DeleteError, Key, Object, Preconditions, Reflector, Stopped, Store, UpdateError};
use tokio::time::sleep;
use tracing::warn;

use crate::{apply::chain, leader::Leadership};

/// Between two looks, so that what moves fast is written once.
const PAUSE: Duration = Duration::from_millis(500);
/// Writes between two looks.
const BATCH: usize = 100;
/// The longest wait after failures; it doubles from [`PAUSE`].
const LONGEST: Duration = Duration::from_secs(60);

/// The task.
pub(crate) struct Holders {
    store: Store,
    leadership: Leadership,
    virtual_ips: Reflector<VirtualIP>,
    nodes: Reflector<Node>,
    l2: Option<L2>,
    failures: u32,
    told: String,
}

/// MetalLB's objects, where Herald writes them.
struct L2 {
    namespace: String,
    statuses: Reflector<ServiceL2Status>,
}

impl Holders {
    /// `l2_namespace` is where ServiceL2Statuses are written; without it none are.
    pub(crate) fn new(store: Store, l2_namespace: Option<String>, leadership: Leadership) -> Self {
        let (virtual_ips, nodes) = (store.reflect(), store.reflect());
        let l2 = l2_namespace.map(|namespace| L2 { namespace, statuses: store.reflect() });
        Self { store, leadership, virtual_ips, nodes, l2, failures: 0, told: String::new() }
    }

    /// Until the store is gone.
    pub(crate) async fn run(mut self) -> Result<Infallible, Stopped> {
        self.virtual_ips.ready().await?;
        self.nodes.ready().await?;
        loop {
            let term = self.leadership.term();
            let more = if term.is_some() { self.look(term).await? } else { false };
            sleep(self.pause()).await;
            if more {
                continue;
            }
            tokio::select! {
                changed = self.virtual_ips.changed() => changed?,
                changed = self.nodes.changed() => changed?,
                changed = L2::changed(self.l2.as_mut()) => changed?,
                () = self.leadership.changed(term) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        PAUSE.saturating_mul(2_u32.saturating_pow(self.failures.min(16))).min(LONGEST)
    }

    /// Writes some of what differs; whether there is more.
    async fn look(&mut self, term: Option<u64>) -> Result<bool, Stopped> {
        let (marks, writes) = (self.marks(), self.writes());
        let mut budget = BATCH;
        for vip in marks.iter().take(budget) {
            if self.leadership.term() != term {
                return Ok(true);
            }
            let written = write_status(&self.store, vip).await?;
            if self.has_failed(written) {
                return Ok(true);
            }
        }
        budget = budget.saturating_sub(marks.len());
        for write in writes.iter().take(budget) {
            if self.leadership.term() != term {
                return Ok(true);
            }
            let written = write_one(&self.store, write).await?;
            if self.has_failed(written) {
                return Ok(true);
            }
        }
        self.failures = 0;
        self.told.clear();
        Ok(marks.len() + writes.len() > BATCH)
    }

    /// In doubt whether a Node is there nothing is said of it.
    fn marks(&self) -> Vec<VirtualIP> {
        let (vips, nodes) = (self.virtual_ips.current(), self.nodes.current());
        if !nodes.doubtful.is_empty() {
            return Vec::new();
        }
        holders::marks(vips.objects.values(), nodes.objects.values())
    }

    /// In doubt whether a VirtualIP is there nothing is taken away.
    fn writes(&self) -> Vec<Write> {
        let (vips, l2) = (self.virtual_ips.current(), self.l2.as_ref());
        let Some((l2, statuses)) = l2.map(|l2| (l2, l2.statuses.current())).filter(|(_, statuses)| statuses.synced)
        else {
            return Vec::new();
        };
        let mut writes = l2_statuses::writes(vips.objects.values(), statuses.objects.values(), &l2.namespace);
        if !vips.doubtful.is_empty() {
            writes.retain(|write| !matches!(write, Write::Delete(_)));
        }
        writes
    }

    /// Told once as long as it stays the same.
    fn has_failed(&mut self, failure: Option<String>) -> bool {
        let Some(failure) = failure else { return false };
        self.failures = self.failures.saturating_add(1);
        if self.told != failure {
            warn!("{failure}");
            self.told = failure;
        }
        true
    }
}

impl L2 {
    async fn changed(of: Option<&mut Self>) -> Result<(), Stopped> {
        match of {
            Some(l2) => l2.statuses.changed().await,
            None => std::future::pending().await,
        }
    }
}

/// What has changed meanwhile is for the next look. Gives what went wrong.
async fn write_one(store: &Store, write: &Write) -> Result<Option<String>, Stopped> {
    match write {
        Write::Create(object) => match store.create(object.as_ref()).await {
            Ok(made) => write_status(store, &ServiceL2Status { status: object.status.clone(), ..made }).await,
            Err(CreateError::AlreadyExists(_) | CreateError::Terminating(_)) => Ok(None),
            Err(CreateError::Stopped(stopped)) => Err(stopped),
            Err(error) => Ok(Some(chain(&error))),
        },
        Write::Status(object) => write_status(store, object.as_ref()).await,
        Write::Delete(object) => delete(store, object.as_ref()).await,
    }
}

async fn write_status<K: Object>(store: &Store, object: &K) -> Result<Option<String>, Stopped> {
    match store.write_status(object).await {
        Ok(_) | Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => Ok(None),
        Err(UpdateError::Stopped(stopped)) => Err(stopped),
        Err(error) => Ok(Some(chain(&error))),
    }
}

async fn delete<K: Object>(store: &Store, object: &K) -> Result<Option<String>, Stopped> {
    match store.delete::<K>(&Key::of(object), &Preconditions::of(object)).await {
        Ok(()) | Err(DeleteError::Conflict(_) | DeleteError::NotFound(_)) => Ok(None),
        Err(DeleteError::Stopped(stopped)) => Err(stopped),
        Err(error) => Ok(Some(chain(&error))),
    }
}
