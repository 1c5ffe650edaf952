//! Where objects come from and go to: a directory of manifests or an API server; one contract, one suite.
//!
//! The contract (and no more): the initial list, then changes ([`Store::reflect`]); create-if-absent; update-if-
//! version; delete-if-uid-and-version; write the own status; and, before something is concluded from an absence, a
//! look at the place itself ([`Store::get`], [`Store::confirm`]). Readers are level-triggered: they look at the newest
//! [`Listing`], and a change they slept through is in it.
//!
//! Must not: decide anything about addresses, or lose what a user wrote. A document that does not decode becomes a
//! [`Rejection`] by file, line and field; everything else keeps working.
#![forbid(unsafe_code)]

mod decode;
mod defaults;
mod digest;
mod directory;
mod document;
mod error;
mod kind;
mod listing;
mod object;
mod rejection;
mod server;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use directory::{Directory, Writer};
pub use error::{CreateError, DeleteError, GetError, OpenError, Stopped, UpdateError};
pub use listing::{Changes, Listing, Reflector, Set};
pub use object::{Key, Name, Object, Preconditions};
pub use rejection::{Effect, Rejection};
pub use server::Server;

/// A place where objects live. Cheap to clone; clones share their caches.
#[derive(Clone, Debug)]
pub enum Store {
    /// A directory of manifests on this host.
    Directory(Directory),
    /// A Kubernetes API server.
    Server(Server),
}

/// Where objects are, as a command line says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory of manifests on this host.
    Manifests(PathBuf),
    /// The API server that this kubeconfig file names.
    Kubeconfig(PathBuf),
    /// The API server of the cluster that this process is a Pod of.
    Cluster,
}

impl Place {
    /// What the flags `--manifests` and `--kubeconfig` say, of which at most one is given.
    pub fn given(manifests: Option<&Path>, kubeconfig: Option<&Path>) -> Self {
        match (manifests, kubeconfig) {
            (Some(path), _) => Self::Manifests(path.to_owned()),
            (None, Some(path)) => Self::Kubeconfig(path.to_owned()),
            (None, None) => Self::Cluster,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifests(path) => write!(f, "the manifests in {}", path.display()),
            Self::Kubeconfig(path) => write!(f, "the API server of {}", path.display()),
            Self::Cluster => f.write_str("the API server of the cluster"),
        }
    }
}

impl Store {
    /// Opens the store at `place`. Who writes matters to a directory; an API server knows its writers by their
    /// credentials.
    pub fn open(place: &Place, writer: Writer) -> Result<Self, OpenError> {
        Ok(match place {
            Place::Manifests(path) => Self::Directory(Directory::open(path, writer)?),
            Place::Kubeconfig(path) => Self::Server(Server::connect(Some(path))?),
            Place::Cluster => Self::Server(Server::connect(None)?),
        })
    }

    /// Follows all objects of one kind. The first listing is there when [`Reflector::ready`] returns.
    pub fn reflect<K: Object>(&self) -> Reflector<K> {
        match self {
            Self::Directory(directory) => directory.reflect(),
            Self::Server(server) => server.reflect(),
        }
    }

    /// Follows the objects of one kind that have these labels (`key=value`). A process follows a kind in one way: the first
    /// call decides. In a directory everything is followed.
    pub fn reflect_labelled<K: Object>(&self, labels: &str) -> Reflector<K> {
        match self {
            Self::Directory(directory) => directory.reflect(),
            Self::Server(server) => server.reflect_labelled(labels),
        }
    }

    /// The digest over all users' files as last read; empty where objects are in no files. A listing taken after this call is at least that new, so one who
    /// reads it first and then the listings of several kinds has seen all of those files.
    pub fn digest(&self) -> std::sync::Arc<str> {
        match self {
            Self::Directory(directory) => directory.digest(),
            Self::Server(_) => std::sync::Arc::from(""),
        }
    }

    /// Follows what could not be used: every rejected document of every kind, whether reflected or not.
    pub fn rejections(&self) -> tokio::sync::watch::Receiver<std::sync::Arc<Vec<Rejection>>> {
        match self {
            Self::Directory(directory) => directory.rejections(),
            Self::Server(server) => server.rejections(),
        }
    }

    /// Waits until listings taken from now on show everything this store has written so far. Without it they do so
    /// soon, and who plans on an older listing meets his own writes as conflicts.
    pub async fn sync(&self) -> Result<(), Stopped> {
        match self {
            Self::Directory(directory) => directory.sync().await,
            // What a write returned is shown before it returns.
            Self::Server(_) => Ok(()),
        }
    }

    /// Waits until listings taken from now on show everything that stood on the disk when this was called, whoever
    /// wrote it. Looks over every file: for tools and tests, not for every pass of a controller.
    pub async fn catch_up(&self) -> Result<(), Stopped> {
        match self {
            Self::Directory(directory) => directory.catch_up().await,
            // Nothing tells when a watch has brought everything: wait for what is expected.
            Self::Server(_) => Ok(()),
        }
    }

    /// Creates `object` unless one of its kind, namespace and name exists. Status is not written.
    pub async fn create<K: Object>(&self, object: &K) -> Result<K, CreateError> {
        match self {
            Self::Directory(directory) => directory.create(object).await,
            Self::Server(server) => server.create(object).await,
        }
    }

    /// Replaces everything but the status, if `metadata.resourceVersion` is still the stored one.
    pub async fn update<K: Object>(&self, object: &K) -> Result<K, UpdateError> {
        match self {
            Self::Directory(directory) => directory.update(object).await,
            Self::Server(server) => server.update(object).await,
        }
    }

    /// Replaces the status and nothing else, if `metadata.resourceVersion` (when set) is still the stored one.
    pub async fn write_status<K: Object>(&self, object: &K) -> Result<K, UpdateError> {
        match self {
            Self::Directory(directory) => directory.write_status(object).await,
            Self::Server(server) => server.write_status(object).await,
        }
    }

    /// Deletes the object if it still is the one that was judged.
    pub async fn delete<K: Object>(&self, key: &Key, judged: &Preconditions) -> Result<(), DeleteError> {
        match self {
            Self::Directory(directory) => directory.delete::<K>(key, judged).await,
            Self::Server(server) => server.delete::<K>(key, judged).await,
        }
    }

    /// Waits until listings taken from now on show every object of the kind that there is at this moment, whoever wrote
    /// it. What has gone may stay listed for a while: an address counts as taken too long rather than too short.
    pub async fn confirm<K: Object>(&self) -> Result<(), GetError> {
        match self {
            Self::Directory(directory) => Ok(directory.catch_up().await?),
            Self::Server(server) => server.confirm::<K>().await,
        }
    }

    /// The object as it is in this moment, read from its place and not from a listing.
    pub async fn get<K: Object>(&self, key: &Key) -> Result<Option<K>, GetError> {
        match self {
            Self::Directory(directory) => directory.get::<K>(key).await,
            Self::Server(server) => server.get::<K>(key).await,
        }
    }

    /// Waits until an object is another one than that of `version`, which [`Store::get`] returned: for who may follow no
    /// other of its kind. `false`: it was not, for half a minute.
    ///
    /// # Errors
    /// When the server cannot be asked. In a directory everything can be followed: this waits for ever.
    pub async fn changed<K: Object>(&self, key: &Key, version: &str) -> Result<bool, GetError> {
        match self {
            Self::Directory(_) => std::future::pending().await,
            Self::Server(server) => server.changed::<K>(key, version).await,
        }
    }
}
