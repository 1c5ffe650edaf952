//! The operations of the store contract on the store's thread.
//!
//! Every operation first reads again what it is about to judge: another process may have written since.

use std::{io, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lb_api::Problem;
use serde_json::{Value, json};

use super::{
    Writer,
    cache::{Overlay, TypedCache, digests},
    layout,
    reader::Id,
    state::State,
};
use crate::{
    CreateError, DeleteError, Key, Object, Preconditions, UpdateError,
    decode::{Undecodable, decode},
    digest,
    document::Document,
    kind::{self, Checked},
};

/// An object that a caller gave, ready to be written.
struct Prepared<K> {
    id: Id,
    object: K,
    checked: Checked,
}

impl State {
    pub(crate) fn create<K: Object>(&mut self, object: &K) -> Result<K, CreateError> {
        let what = kind::describe(object);
        if self.writer == Writer::None {
            return Err(CreateError::ReadOnly(what));
        }
        let prepared = self.prepare(object, 1, Some(Time(now())));
        let Prepared { id, object, .. } =
            prepared.map_err(|problems| CreateError::Invalid { object: what.clone(), problems })?;
        self.refresh::<K>(&id);
        if self.owners.contains_key(&id) {
            return Err(CreateError::AlreadyExists(what));
        }
        let path = layout::object(&self.kinds[id.0].plural, &id.1);
        let failed = |source| CreateError::Io { object: what.clone(), source };
        match self.pen.create(&self.root.join(&path), &text(&object).map_err(failed)?) {
            // A name that is taken is taken, whatever is in the file.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(CreateError::AlreadyExists(what)),
            written => written.map_err(failed)?,
        }
        self.read(&path, false);
        self.held::<K>(&id.1).ok_or_else(|| failed(io::Error::other("it is not there after it was written")))
    }

    pub(crate) fn update<K: Object>(&mut self, object: &K) -> Result<K, UpdateError> {
        let what = kind::describe(object);
        let problem = |problems| UpdateError::Invalid { object: what.clone(), problems };
        let prepared = self.prepare(object, 1, None).map_err(problem)?;
        let id = prepared.id;
        self.refresh::<K>(&id);
        let (stored, spec) = self.stored::<K>(&id.1).ok_or_else(|| UpdateError::NotFound(what.clone()))?;
        self.may_write(&id).map_err(|reason| UpdateError::NotOurs { object: what.clone(), reason })?;
        if object.meta().resource_version != stored.meta().resource_version {
            return Err(UpdateError::Conflict(what));
        }
        let changed = digests(prepared.checked.tree).spec != spec;
        let generation = stored.meta().generation.unwrap_or(1) + i64::from(changed);
        let created = stored.meta().creation_timestamp.clone();
        let object = self.prepare(object, generation, created).map_err(problem)?.object;
        let path = layout::object(&self.kinds[id.0].plural, &id.1);
        let failed = |source| UpdateError::Io { object: what.clone(), source };
        self.pen.replace(&self.root.join(&path), &text(&object).map_err(failed)?).map_err(failed)?;
        self.read(&path, false);
        self.held::<K>(&id.1).ok_or_else(|| failed(io::Error::other("it is not there after it was written")))
    }

    pub(crate) fn write_status<K: Object>(&mut self, object: &K) -> Result<K, UpdateError> {
        let what = kind::describe(object);
        let id = (self.kind::<K>(), kind::normal_key(object));
        self.refresh::<K>(&id);
        let (stored, _) = self.stored::<K>(&id.1).ok_or_else(|| UpdateError::NotFound(what.clone()))?;
        let Some(folder) = layout::status_folder(&self.writer) else {
            let reason = "the store is open for reading only".into();
            return Err(UpdateError::NotOurs { object: what, reason });
        };
        let judged = &object.meta().resource_version;
        if judged.is_some() && *judged != stored.meta().resource_version {
            return Err(UpdateError::Conflict(what));
        }
        let failed = |source| UpdateError::Io { object: what.clone(), source };
        let status = status_of(object).map_err(failed)?;
        if status == status_of(&*stored).map_err(failed)? {
            return Ok((*stored).clone());
        }
        let problems = kind::problems(object);
        if !problems.is_empty() {
            return Err(UpdateError::Invalid { object: what, problems });
        }
        let created = self.created(&id);
        let newest = self.statuses.get(&id).into_iter().flat_map(|all| all.values().map(|one| one.version)).max();
        let version = newest.unwrap_or_default() + 1;
        let writer = String::new();
        let overlay = Overlay { version, writer: writer.into(), created, status: status.to_string().into() };
        let path = layout::status(&folder, &self.kinds[id.0].plural, &id.1);
        let text = status_text(&self.kinds[id.0].api_version(), &K::kind(&()), &id.1, &overlay, &status);
        self.pen.replace(&self.root.join(&path), &text.map_err(failed)?).map_err(failed)?;
        self.read(&path, false);
        self.held::<K>(&id.1).ok_or_else(|| failed(io::Error::other("it is not there after it was written")))
    }

    pub(crate) fn delete<K: Object>(&mut self, key: &Key, judged: &Preconditions) -> Result<(), DeleteError> {
        let what = format!("{} {key}", K::kind(&()));
        let id = (self.kind::<K>(), key.clone());
        self.refresh::<K>(&id);
        let (stored, _) = self.stored::<K>(key).ok_or_else(|| DeleteError::NotFound(what.clone()))?;
        self.may_write(&id).map_err(|reason| DeleteError::NotOurs { object: what.clone(), reason })?;
        if Preconditions::of(&*stored) != *judged {
            return Err(DeleteError::Conflict(what));
        }
        let path = layout::object(&self.kinds[id.0].plural, key);
        std::fs::remove_file(self.root.join(&path)).map_err(|source| DeleteError::Io { object: what, source })?;
        self.read(&path, false);
        self.clear_gone();
        Ok(())
    }

    pub(crate) fn get<K: Object>(&mut self, key: &Key) -> Option<K> {
        let id = (self.kind::<K>(), key.clone());
        self.refresh::<K>(&id);
        self.held::<K>(key)
    }

    /// The object as it will be written: checked, with what a server adds, without a status.
    fn prepare<K: Object>(
        &mut self,
        object: &K,
        generation: i64,
        created: Option<Time>,
    ) -> Result<Prepared<K>, Vec<Problem>> {
        let id = (self.kind::<K>(), kind::normal_key(object));
        let kind = &self.kinds[id.0];
        if let Some(problem) = kind.name_problem(&id.1) {
            return Err(vec![problem]);
        }
        let mut object = object.clone();
        let metadata = object.meta_mut();
        metadata.namespace = kind.namespaced.then(|| id.1.namespace.clone());
        metadata.uid = Some(digest::uid(&kind.kind, &id.1));
        metadata.resource_version = None;
        metadata.managed_fields = None;
        metadata.generation = Some(generation);
        metadata.creation_timestamp = created;
        let broken = |message: String| vec![Problem { field: String::new(), message }];
        let mut tree = serde_json::to_value(&object).map_err(|error| broken(error.to_string()))?;
        if let Value::Object(fields) = &mut tree {
            fields.remove("status");
        }
        let text = tree.to_string();
        let document = Document { line: 1, text: &text };
        let checked = (kind.check)(&document, tree.clone(), &id.1).map_err(|faults| {
            faults.into_iter().map(|fault| Problem { field: fault.field, message: fault.message }).collect::<Vec<_>>()
        })?;
        let object = decode(tree).map_err(|Undecodable { field, message }| vec![Problem { field, message }])?;
        Ok(Prepared { id, object, checked })
    }

    /// Reads an object's own file and its statuses again. A kind that nobody follows is followed from now on.
    fn refresh<K: Object>(&mut self, id: &Id) {
        self.typed::<K>();
        let plural = &self.kinds[id.0].plural;
        let mut paths: Vec<PathBuf> = vec![layout::object(plural, &id.1)];
        paths.extend(self.statuses.get(id).into_iter().flat_map(|all| all.keys().map(|path| path.to_path_buf())));
        for path in paths {
            self.read(&path, false);
        }
        while self.read_next() {}
    }

    fn may_write(&self, id: &Id) -> Result<(), String> {
        if let Some(owner) = self.owner(id).filter(|owner| owner.by_user) {
            return Err(format!("it stands in {}, which only its user changes", owner.path.display()));
        }
        match &self.writer {
            Writer::Controller => Ok(()),
            Writer::Agent(node) if *node == id.1.name => Ok(()),
            Writer::Agent(node) => Err(format!("the agent of {node} writes only what bears the name of its node")),
            Writer::None => Err("the store is open for reading only".into()),
        }
    }

    fn typed<K: Object>(&mut self) -> Option<&mut TypedCache<K>> {
        self.follow::<K>()?;
        while self.read_next() {}
        self.follow::<K>()
    }

    fn stored<K: Object>(&mut self, key: &Key) -> Option<(Arc<K>, u128)> {
        self.typed::<K>()?.get(key).map(|held| (Arc::clone(&held.object), held.spec))
    }

    fn held<K: Object>(&mut self, key: &Key) -> Option<K> {
        self.stored::<K>(key).map(|(object, _)| (*object).clone())
    }
}

/// Times are kept to the second, as Kubernetes does.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Herald's own files are JSON, which is YAML too: an agent reads 10,000 of them at its start, and a YAML parser takes
/// twenty times as long.
fn text<T: serde::Serialize>(value: &T) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn status_of<K: Object>(object: &K) -> io::Result<Value> {
    let mut tree = serde_json::to_value(object)?;
    Ok(tree.get_mut("status").map(Value::take).unwrap_or_default())
}

fn status_text(api_version: &str, kind: &str, key: &Key, overlay: &Overlay, status: &Value) -> io::Result<String> {
    let mut metadata = json!({ "name": key.name, "resourceVersion": overlay.version.to_string() });
    if !key.namespace.is_empty() {
        metadata["namespace"] = json!(key.namespace);
    }
    if let Some(created) = &overlay.created {
        metadata["creationTimestamp"] = json!(created);
    }
    text(&json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "status": status }))
}
