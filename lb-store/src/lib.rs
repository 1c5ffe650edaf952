//! Where objects come from and go to: a directory of manifests, later an API server; one contract, one suite.
//!
//! The contract (and no more): the initial list, then changes ([`Store::reflect`]); create-if-absent; update-if-
//! version; delete-if-uid-and-version; write the own status. Readers are level-triggered: they look at the newest
//! [`Listing`], and a change they slept through is in it.
//!
//! Must not: decide anything about addresses, or lose what a user wrote. A document that does not decode becomes a
//! [`Rejection`] by file, line and field; everything else keeps working.
#![forbid(unsafe_code)]

mod defaults;
mod digest;
mod directory;
mod document;
mod error;
mod kind;
mod listing;
mod object;
mod rejection;

pub use directory::{Directory, Writer};
pub use error::{CreateError, DeleteError, OpenError, Stopped, UpdateError};
pub use listing::{Changes, Listing, Reflector};
pub use object::{Key, Object, Preconditions};
pub use rejection::{Effect, Rejection};

/// A place where objects live. Cheap to clone; clones share their caches.
#[derive(Clone, Debug)]
pub enum Store {
    /// A directory of manifests on this host.
    Directory(Directory),
}

impl Store {
    /// Follows all objects of one kind. The first listing is there when [`Reflector::ready`] returns.
    pub fn reflect<K: Object>(&self) -> Reflector<K> {
        match self {
            Self::Directory(directory) => directory.reflect(),
        }
    }

    /// The digest over all users' files as last read. A listing taken after this call is at least that new, so one who
    /// reads it first and then the listings of several kinds has seen all of those files.
    pub fn digest(&self) -> std::sync::Arc<str> {
        match self {
            Self::Directory(directory) => directory.digest(),
        }
    }

    /// Follows what could not be used: every rejected document of every kind, whether reflected or not.
    pub fn rejections(&self) -> tokio::sync::watch::Receiver<std::sync::Arc<Vec<Rejection>>> {
        match self {
            Self::Directory(directory) => directory.rejections(),
        }
    }

    /// Waits until listings taken from now on show everything this store has written so far. Without it they do so
    /// soon, and who plans on an older listing meets his own writes as conflicts.
    pub async fn sync(&self) -> Result<(), Stopped> {
        match self {
            Self::Directory(directory) => directory.sync().await,
        }
    }

    /// Waits until listings taken from now on show everything that stood on the disk when this was called, whoever
    /// wrote it. Looks over every file: for tools and tests, not for every pass of a controller.
    pub async fn catch_up(&self) -> Result<(), Stopped> {
        match self {
            Self::Directory(directory) => directory.catch_up().await,
        }
    }

    /// Creates `object` unless one of its kind, namespace and name exists. Status is not written.
    pub async fn create<K: Object>(&self, object: &K) -> Result<K, CreateError> {
        match self {
            Self::Directory(directory) => directory.create(object).await,
        }
    }

    /// Replaces everything but the status, if `metadata.resourceVersion` is still the stored one.
    pub async fn update<K: Object>(&self, object: &K) -> Result<K, UpdateError> {
        match self {
            Self::Directory(directory) => directory.update(object).await,
        }
    }

    /// Replaces the status and nothing else, if `metadata.resourceVersion` (when set) is still the stored one.
    pub async fn write_status<K: Object>(&self, object: &K) -> Result<K, UpdateError> {
        match self {
            Self::Directory(directory) => directory.write_status(object).await,
        }
    }

    /// Deletes the object if it still is the one that was judged.
    pub async fn delete<K: Object>(&self, key: &Key, judged: &Preconditions) -> Result<(), DeleteError> {
        match self {
            Self::Directory(directory) => directory.delete::<K>(key, judged).await,
        }
    }
}
