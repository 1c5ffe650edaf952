//! The objects of one kind as their followers see them: document, status and what a server adds, made into one.
//!
//! Invariant: an object's `resourceVersion` is a digest of all of it, its generation and its status's version
//! included, so it changes whenever anything does and is the same in every process that sees the same files.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::OrdMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    Key, Listing, Object,
    decode::{Undecodable, decode},
    digest,
    kind::Checked,
};

/// A status that Herald wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlay {
    /// Counts the writes of an object's status over all writers; the highest is the newest.
    pub(crate) version: u64,
    /// Who wrote it; of two equal versions the greater name counts, so that all readers agree.
    pub(crate) writer: Box<str>,
    /// The creation time of the object it was written for, where that tells a re-created object from its predecessor.
    pub(crate) created: Option<String>,
    /// The status as JSON text.
    pub(crate) status: Box<str>,
}

/// What a server would have put in an object's metadata.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) generation: i64,
    pub(crate) created: Option<Time>,
}

/// Where an object's facts come from, given the digest of its spec.
pub(crate) type FactsOf<'a> = dyn FnMut(u128, &ObjectMeta) -> Facts + 'a;

/// The caches of all kinds look alike to the store's thread.
pub(crate) trait Cache: Send {
    /// Takes an object from its document.
    fn put(&mut self, key: &Key, checked: Checked, overlay: Option<&Overlay>, facts: &mut FactsOf<'_>);
    /// Puts another status on an object, or with `None` the one of its document.
    fn restatus(&mut self, key: &Key, overlay: Option<&Overlay>);
    /// An object's creation time as it is written.
    fn created(&self, key: &Key) -> Option<String>;
    /// Drops an object.
    fn remove(&mut self, key: &Key);
    /// Shows followers the present state, if it differs from the last one shown.
    fn publish(&mut self, digest: &Arc<str>, doubtful: BTreeSet<Key>);
    /// A [`TypedCache`].
    fn as_any(&mut self) -> &mut dyn Any;
}

/// The cache of kind `K`.
pub(crate) struct TypedCache<K> {
    objects: BTreeMap<Key, Held<K>>,
    /// The objects alone, as the next listing shows them.
    listed: OrdMap<Key, Arc<K>>,
    sender: watch::Sender<Arc<Listing<K>>>,
    changed: bool,
}

/// One object and what is needed to put another status on it.
pub(crate) struct Held<K> {
    pub(crate) object: Arc<K>,
    /// The digest of everything but metadata and status.
    pub(crate) spec: u128,
    /// The digest of everything but status and what [`Facts`] hold.
    base: u128,
    /// The status in the document.
    own_status: Option<Box<Value>>,
}

impl<K> Default for TypedCache<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            listed: OrdMap::new(),
            sender: watch::channel(Arc::default()).0,
            changed: false,
        }
    }
}

impl<K: Object> TypedCache<K> {
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Listing<K>>> {
        self.sender.subscribe()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Held<K>> {
        self.objects.get(key)
    }
}

impl<K: Object> Cache for TypedCache<K> {
    fn put(&mut self, key: &Key, checked: Checked, overlay: Option<&Overlay>, facts: &mut FactsOf<'_>) {
        let Ok(mut object) = checked.object.downcast::<K>() else { return };
        let Digests { spec, base, own_status } = digests(checked.tree);
        let found = facts(spec, object.meta());
        *object.meta_mut() = ObjectMeta {
            uid: Some(digest::uid(&K::kind(&()), key)),
            generation: Some(found.generation),
            creation_timestamp: found.created,
            managed_fields: None,
            self_link: None,
            ..std::mem::take(object.meta_mut())
        };
        let own_status = (!own_status.is_null()).then(|| Box::new(own_status));
        let mut held = Held { object: Arc::new(*object), spec, base, own_status };
        held.seal(overlay, overlay.is_some());
        if self.objects.get(key).is_none_or(|old| old.object != held.object) {
            self.changed = true;
            self.listed.insert(key.clone(), Arc::clone(&held.object));
        }
        self.objects.insert(key.clone(), held);
    }

