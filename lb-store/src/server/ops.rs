//! The operations of the store contract against an API server.
//!
//! Spec and status are written by merge patches of what differs from the object that was judged, with its
//! resourceVersion: somebody else's change in between is a conflict, and fields that this version does not know stay. With
//! the status of a Service its annotations are written, too.

use std::{any::TypeId, marker::PhantomData, sync::Arc, time::Duration};

use either::Either;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Client,
    api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions as Judged},
    core::{Request, Status},
};
use serde_json::{Map, Value, json};

use super::{mirror::Mirror, patch::difference, trim::trim};
use crate::{CreateError, DeleteError, GetError, Key, Object, Preconditions, UpdateError, kind};

/// Nobody waits longer for an answer; whether the write happened is then seen by the watch.
const LIMIT: Duration = Duration::from_secs(10);

/// Who writes, as the server records it.
const MANAGER: &str = "herald";

/// Writes objects of one kind.
pub(crate) struct Writing<K> {
    client: Client,
    /// Where what was written is shown, if the kind is followed.
    mirror: Option<Arc<Mirror<K>>>,
    kind: PhantomData<fn() -> K>,
}

/// Which part of an object is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Spec,
    Status,
}

impl<K: Object> Writing<K> {
    pub(crate) fn new(client: Client, mirror: Option<Arc<Mirror<K>>>) -> Self {
        Self { client, mirror, kind: PhantomData }
    }

