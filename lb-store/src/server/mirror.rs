//! The newest known state of one kind: what the watch brought, and what was written here and the watch has yet to bring.
//!
//! Invariants:
//! * An object never goes back to an older version. Versions of one resource grow as numbers (Kubernetes 1.35, API
//!   concepts: resource versions are comparable; the same held before, for etcd's revisions are numbers).
//! * A uid that was deleted, here or as the watch says, does not come back, whatever is still on its way.
//! * A list replaces everything but what was written here since it began: the list may be older than that. What only the
//!   write vouches for has to be looked at ([`Mirror::take`] says what), for nothing will report its end.
//! * An object that does not decode any more stays as it was last good.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use imbl::OrdMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, runtime::watcher::Event};
use lb_api::Problem;
use tokio::sync::watch;

use super::{Troubles, ended::Ended, guarded::Guarded, trim::trim};
use crate::{Effect, Key, Listing, Object, Rejection, decode::Undecodable, kind};

/// See the module.
pub(crate) struct Mirror<K> {
    state: Mutex<State<K>>,
    shown: watch::Sender<Arc<Listing<K>>>,
    troubles: Arc<Troubles>,
}

struct State<K> {
    objects: OrdMap<Key, Arc<K>>,
    /// The versions of what the server holds in place of objects that cannot be used.
    bad: BTreeMap<Key, Option<u64>>,
    /// Uids that were deleted here and that the watch has not reported as deleted.
    deleted: HashSet<String>,
    /// Uids that the watch has reported as deleted.
    ended: Ended,
    /// A list that is being read.
    list: Option<List<K>>,
    synced: bool,
    /// What followers must be woken for.
    news: bool,
    /// What they must see when they look, though it is no news.
    stale: bool,
}

struct List<K> {
    objects: HashMap<Key, Guarded<K>>,
    /// Written here, or read by quorum, since the list began.
    written: BTreeSet<Key>,
}

impl<K: Object> Mirror<K> {
    pub(crate) fn new(troubles: Arc<Troubles>) -> Self {
        let state = State {
            objects: OrdMap::new(),
            bad: BTreeMap::new(),
            deleted: HashSet::new(),
            ended: Ended::default(),
            list: None,
            synced: false,
            news: false,
            stale: false,
        };
        Self { state: Mutex::new(state), shown: watch::channel(Arc::default()).0, troubles }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Listing<K>>> {
        self.shown.subscribe()
    }

    /// The object as it is known, whether followers were shown it or not.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.lock().objects.get(key).cloned()
    }

    /// Takes what the watch brings. Followers see it with [`Mirror::show`]. Gives the objects to look at: they were
    /// written here while a list was read, and are not in it.
    pub(crate) fn take(&self, event: Event<Guarded<K>>) -> Vec<Arc<K>> {
        let state = &mut *self.lock();
        match event {
            Event::Init => state.list = Some(List { objects: HashMap::new(), written: BTreeSet::new() }),
            Event::InitApply(object) => {
                if let Some(list) = &mut state.list {
                    list.objects.insert(Key::of(&object), object);
                }
            }
            Event::InitDone => return self.replace(state),
            Event::Apply(object) => self.put(state, object),
            Event::Delete(object) => self.remove(state, object.meta()),
        }
        Vec::new()
    }

    /// A look found that the object, of which nobody else knows the end, is not there.
    pub(crate) fn vanished(&self, object: &K) {
        self.remove(&mut self.lock(), object.meta());
        self.show();
    }

    /// Takes what a quorum read brought. Followers see it with [`Mirror::show`].
    pub(crate) fn read(&self, object: Guarded<K>) {
        let state = &mut *self.lock();
        if let Some(list) = &mut state.list {
            list.written.insert(Key::of(&object));
        }
        self.put(state, object);
    }

    /// Takes what a write returned, and shows it.
    pub(crate) fn written(&self, mut object: K) -> Arc<K> {
        trim(&mut object);
        let key = Key::of(&object);
        let object = Arc::new(object);
        {
            let state = &mut *self.lock();
            if let Some(list) = &mut state.list {
                list.written.insert(key.clone());
            }
            self.put_good(state, key, Arc::clone(&object));
        }
        self.show();
        object
    }

    /// An object was deleted here: it is gone for followers too.
    pub(crate) fn deleted(&self, key: &Key, uid: &str) {
        {
            let state = &mut *self.lock();
            if !state.ended.contains(Some(uid)) {
                state.deleted.insert(uid.to_owned());
            }
            if state.objects.get(key).is_some_and(|object| object.meta().uid.as_deref() == Some(uid)) {
                state.objects.remove(key);
                state.news = true;
            }
        }
        self.show();
    }

