//! Why an operation of a store failed: one enum per operation, each variant a thing its caller can act on.

use std::{io, path::PathBuf};

use lb_api::Problem;

/// The store's thread is gone; nothing can be read or written any more. The process should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has stopped")]
pub struct Stopped;

/// Why a directory cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there, or cannot be read or written.
    #[error("open the manifest directory {path}")]
    Io {
        /// The directory or the file within.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another controller has it.
    #[error(
        "the manifest directory {path} already has a controller: stop that one, or give this one another directory"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The node's name cannot be part of a file name.
    #[error("`{0}` is not the name of a Node")]
    Node(String),
    /// The API server cannot be asked.
    #[error("connect to the API server {how}")]
    Server {
        /// By which configuration.
        how: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Changes cannot be followed.
    #[error(
        "watch the manifest directory {path}: each process takes one inotify instance; if too many files are open, raise \
         fs.inotify.max_user_instances"
    )]
    Watch {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: notify::Error,
    },
}

/// Why an object was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// One of that kind, namespace and name exists.
    #[error("create {0}: it exists already")]
    AlreadyExists(String),
    /// It would be rejected on read.
    #[error("create {object}: {}", list(.problems))]
    Invalid {
        /// Kind and name.
        object: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// This store was opened for reading.
    #[error("create {0}: the store is open for reading only")]
    ReadOnly(String),
    /// The disk.
    #[error("create {object}")]
    Io {
        /// Kind and name.
        object: String,
        /// What the system said.
        source: io::Error,
    },
    /// Its namespace is being deleted.
    #[error("create {0}: its namespace is being deleted")]
    Terminating(String),
    /// The API server refused, or did not answer.
    #[error("create {object}")]
    Server {
        /// Kind and name.
        object: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The store's thread is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why an object or its status was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// It has changed since it was read: read it again and judge again.
    #[error("update {0}: it has changed since it was read")]
    Conflict(String),
    /// There is none.
    #[error("update {0}: it does not exist")]
    NotFound(String),
    /// It would be rejected on read.
    #[error("update {object}: {}", list(.problems))]
    Invalid {
        /// Kind and name.
        object: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// This writer does not own it: it is a user's manifest, or the store was opened for reading.
    #[error("update {object}: {reason}")]
    NotOurs {
        /// Kind and name.
        object: String,
        /// Whose it is.
        reason: String,
    },
    /// The disk.
    #[error("update {object}")]
    Io {
        /// Kind and name.
        object: String,
        /// What the system said.
        source: io::Error,
    },
    /// The API server refused, or did not answer.
    #[error("update {object}")]
    Server {
        /// Kind and name.
        object: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The store's thread is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why an object was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// It is not the one that was judged: read it again and judge again.
    #[error("delete {0}: it has changed since it was read")]
    Conflict(String),
    /// There is none.
    #[error("delete {0}: it does not exist")]
    NotFound(String),
    /// This writer does not own it: it is a user's manifest, or the store was opened for reading.
    #[error("delete {object}: {reason}")]
    NotOurs {
        /// Kind and name.
        object: String,
        /// Whose it is.
        reason: String,
    },
    /// The disk.
    #[error("delete {object}")]
    Io {
        /// Kind and name.
        object: String,
        /// What the system said.
        source: io::Error,
    },
    /// The API server refused, or did not answer.
    #[error("delete {object}")]
    Server {
        /// Kind and name.
        object: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The store's thread is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why it is not known whether an object exists.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// The API server refused, or did not answer.
    #[error("read {object}")]
    Server {
        /// Kind and name.
        object: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The store's thread is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}
