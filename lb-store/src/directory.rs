//! The directory back end: users' manifests on this host, and what Herald writes beside them.

use std::{path::Path, sync::Arc};

use tokio::sync::watch;

use crate::{CreateError, DeleteError, Key, Object, OpenError, Preconditions, Reflector, Rejection, UpdateError};

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// The controller: objects and statuses, alone (a file lock).
    Controller,
    /// The agent of a node: its own objects, and statuses in a folder of its own.
    Agent(String),
    /// A reader.
    None,
}

/// A directory of manifests. Clones share one thread and its caches.
#[derive(Debug, Clone)]
pub struct Directory {}

impl Directory {
    /// Opens `path`. Reading starts at once, on a thread of its own.
    pub fn open(path: &Path, writer: Writer) -> Result<Self, OpenError> {
        let (_, _) = (path, writer);
        unimplemented!()
    }

    /// The digest over all users' files as last read. Every listing taken after this call is at least that new.
    pub fn digest(&self) -> Arc<str> {
        unimplemented!()
    }

    pub(crate) fn reflect<K: Object>(&self) -> Reflector<K> {
        unimplemented!()
    }

    pub(crate) fn rejections(&self) -> watch::Receiver<Arc<Vec<Rejection>>> {
        unimplemented!()
    }

    pub(crate) async fn create<K: Object>(&self, _object: &K) -> Result<K, CreateError> {
        unimplemented!()
    }

    pub(crate) async fn update<K: Object>(&self, _object: &K) -> Result<K, UpdateError> {
        unimplemented!()
    }

    pub(crate) async fn write_status<K: Object>(&self, _object: &K) -> Result<K, UpdateError> {
        unimplemented!()
    }

    pub(crate) async fn delete<K: Object>(&self, _key: &Key, _judged: &Preconditions) -> Result<(), DeleteError> {
        unimplemented!()
    }
}
