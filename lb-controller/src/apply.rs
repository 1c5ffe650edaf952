//! One step of a plan, written to the store.
//!
//! Every write carries what it was judged on; "somebody else was first" is an outcome here and not an error: the next
//! plan sees what there is.

use std::{error::Error, net::IpAddr};

use k8s_openapi::api::core::v1::Service;
use lb_api::VirtualIP;
use lb_plan::controller::{Action, Step};
use lb_store::{CreateError, DeleteError, Key, Listing, Object, Preconditions, Stopped, Store, UpdateError};

mod release;
pub(crate) mod stale;

use release::Confirmed;

/// What became of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is written.
    Done,
    /// It was so already.
    Unneeded,
    /// The object has changed since it was judged.
    Conflict,
    /// The address has been taken by somebody.
    Taken(IpAddr),
    /// It could not be written; the whole chain of causes.
    Failed(String),
    /// It was not written, because this process may not write any more.
    Ended,
}

impl Outcome {
    /// The label of the metric.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unneeded => "unneeded",
            Self::Conflict => "conflict",
            Self::Taken(_) => "taken",
            Self::Failed(_) => "failed",
            Self::Ended => "ended",
        }
    }
}

/// Writes. Only a store that is gone is an error. `services` is what was planned on.
pub(crate) async fn apply(
    store: &Store,
    step: &Step,
    services: &Listing<Service>,
    may_write: impl Fn() -> bool,
) -> Result<Outcome, Stopped> {
    if let Some(vip) = release::of_lost_service(step) {
        match release::confirm(store, vip, services).await? {
            // A look takes its time, and the term may have ended meanwhile.
            Confirmed::Yes if !may_write() => return Ok(Outcome::Ended),
            Confirmed::Yes => {}
            // In doubt nothing is given back: the next plan sees what there is.
            Confirmed::No => return Ok(Outcome::Conflict),
            Confirmed::Unknown(cause) => return Ok(Outcome::Failed(cause)),
        }
    }
    match &step.action {
        Action::WriteStatus(service) => updated(store.write_status(service.as_ref()).await),
        Action::Update(vip) => updated(store.update(vip.as_ref()).await),
        Action::Create(vip) => {
            let outcome = created(store.create(vip.as_ref()).await)?;
            Ok(if matches!(outcome, Outcome::Unneeded) { taken(vip) } else { outcome })
        }
        Action::Delete(vip) => delete(store, vip.as_ref()).await,
        // What cannot be told to anybody any more stops nothing.
        Action::CreateEvent(event) => created(store.create(event.as_ref()).await),
        Action::DeleteEvent(event) => delete(store, event.as_ref()).await,
        Action::WritePoolStatus(pool) => updated(store.write_status(pool.as_ref()).await),
        Action::CreateState(state) => created(store.create(state.as_ref()).await),
        Action::WriteState(state) => updated(store.write_status(state.as_ref()).await),
        // By the status as well, which takes annotations of a Service: so its spec is nothing that Herald may write.
        Action::Annotate(service) => updated(store.write_status(service.as_ref()).await),
    }
}

/// The label of the metric.
pub(crate) const fn word(action: &Action) -> &'static str {
    match action {
        Action::WriteStatus(_) => "write-status",
        Action::Update(_) => "update-virtual-ip",
        Action::Create(_) => "create-virtual-ip",
        Action::Delete(_) => "delete-virtual-ip",
        Action::CreateEvent(_) => "create-event",
        Action::DeleteEvent(_) => "delete-event",
        Action::WritePoolStatus(_) => "write-pool-status",
        Action::CreateState(_) => "create-state",
        Action::WriteState(_) => "write-state",
        Action::Annotate(_) => "annotate",
    }
}

/// Kind and name of what is written, for logs.
pub(crate) fn describe(action: &Action) -> String {
    match action {
        Action::WriteStatus(service) => format!("Service {}", Key::of(service.as_ref())),
        Action::Update(vip) | Action::Create(vip) => format!("VirtualIP {}", Key::of(vip.as_ref())),
        Action::Delete(vip) => format!("VirtualIP {}", Key::of(vip.as_ref())),
        Action::CreateEvent(event) => format!("Event {}", Key::of(event.as_ref())),
        Action::DeleteEvent(event) => format!("Event {}", Key::of(event.as_ref())),
        Action::WritePoolStatus(pool) => format!("IPAddressPool {}", Key::of(pool.as_ref())),
        Action::CreateState(state) | Action::WriteState(state) => {
            format!("ConfigurationState {}", Key::of(state.as_ref()))
        }
        Action::Annotate(service) => format!("Service {}", Key::of(service.as_ref())),
    }
}

fn taken(vip: &VirtualIP) -> Outcome {
    vip.spec.address.parse().map_or(Outcome::Unneeded, Outcome::Taken)
}

async fn delete<K: Object>(store: &Store, object: &K) -> Result<Outcome, Stopped> {
    match store.delete::<K>(&Key::of(object), &Preconditions::of(object)).await {
        Ok(()) => Ok(Outcome::Done),
        Err(DeleteError::NotFound(_)) => Ok(Outcome::Unneeded),
        Err(DeleteError::Conflict(_)) => Ok(Outcome::Conflict),
        Err(DeleteError::Stopped(stopped)) => Err(stopped),
        Err(error @ (DeleteError::NotOurs { .. } | DeleteError::Io { .. } | DeleteError::Server { .. })) => {
            Ok(failed(&error))
        }
    }
}

fn created<K>(result: Result<K, CreateError>) -> Result<Outcome, Stopped> {
    match result {
        Ok(_) => Ok(Outcome::Done),
        Err(CreateError::AlreadyExists(_) | CreateError::Terminating(_)) => Ok(Outcome::Unneeded),
        Err(CreateError::Stopped(stopped)) => Err(stopped),
        Err(
            error @ (CreateError::Invalid { .. }
            | CreateError::ReadOnly(_)
            | CreateError::Io { .. }
            | CreateError::Server { .. }),
        ) => Ok(failed(&error)),
    }
}

/// An object that is gone is a conflict: the plan thought that it was there.
fn updated<K>(result: Result<K, UpdateError>) -> Result<Outcome, Stopped> {
    match result {
        Ok(_) => Ok(Outcome::Done),
        Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => Ok(Outcome::Conflict),
        Err(UpdateError::Stopped(stopped)) => Err(stopped),
        Err(
            error @ (UpdateError::Invalid { .. }
            | UpdateError::NotOurs { .. }
            | UpdateError::Io { .. }
            | UpdateError::Server { .. }),
        ) => Ok(failed(&error)),
    }
}

fn failed(error: &dyn Error) -> Outcome {
    Outcome::Failed(chain(error))
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}