    pub(crate) async fn create(self, mut object: K) -> Result<K, CreateError> {
        let (key, what) = (kind::normal_key(&object), kind::describe(&object));
        object.meta_mut().namespace = Some(key.namespace.clone()).filter(|namespace| !namespace.is_empty());
        object.meta_mut().resource_version = None;
        object.meta_mut().uid = None;
        let problems = kind::all_problems(&object);
        if !problems.is_empty() {
            return Err(CreateError::Invalid { object: what, problems });
        }
        let failed = |source: kube::Error| CreateError::Server { object: what.clone(), source: Box::new(source) };
        let tree = without_status(&object).map_err(|error| failed(kube::Error::SerdeError(error)))?;
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let request = requests::<K>(&key).create(&params, tree.to_string().into_bytes());
        match self.send(request).await {
            Ok(created) => Ok(self.shown(created)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Err(CreateError::AlreadyExists(what)),
            Err(kube::Error::Api(status)) if is_terminating(&status) => Err(CreateError::Terminating(what)),
            Err(source) => Err(failed(source)),
        }
    }

    pub(crate) async fn update(self, object: K) -> Result<K, UpdateError> {
        let problems = kind::all_problems(&object);
        if !problems.is_empty() {
            return Err(UpdateError::Invalid { object: kind::describe(&object), problems });
        }
        self.patch(object, Part::Spec).await
    }

    pub(crate) async fn write_status(self, object: K) -> Result<K, UpdateError> {
        let problems = kind::problems(&object);
        if !problems.is_empty() {
            return Err(UpdateError::Invalid { object: kind::describe(&object), problems });
        }
        self.patch(object, Part::Status).await
    }

    pub(crate) async fn delete(self, key: Key, judged: Preconditions) -> Result<(), DeleteError> {
        let what = format!("{} {key}", K::kind(&()));
        let preconditions = Judged {
            uid: Some(judged.uid.clone()).filter(|uid| !uid.is_empty()),
            resource_version: Some(judged.resource_version).filter(|version| !version.is_empty()),
        };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let failed = |source: kube::Error| DeleteError::Server { object: what.clone(), source: Box::new(source) };
        let request = requests::<K>(&key).delete(&key.name, &params).map_err(|error| failed(build(error)))?;
        match within(self.client.request_status::<K>(request)).await {
            // Finalizers hold it.
            Ok(Either::Left(object)) if object.meta().deletion_timestamp.is_some() => drop(self.shown(object)),
            Ok(Either::Left(_) | Either::Right(_)) => {
                if let Some(mirror) = &self.mirror {
                    mirror.deleted(&key, &judged.uid);
                }
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => return Err(DeleteError::NotFound(what)),
            Err(kube::Error::Api(status)) if status.is_conflict() => return Err(DeleteError::Conflict(what)),
            Err(source) => return Err(failed(source)),
        }
        Ok(())
    }

    pub(crate) async fn get(self, key: &Key) -> Result<Option<K>, GetError> {
        match self.live(key).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(source) => {
                let object = format!("{} {key}", K::kind(&()));
                Err(GetError::Server { object, source: Box::new(source) })
            }
        }
    }

    async fn patch(self, object: K, part: Part) -> Result<K, UpdateError> {
        let (key, what) = (kind::normal_key(&object), kind::describe(&object));
        let failed = |source: kube::Error| UpdateError::Server { object: what.clone(), source: Box::new(source) };
        let judged = object.meta().resource_version.clone();
        let known = self.mirror.as_ref().and_then(|mirror| mirror.get(&key));
        let base = match known {
            Some(known) => known,
            None => match self.live(&key).await {
                Ok(live) => Arc::new(live),
                Err(kube::Error::Api(status)) if status.is_not_found() => return Err(UpdateError::NotFound(what)),
                Err(source) => return Err(failed(source)),
            },
        };
        // A status without a version is written whatever there is.
        let any = judged.is_none() && part == Part::Status;
        if !any && judged != base.meta().resource_version {
            return Err(UpdateError::Conflict(what));
        }
        let trees = tree(&*base, part).and_then(|old| Ok((old, tree(&object, part)?)));
        let (old, new) = trees.map_err(|error| failed(kube::Error::SerdeError(error)))?;
        let Some(mut patch) = difference(&old, &new) else { return Ok((*base).clone()) };
        if !any {
            patch["metadata"]["resourceVersion"] = json!(judged);
        }
        patch["metadata"]["uid"] = json!(base.meta().uid);
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let requests = requests::<K>(&key);
        let request = match part {
            Part::Spec => requests.patch(&key.name, &params, &Patch::Merge(&patch)),
            Part::Status => requests.patch_subresource("status", &key.name, &params, &Patch::Merge(&patch)),
        };
        match self.send(request).await {
            Ok(written) => Ok(self.shown(written)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Err(UpdateError::NotFound(what)),
            Err(kube::Error::Api(status)) if status.is_conflict() => Err(UpdateError::Conflict(what)),
            Err(source) => Err(failed(source)),
        }
    }

    async fn live(&self, key: &Key) -> Result<K, kube::Error> {
        let request = requests::<K>(key).get(&key.name, &GetParams::default()).map_err(build)?;
        let mut object: K = within(self.client.request(request)).await?;
        trim(&mut object);
        Ok(object)
    }

    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<K, kube::Error> {
        let request = request.map_err(build)?;
        within(self.client.request(request)).await
    }

    /// What the server made of it, in the listings from now on.
    fn shown(&self, mut object: K) -> K {
        match &self.mirror {
            Some(mirror) => (*mirror.written(object)).clone(),
            None => {
                trim(&mut object);
                object
            }
        }
    }
}

/// The requests for objects of a kind, in the namespace of `key` if it has one.
fn requests<K: Object>(key: &Key) -> Request {
    let namespace = Some(key.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    Request::new(K::url_path(&(), namespace))
}

/// What of an object a writer may change: all but what the server sets itself.
fn tree<K: Object>(object: &K, part: Part) -> serde_json::Result<Value> {
    let mut tree = serde_json::to_value(object)?;
    let Some(fields) = tree.as_object_mut() else { return Ok(tree) };
    match part {
        // An API server takes annotations with the status of a Service, and MetalLB writes its own so.
        Part::Status if TypeId::of::<K>() == TypeId::of::<Service>() => {
            fields.retain(|name, _| ["metadata", "status"].contains(&name.as_str()));
            retain(fields, &["annotations"]);
        }
        Part::Status => fields.retain(|name, _| name == "status"),
        Part::Spec => {
            fields.remove("status");
            retain(fields, &["labels", "annotations"]);
        }
    }
    Ok(tree)
}

/// Of the metadata what may be written.
fn retain(fields: &mut Map<String, Value>, names: &[&str]) {
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| names.contains(&name.as_str()));
    }
}

fn without_status<K: Object>(object: &K) -> serde_json::Result<Value> {
    let mut tree = serde_json::to_value(object)?;
    if let Some(fields) = tree.as_object_mut() {
        fields.remove("status");
    }
    Ok(tree)
}

pub(super) async fn within<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = || kube::Error::Service(format!("no answer within {LIMIT:?}").into());
    tokio::time::timeout(LIMIT, request).await.unwrap_or_else(|_late| Err(late()))
}

fn build(error: kube::core::request::Error) -> kube::Error {
    kube::Error::BuildRequest(error)
}

/// Kubernetes, NamespaceLifecycle admission: nothing is created in a namespace that is being deleted.
fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}
