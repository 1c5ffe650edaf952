//! The directory back end: users' manifests on this host, and what Herald writes beside them (see [`layout`]).
//!
//! One thread per open directory reads and writes; handles send it orders, and followers get listings from it. It
//! needs no tokio runtime of its own, and a current-thread runtime suffices for its callers.
//!
//! One writer per file: the controller (a file lock) writes objects and statuses, each agent only what bears the name
//! of its node and statuses in a folder of its own. The newest status of an object counts, whoever wrote it. Two agents
//! that write one object's status in the same instant both succeed, and one of the two counts for every reader alike.
//!
//! One host; no claim beyond: file locks and notifications do not cross a network file system.

use std::{
    any::Any,
    fmt,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        mpsc::{self, Sender},
    },
    thread,
};

use lb_api::validate;
use tokio::sync::{oneshot, watch};

use crate::{
    CreateError, DeleteError, GetError, Key, Object, OpenError, Preconditions, Reflector, Rejection, Stopped,
    UpdateError,
};

mod apply;
pub(crate) mod cache;
mod few;
mod layout;
mod look;
mod ops;
mod reader;
mod record;
mod settle;
mod state;
mod status;
mod tree;
mod worker;
mod write;

use self::{
    record::Records,
    state::{Shown, State},
    tree::Tree,
    worker::{Message, Worker},
    write::Pen,
};

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// The controller: objects and statuses, alone (a file lock).
    Controller,
    /// The agent of a node: objects that bear the node's name (others it may create only), and statuses in a folder of
    /// its own.
    Agent(String),
    /// A reader.
    None,
}

/// A directory of manifests. Clones share one thread and its caches.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    orders: Sender<Message>,
    shown: Arc<Shown>,
    /// Held while the thread runs.
    _lock: Option<File>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The thread ends by itself if it cannot hear this.
        drop(self.orders.send(Message::Stop));
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Directory {
    /// Opens `path`. Reading starts at once, on a thread of its own.
    pub fn open(path: &Path, writer: Writer) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        if let Writer::Agent(node) = &writer
            && !validate::is_subdomain(node)
        {
            return Err(OpenError::Node(node.clone()));
        }
        let root = fs::canonicalize(path).map_err(failed)?;
        fs::read_dir(&root).map_err(failed)?;
        let lock = prepare(&root, &writer)?;
        let records = Records::read(&root.join(layout::RECORDS)).map_err(failed)?;
        let (orders, messages) = mpsc::channel();
        let watched = orders.clone();
        let watcher = notify::recommended_watcher(move |seen| {
            // After the end nobody wants to know.
            drop(watched.send(Message::Seen(seen)));
        });
        let watcher = watcher.map_err(|source| OpenError::Watch { path: path.to_owned(), source })?;
        let shown = Arc::new(Shown { digest: RwLock::new("".into()), rejections: watch::channel(Arc::default()).0 });
        let state = State::new(root.clone(), writer, Tree::new(root, watcher), records, Arc::clone(&shown));
        let looks = orders.clone();
        let run = move || Worker::new(state, looks).run(&messages);
        thread::Builder::new().name("store".into()).spawn(run).map_err(failed)?;
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), orders, shown, _lock: lock }) })
    }

    /// The digest over all users' files as last read; empty before the first reading is complete.
    pub fn digest(&self) -> Arc<str> {
        Arc::clone(&self.inner.shown.digest.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn reflect<K: Object>(&self) -> Reflector<K> {
        // The thread answers at once unless it has ended; then the channel is closed and so is the one made here.
        let (reply, answer) = mpsc::channel();
        self.send(Message::Follow(Box::new(move |state| {
            if let Some(cache) = state.follow::<K>() {
                drop(reply.send(cache.subscribe()));
            }
        })));
        let receiver = answer.recv().unwrap_or_else(|_ended| watch::channel(Arc::default()).1);
        let store: Arc<dyn Any + Send + Sync> = Arc::<Inner>::clone(&self.inner);
        Reflector::new(receiver, store)
    }

    pub(crate) fn rejections(&self) -> watch::Receiver<Arc<Vec<Rejection>>> {
        self.inner.shown.rejections.subscribe()
    }

    pub(crate) async fn sync(&self) -> Result<(), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Sync(Box::new(move |_| reply.send(()).unwrap_or_default())));
        answer.await.map_err(|_ended| Stopped)
    }

    pub(crate) async fn catch_up(&self) -> Result<(), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::CatchUp(Box::new(move |_| reply.send(()).unwrap_or_default())));
        answer.await.map_err(|_ended| Stopped)
    }

    pub(crate) async fn create<K: Object>(&self, object: &K) -> Result<K, CreateError> {
        let object = object.clone();
        self.order(move |state| state.create(&object)).await?
    }

    pub(crate) async fn update<K: Object>(&self, object: &K) -> Result<K, UpdateError> {
        let object = object.clone();
        self.order(move |state| state.update(&object)).await?
    }

    pub(crate) async fn write_status<K: Object>(&self, object: &K) -> Result<K, UpdateError> {
        let object = object.clone();
        self.order(move |state| state.write_status(&object)).await?
    }

    pub(crate) async fn delete<K: Object>(&self, key: &Key, judged: &Preconditions) -> Result<(), DeleteError> {
        let (key, judged) = (key.clone(), judged.clone());
        self.order(move |state| state.delete::<K>(&key, &judged)).await?
    }

    pub(crate) async fn get<K: Object>(&self, key: &Key) -> Result<Option<K>, GetError> {
        let look = |key: Key| self.order(move |state| state.get::<K>(&key));
        if let Some(found) = look(key.clone()).await? {
            return Ok(Some(found));
        }
        // A file that was just written may not have been noticed.
        self.catch_up().await?;
        Ok(look(key.clone()).await?)
    }

    async fn order<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        // A caller that gave up does not want the answer.
        self.send(Message::Order(Box::new(move |state| drop(reply.send(task(state))))));
        answer.await.map_err(|_ended| Stopped)
    }

    fn send(&self, message: Message) {
        // If the thread has ended, the reply's channel closes and the caller learns it there.
        drop(self.inner.orders.send(message));
    }
}

/// Makes the writer's folders, takes the controller's lock, and clears what a killed process has left.
fn prepare(root: &Path, writer: &Writer) -> Result<Option<File>, OpenError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    let Some(folder) = layout::status_folder(writer) else { return Ok(None) };
    let own = root.join(layout::HERALD).join(folder);
    fs::create_dir_all(&own).map_err(failed(&own))?;
    let objects = root.join(layout::HERALD).join("objects");
    fs::create_dir_all(&objects).map_err(failed(&objects))?;
    let pen = Pen::new(writer);
    if *writer != Writer::Controller {
        for folder in [own, objects] {
            pen.sweep(&folder).map_err(failed(&folder))?;
        }
        return Ok(None);
    }
    // The directory itself: a file in it could be removed, and a second controller would lock another one.
    let lock = File::open(root).map_err(failed(root))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: root.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(OpenError::Io { path: root.to_owned(), source }),
        Ok(()) => {}
    }
    for folder in [own, objects] {
        pen.sweep(&folder).map_err(failed(&folder))?;
    }
    let path = root.join(layout::RECORDS);
    Records::read(&path).and_then(|mut records| records.compact(&path, &pen)).map_err(failed(&path))?;
    Ok(Some(lock))
}
