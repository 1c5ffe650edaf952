//! The API server back end: objects are watched, kept, and written by patches that carry what they were judged on.
//!
//! One thread with a runtime of its own follows and writes, so that a long list is decoded beside the process's work
//! and not in its way. A kind is watched once, from its first follower on.
//!
//! What was written is in the listings when the write returns ([`mirror`]): a follower never meets its own writes as
//! conflicts. While the server cannot be reached the last good state stays; nothing is concluded from silence.
//!
//! Kubernetes API concepts: resource versions, efficient detection of changes, JSON merge patch (RFC 7386).

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::{Client, Config, config::Kubeconfig};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::watch,
};

use crate::{
    CreateError, DeleteError, GetError, Key, Object, OpenError, Preconditions, Reflector, Rejection, Stopped,
    UpdateError,
};

mod ended;
mod follow;
mod guarded;
mod mirror;
mod one;
mod ops;
mod patch;
mod read;
mod trim;

use self::{mirror::Mirror, ops::Writing, read::Reading};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take to go on: longer than a watch lasts, which may bring nothing. A list that is asked for on
/// a connection that died without a word would hang for a quarter of an hour otherwise.
const SILENCE: Duration = Duration::from_secs(30);

/// An API server. Clones share one thread and its caches.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    /// `None` only while it is taken down.
    runtime: Option<Runtime>,
    handle: Handle,
    /// An `Arc<Mirror<K>>` by kind.
    mirrors: Mutex<HashMap<TypeId, Box<dyn Any + Send>>>,
    troubles: Arc<Troubles>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Dropping a runtime waits for its tasks, which nobody may do inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Connects as a kubeconfig file says, or, without one, as a Pod's service account does. The server need not be
    /// there yet.
    pub fn connect(kubeconfig: Option<&Path>) -> Result<Self, OpenError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Server {
            how: kubeconfig.map_or_else(|| "as a Pod".to_owned(), |file| format!("by {}", file.display())),
            source,
        };
        // The first provider counts; one that somebody chose already is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("store").enable_all().build();
        let runtime = runtime.map_err(|source| failed(source.into()))?;
        let handle = runtime.handle().clone();
        let path: Option<PathBuf> = kubeconfig.map(Path::to_owned);
        // On a thread of its own: the caller may be inside a runtime, which must not be blocked on.
        let connecting = {
            let handle = handle.clone();
            std::thread::spawn(move || handle.block_on(client(path.as_deref())))
        };
        let client = match connecting.join() {
            Ok(client) => client.map_err(failed),
            Err(_panicked) => Err(failed("the client could not be made".into())),
        };
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let inner = Inner {
            client,
            runtime: Some(runtime),
            handle,
            mirrors: Mutex::default(),
            troubles: Arc::new(Troubles::default()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn reflect<K: Object>(&self) -> Reflector<K> {
        let store: Arc<dyn Any + Send + Sync> = Arc::<Inner>::clone(&self.inner);
        Reflector::new(self.mirror::<K>(None).subscribe(), store)
    }

    pub(crate) fn reflect_labelled<K: Object>(&self, labels: &str) -> Reflector<K> {
        let store: Arc<dyn Any + Send + Sync> = Arc::<Inner>::clone(&self.inner);
        Reflector::new(self.mirror::<K>(Some(labels)).subscribe(), store)
    }

    pub(crate) fn rejections(&self) -> watch::Receiver<Arc<Vec<Rejection>>> {
        self.inner.troubles.shown.subscribe()
    }

    pub(crate) async fn create<K: Object>(&self, object: &K) -> Result<K, CreateError> {
        let (writing, object) = (self.writing::<K>(), object.clone());
        self.run(async move { writing.create(object).await }).await?
    }

    pub(crate) async fn update<K: Object>(&self, object: &K) -> Result<K, UpdateError> {
        let (writing, object) = (self.writing::<K>(), object.clone());
        self.run(async move { writing.update(object).await }).await?
    }

    pub(crate) async fn write_status<K: Object>(&self, object: &K) -> Result<K, UpdateError> {
        let (writing, object) = (self.writing::<K>(), object.clone());
        self.run(async move { writing.write_status(object).await }).await?
    }

    pub(crate) async fn delete<K: Object>(&self, key: &Key, judged: &Preconditions) -> Result<(), DeleteError> {
        let (writing, key, judged) = (self.writing::<K>(), key.clone(), judged.clone());
        self.run(async move { writing.delete(key, judged).await }).await?
    }

    pub(crate) async fn get<K: Object>(&self, key: &Key) -> Result<Option<K>, GetError> {
        let (writing, key) = (self.writing::<K>(), key.clone());
        self.run(async move { writing.get(&key).await }).await?
    }

    pub(crate) async fn changed<K: Object>(&self, key: &Key, version: &str) -> Result<bool, GetError> {
        let (client, key, version) = (self.inner.client.clone(), key.clone(), version.to_owned());
        self.run(async move { one::changed::<K>(client, &key, &version).await }).await?
    }

    pub(crate) async fn confirm<K: Object>(&self) -> Result<(), GetError> {
        let reading = Reading::new(self.inner.client.clone(), self.mirror::<K>(None));
        self.run(reading.confirm()).await?
    }

    /// On the store's thread, whatever runtime the caller is in.
    async fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Result<T, Stopped> {
        self.inner.handle.spawn(task).await.map_err(|_ended| Stopped)
    }

    fn writing<K: Object>(&self) -> Writing<K> {
        Writing::new(self.inner.client.clone(), self.existing())
    }

    /// The mirror of a kind that somebody follows.
    fn existing<K: Object>(&self) -> Option<Arc<Mirror<K>>> {
        let mirrors = self.inner.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        mirrors.get(&TypeId::of::<K>()).and_then(|mirror| mirror.downcast_ref()).cloned()
    }

    /// The mirror of a kind, which is followed from now on; of the objects with these labels, if it is the first call.
    fn mirror<K: Object>(&self, labels: Option<&str>) -> Arc<Mirror<K>> {
        let mut mirrors = self.inner.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mirror) = mirrors.get(&TypeId::of::<K>()).and_then(|mirror| mirror.downcast_ref()) {
            return Arc::clone(mirror);
        }
        let mirror = Arc::new(Mirror::<K>::new(Arc::clone(&self.inner.troubles)));
        mirrors.insert(TypeId::of::<K>(), Box::new(Arc::clone(&mirror)));
        let labels = labels.map(str::to_owned);
        self.inner.handle.spawn(follow::follow(self.inner.client.clone(), Arc::clone(&mirror), labels));
        mirror
    }
}

async fn client(kubeconfig: Option<&Path>) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let mut config = match kubeconfig {
        Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &Default::default()).await?,
        None => Config::incluster()?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // Else the time that a connection lay idle counts as silence of the next answer.
    config.reset_reader_on_write = true;
    // Who writes decides when to try again: a repeated create would meet its own object as somebody else's.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// What the server holds and Herald cannot use, of all kinds.
#[derive(Debug, Default)]
struct Troubles {
    by_object: Mutex<BTreeMap<(String, Key), Vec<Rejection>>>,
    shown: watch::Sender<Arc<Vec<Rejection>>>,
}

impl Troubles {
    /// Replaces what is wrong with an object of a kind.
    fn set(&self, kind: &str, key: &Key, rejections: Vec<Rejection>) {
        let mut all = self.by_object.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (kind.to_owned(), key.clone());
        let before = if rejections.is_empty() { all.remove(&name) } else { all.insert(name.clone(), rejections) };
        if before.as_ref() == all.get(&name) {
            return;
        }
        let shown = all.values().flatten().cloned().collect();
        // Under the lock, so that an older list cannot come last.
        self.shown.send_replace(Arc::new(shown));
    }
}