    fn restatus(&mut self, key: &Key, overlay: Option<&Overlay>) {
        if let Some(held) = self.objects.get_mut(key) {
            let before = Arc::clone(&held.object);
            held.seal(overlay, true);
            if before != held.object {
                self.changed = true;
                self.listed.insert(key.clone(), Arc::clone(&held.object));
            }
        }
    }

    fn created(&self, key: &Key) -> Option<String> {
        let created = self.objects.get(key)?.object.meta().creation_timestamp.as_ref()?;
        serde_json::to_value(created).ok()?.as_str().map(str::to_owned)
    }

    fn remove(&mut self, key: &Key) {
        self.changed |= self.objects.remove(key).is_some();
        self.listed.remove(key);
    }

    fn publish(&mut self, digest: &Arc<str>, doubtful: BTreeSet<Key>) {
        let shown = Arc::clone(&self.sender.borrow());
        if !self.changed && shown.synced && shown.digest == *digest && shown.doubtful == doubtful {
            return;
        }
        self.changed = false;
        let objects = self.listed.clone();
        self.sender.send_replace(Arc::new(Listing { objects, digest: Arc::clone(digest), synced: true, doubtful }));
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl<K: Object> Held<K> {
    /// Puts the status on, if it is another than the object has, and the version of the whole.
    fn seal(&mut self, overlay: Option<&Overlay>, restatus: bool) {
        let mut object = (*self.object).clone();
        let status = match overlay {
            Some(overlay) => serde_json::from_str(&overlay.status).unwrap_or(Value::Null),
            None => self.own_status.as_deref().cloned().unwrap_or_default(),
        };
        let mark = overlay.map_or(String::new(), |overlay| format!("{} {}", overlay.version, overlay.writer));
        if restatus {
            match with_status(&object, &status) {
                Ok(whole) => object = whole,
                Err(Undecodable { field, message }) => {
                    let name = Key::of(&object);
                    tracing::warn!(kind = %K::kind(&()), %name, field, message, "ignore a status that does not decode");
                }
            }
        }
        let generation = object.meta().generation.unwrap_or_default();
        let created = object.meta().creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        let whole = format!("{:032x} {generation} {created} {mark} {status}", self.base);
        object.meta_mut().resource_version = Some(format!("{:016x}", digest::bytes(whole.as_bytes()) >> 64));
        self.object = Arc::new(object);
    }
}

fn with_status<K: Object>(object: &K, status: &Value) -> Result<K, Undecodable> {
    let whole = |error: serde_json::Error| Undecodable { field: String::new(), message: error.to_string() };
    let mut tree = serde_json::to_value(object).map_err(whole)?;
    if let Value::Object(fields) = &mut tree {
        fields.remove("status");
        if !status.is_null() {
            fields.insert("status".into(), status.clone());
        }
    }
    decode(tree)
}

/// An object's tree in parts.
pub(crate) struct Digests {
    pub(crate) spec: u128,
    pub(crate) base: u128,
    pub(crate) own_status: Value,
}

/// What the facts replace, and what differs without meaning anything.
const VOLATILE: [&str; 6] = ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];

/// Takes a tree apart into spec, metadata and status.
pub(crate) fn digests(mut tree: Value) -> Digests {
    let (mut own_status, mut metadata) = (Value::Null, Value::Null);
    if let Value::Object(fields) = &mut tree {
        own_status = fields.remove("status").unwrap_or_default();
        metadata = fields.remove("metadata").unwrap_or_default();
    }
    if let Value::Object(fields) = &mut metadata {
        fields.retain(|name, _| !VOLATILE.contains(&name.as_str()));
    }
    let spec = digest::value(&tree);
    Digests { spec, base: digest::bytes(format!("{spec:032x} {metadata}").as_bytes()), own_status }
}
