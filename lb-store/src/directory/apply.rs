//! From a file's content to objects: what is new, what stays as it was last good, what is gone.
//!
//! In doubt an object stays. A document that cannot be used keeps the object it held before; one that does not even
//! tell what it is keeps every object of its file that is not there any more, since it may be any of them.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::Value;

use super::{
    cache::Facts,
    layout::{self, Place},
    reader::{self, Found, Id},
    state::{File, Source, State},
};
use crate::{Effect, Rejection, digest, kind::Checked};

/// A document that cannot be used, on its way to a rejection.
struct Bad {
    kind: Option<String>,
    object: Option<String>,
    line: u32,
    field: String,
    message: String,
}

impl Bad {
    fn into_rejection(self, path: &Path, effect: Effect) -> Rejection {
        let Self { kind, object, line, field, message } = self;
        Rejection { file: path.to_owned(), line, kind, object, field, message, effect }
    }
}

impl State {
    pub(crate) fn read_manifest(&mut self, path: &Path, by_user: bool, forced: bool) {
        let content = match std::fs::read(self.root.join(path)) {
            Err(error) if is_gone(&error) => return self.vanish(path, by_user),
            content => content,
        };
        let name = path.to_string_lossy();
        let digest = content.as_ref().map_or(0, |content| digest::file(&name, content));
        let old = self.files.get(path).map(|file| file.digest);
        if old == Some(digest) && digest != 0 && !forced {
            return;
        }
        if by_user {
            self.digest ^= old.unwrap_or_default() ^ digest;
        }
        self.stale = true;
        let text = content
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|content| String::from_utf8(content).map_err(|error| format!("is not UTF-8 text: {error}")));
        let found = match text {
            Ok(text) => reader::read(&self.kinds, &text),
            Err(message) => {
                let faults = vec![crate::document::Fault { line: 0, field: String::new(), message }];
                vec![Found::Bad { id: None, kind: None, object: None, faults }]
            }
        };
        self.apply(path, by_user, digest, found);
    }

    fn vanish(&mut self, path: &Path, by_user: bool) {
        if let Some((path, mut file)) = self.files.remove_entry(path) {
            self.troubled.remove(&path);
            if by_user {
                self.digest ^= file.digest;
            }
            self.stale = true;
            let objects = std::mem::take(&mut file.objects);
            for id in objects.into_keys() {
                self.release(id, &path, by_user);
            }
            let doubts = file.into_doubts();
            self.settle_doubts(doubts);
        }
    }

    fn apply(&mut self, path: &Path, by_user: bool, digest: u128, found: Vec<Found>) {
        let (path, old) = self.files.remove_entry(path).unwrap_or_else(|| (self.tree.shared(path), File::default()));
        let mut new = File { digest, ..File::default() };
        let mut good: Vec<(Id, u32, Checked)> = Vec::new();
        let (mut named, mut nameless) = (Vec::new(), Vec::new());
        for found in found {
            match found {
                Found::Good { id, line, checked } if !new.objects.contains_key(&id) => {
                    new.objects.insert(id.clone(), line);
                    good.push((id, line, checked));
                }
                Found::Good { id, line, .. } => {
                    let first = new.objects.get(&id).copied().unwrap_or_default();
                    let message = format!("stands in this file twice: line {first} is used; remove one of them");
                    new.trouble().rejections.push(self.duplicate(&id, &path, line, message));
                }
                Found::Bad { id, kind, object, faults } => {
                    let bad = faults.into_iter().map(|fault| Bad {
                        kind: kind.clone(),
                        object: object.clone(),
                        line: fault.line,
                        field: fault.field,
                        message: fault.message,
                    });
                    match id {
                        Some(id) => named.extend(bad.map(|bad| (id.clone(), bad))),
                        None => nameless.extend(bad),
                    }
                }
            }
        }
        self.keep_last_good(&path, &old, &mut new, named, nameless);
        self.take_over(&path, by_user, &old, &mut new, good);
        new.trouble = new.trouble.filter(|trouble| !trouble.is_empty());
        if new.trouble.is_none() {
            self.troubled.remove(&path);
        } else {
            self.troubled.insert(Arc::clone(&path));
        }
        self.files.insert(path, new);
        self.settle_doubts(old.into_doubts());
    }

    /// What a file was doubted to hold and nobody holds or is doubted to hold any more has gone, though it was never
    /// listed: its record and its status go as those of any other.
    fn settle_doubts(&mut self, doubts: impl IntoIterator<Item = Id>) {
        for id in doubts {
            if self.owners.contains_key(&id) || self.is_doubted(&id) {
                continue;
            }
            self.records.forget(&(self.kinds[id.0].kind.clone(), id.1.clone()));
            self.gone.insert(id);
        }
    }

    /// Turns what cannot be used into rejections, and keeps what it may have been.
    fn keep_last_good(&self, path: &Path, old: &File, new: &mut File, named: Vec<(Id, Bad)>, nameless: Vec<Bad>) {
        let good: BTreeSet<Id> = new.objects.keys().cloned().collect();
        for (id, bad) in named {
            let effect = match old.objects.contains_key(&id) && !good.contains(&id) {
                true => Effect::LastGood,
                false => Effect::Unused,
            };
            match effect {
                Effect::LastGood => drop(new.objects.insert(id, bad.line)),
                Effect::Unused | Effect::Partly => drop(new.trouble().doubts.insert(id)),
            }
            new.trouble().rejections.push(bad.into_rejection(path, effect));
        }
        if nameless.is_empty() {
            return;
        }
        let missing: Vec<_> = old.objects.iter().filter(|(id, _)| !new.objects.contains_key(*id)).collect();
        let effect = if missing.is_empty() { Effect::Unused } else { Effect::LastGood };
        for (id, line) in missing {
            new.objects.insert(id.clone(), *line);
        }
        let recorded = self.records.in_file(path).filter_map(|(kind, key)| {
            self.kinds.iter().position(|known| known.kind == *kind).map(|index| (index, key.clone()))
        });
        // What Herald wrote is in no record, but its path says what it was.
        let mut own = None;
        if let Place::Object(plural, key) = layout::place(path, false, |_| true) {
            own = self.kinds.iter().position(|known| known.plural == plural).map(|index| (index, key));
        }
        let doubts: Vec<Id> = recorded.chain(own).filter(|id| !new.objects.contains_key(id)).collect();
        new.trouble().doubts.extend(doubts);
        new.trouble().rejections.extend(nameless.into_iter().map(|bad| bad.into_rejection(path, effect)));
    }

    /// Settles who owns which object now, and puts the objects that this file owns into their caches.
    fn take_over(
        &mut self,
        path: &Arc<Path>,
        by_user: bool,
        old: &File,
        new: &mut File,
        good: Vec<(Id, u32, Checked)>,
    ) {
        let source = Source { by_user, path: Arc::clone(path) };
        for id in new.objects.keys() {
            let owners = self.owners.entry(id.clone()).or_default();
            if owners.insert(source.clone(), ()).is_none() && owners.keys().next() == Some(&source) {
                // The former owner has to be told that it is the second now.
                self.unread.extend(owners.keys().skip(1).map(|other| (other.path.to_path_buf(), true)));
            }
        }
        for (id, line, mut checked) in good {
            let partly = std::mem::take(&mut checked.partly);
            new.trouble().rejections.extend(partly.into_iter().map(|fault| Rejection {
                file: path.to_path_buf(),
                line: fault.line,
                kind: Some(self.kinds[id.0].kind.clone()),
                object: Some(id.1.to_string()),
                field: fault.field,
                message: fault.message,
                effect: Effect::Partly,
            }));
            match self.owner(&id).map(|owner| Arc::clone(&owner.path)) {
                Some(owner) if owner != *path => {
                    let message = format!("stands in {} too, which is used: remove one of them", owner.display());
                    new.trouble().rejections.push(self.duplicate(&id, path, line, message));
                }
                _ => self.put(&id, path, by_user, checked),
            }
        }
        for id in old.objects.keys().filter(|id| !new.objects.contains_key(*id)) {
            self.release(id.clone(), path, by_user);
        }
    }

    fn duplicate(&self, id: &Id, path: &Path, line: u32, message: String) -> Rejection {
        let (kind, object) = (Some(self.kinds[id.0].kind.clone()), Some(id.1.to_string()));
        let bad = Bad { kind, object, line, field: "metadata.name".into(), message };
        bad.into_rejection(path, Effect::Unused)
    }

    fn put(&mut self, id: &Id, path: &Path, by_user: bool, checked: Checked) {
        let created = checked.tree.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
        let overlay = self.overlay(id, created.filter(|_| !by_user)).cloned();
        let Self { caches, records, kinds, gone, .. } = self;
        gone.remove(id);
        let Some(cache) = &mut caches[id.0] else { return };
        cache.put(&id.1, checked, overlay.as_ref(), &mut |spec, metadata: &ObjectMeta| {
            if !by_user {
                let generation = metadata.generation.unwrap_or(1);
                return Facts { generation, created: metadata.creation_timestamp.clone() };
            }
            let name = (kinds[id.0].kind.clone(), id.1.clone());
            let record = records.note(name, spec, path, Timestamp::now());
            let created = metadata.creation_timestamp.clone().or(Some(Time(record.created)));
            Facts { generation: record.generation, created }
        });
    }

    /// A file holds an object no more.
    fn release(&mut self, id: Id, path: &Path, by_user: bool) {
        let source = Source { by_user, path: path.into() };
        let Some(owners) = self.owners.get_mut(&id) else { return };
        owners.remove(&source);
        if let Some(next) = owners.keys().next() {
            self.unread.insert(next.path.to_path_buf(), true);
            return;
        }
        self.owners.remove(&id);
        if let Some(cache) = &mut self.caches[id.0] {
            cache.remove(&id.1);
        }
        self.records.forget(&(self.kinds[id.0].kind.clone(), id.1.clone()));
        self.gone.insert(id);
    }

    /// After the first look: what was recorded and is nowhere now has gone while nobody looked.
    pub(crate) fn forget_absent(&mut self) {
        let index = |kind: &str| self.kinds.iter().position(|known| known.kind == kind);
        let absent = |(kind, key): &&super::record::Id| {
            index(kind).is_none_or(|index| {
                let id = (index, key.clone());
                !self.owners.contains_key(&id) && !self.is_doubted(&id)
            })
        };
        let absent: Vec<_> = self.records.ids().filter(absent).cloned().collect();
        for id in absent {
            self.records.forget(&id);
        }
    }
}

pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