    /// Shows followers the present state, once the first list is complete.
    pub(crate) fn show(&self) {
        let state = &mut *self.lock();
        if !state.synced || !(state.news || state.stale) {
            return;
        }
        let wake = std::mem::take(&mut state.news);
        state.stale = false;
        let doubtful = state.bad.keys().filter(|key| !state.objects.contains_key(*key)).cloned().collect();
        let listing = Listing { objects: state.objects.clone(), digest: Arc::from(""), synced: true, doubtful };
        self.shown.send_if_modified(|shown| {
            *shown = Arc::new(listing);
            wake
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, state: &mut State<K>) -> Vec<Arc<K>> {
        let Some(List { objects, written }) = state.list.take() else { return Vec::new() };
        let is_gone = |key: &&Key| !objects.contains_key(*key) && !written.contains(*key);
        let gone: Vec<Key> = state.objects.keys().chain(state.bad.keys()).filter(is_gone).cloned().collect();
        for key in gone {
            self.forget(state, &key);
        }
        let listed: HashSet<&str> = objects.values().filter_map(|object| object.meta().uid.as_deref()).collect();
        state.deleted.retain(|uid| listed.contains(uid.as_str()));
        let names: HashSet<Key> = objects.keys().cloned().collect();
        for object in objects.into_values() {
            self.put(state, object);
        }
        state.synced = true;
        state.news = true;
        let unlisted = written.iter().filter(|key| !names.contains(*key));
        unlisted.filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    fn put(&self, state: &mut State<K>, guarded: Guarded<K>) {
        let (key, version) = (Key::of(&guarded), version(guarded.meta()));
        if guarded.meta().uid.as_ref().is_some_and(|uid| state.deleted.contains(uid))
            || state.ended.contains(guarded.meta().uid.as_deref())
        {
            return;
        }
        let known = state.objects.get(&key).map(|object| (self::version(object.meta()), object.meta().uid.clone()));
        let is_older = |known: Option<u64>| known.zip(version).is_some_and(|(known, version)| version < known);
        if known.as_ref().is_some_and(|(known, _)| is_older(*known))
            || state.bad.get(&key).is_some_and(|bad| is_older(*bad))
        {
            return;
        }
        let uid = guarded.meta().uid.clone();
        let checked = guarded.object.map_err(problem).and_then(|object| check(object, &key));
        match checked {
            Ok((object, partly)) => {
                self.put_good(state, key.clone(), Arc::new(object));
                self.complain(&key, &partly, Effect::Partly);
            }
            Err(problems) => {
                // What it was before it was made again under the same name is no last good state of it.
                if known.is_some_and(|(_, known)| known != uid) {
                    state.objects.remove(&key);
                    state.news = true;
                }
                let effect = if state.objects.contains_key(&key) { Effect::LastGood } else { Effect::Unused };
                self.complain(&key, &problems, effect);
                state.news |= state.bad.insert(key, version).is_none();
            }
        }
    }

    fn put_good(&self, state: &mut State<K>, key: Key, object: Arc<K>) {
        if state.ended.contains(object.meta().uid.as_deref()) {
            return;
        }
        if state.bad.remove(&key).is_some() {
            state.news = true;
        }
        let before = state.objects.get(&key).map(Arc::clone);
        if before.as_ref().is_some_and(|before| version(before.meta()) > version(object.meta())) {
            return;
        }
        let is_news = before.is_none_or(|before| differs(&*before, &*object));
        state.news |= is_news;
        state.stale = true;
        state.objects.insert(key, object);
    }

    fn remove(&self, state: &mut State<K>, metadata: &ObjectMeta) {
        let key = Key::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
        if let Some(uid) = &metadata.uid {
            state.deleted.remove(uid);
            state.ended.insert(uid);
        }
        // A later object of the same name may have been written here before the watch reports its predecessor's end.
        let known = state.objects.get(&key).and_then(|object| object.meta().uid.as_deref());
        if known.is_none_or(|known| Some(known) == metadata.uid.as_deref()) {
            self.forget(state, &key);
        }
    }

    fn forget(&self, state: &mut State<K>, key: &Key) {
        let was_bad = state.bad.remove(key).is_some();
        let was_there = state.objects.remove(key).is_some();
        state.news |= was_bad || was_there;
        self.troubles.set(&K::kind(&()), key, Vec::new());
    }

    fn complain(&self, key: &Key, problems: &[Problem], effect: Effect) {
        let kind = K::kind(&()).into_owned();
        let rejection = |problem: &Problem| Rejection {
            file: PathBuf::new(),
            line: 0,
            kind: Some(kind.clone()),
            object: Some(key.to_string()),
            field: problem.field.clone(),
            message: problem.message.clone(),
            effect,
        };
        self.troubles.set(&kind, key, problems.iter().map(rejection).collect());
    }
}

/// Validates and trims, as every back end does: a rule that the server's schema does not carry holds all the same.
fn check<K: Object>(mut object: K, key: &Key) -> Result<(K, Vec<Problem>), Vec<Problem>> {
    debug_assert_eq!(Key::of(&object), *key, "the name does not depend on the decoding");
    let any: &dyn Any = &object;
    let problems = kind::problems(any);
    match problems.is_empty() {
        true => {
            let partly = kind::partly(any);
            trim(&mut object);
            Ok((object, partly))
        }
        false => Err(problems),
    }
}

fn problem(undecodable: Undecodable) -> Vec<Problem> {
    vec![Problem { field: undecodable.field, message: undecodable.message }]
}

/// Whether anything differs but the version.
fn differs<K: Object>(before: &K, after: &K) -> bool {
    let mut before = before.clone();
    before.meta_mut().resource_version.clone_from(&after.meta().resource_version);
    before != *after
}

fn version(metadata: &ObjectMeta) -> Option<u64> {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok())
}

#[cfg(test)]
mod tests;
