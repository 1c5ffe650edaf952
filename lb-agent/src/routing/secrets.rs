//! The Secrets that passwords come from, read by name and no others.
//!
//! On an API server an agent may read exactly the Secrets that peers name, so there is nothing to list: each is read when
//! it is first needed and watched by its name from then on. What was read stays in use while the server does not answer.
//!
//! Must not: log an error's cause, which may carry what was read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::Secret;
use lb_plan::bgp::{SecretContent, SecretName};
use lb_store::{Key, Reflector, Stopped, Store};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

/// Between two tries to read one that is not there, or not allowed yet: the controller allows it after the peer is there.
const FIRST: Duration = Duration::from_millis(250);
const LAST: Duration = Duration::from_secs(30);
/// How long one may take: the plan waits.
const LIMIT: Duration = Duration::from_secs(3);

pub(super) enum Secrets {
    /// Everything in a folder is read anyway.
    Followed(Reflector<Secret>),
    ByName {
        store: Store,
        wanted: BTreeMap<SecretName, One>,
        news: Arc<Notify>,
    },
}

/// One Secret that is watched.
pub(super) struct One {
    read: watch::Receiver<Read>,
    task: JoinHandle<()>,
}

impl Drop for One {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Read {
    /// Whether the server has answered.
    answered: bool,
    content: Option<SecretContent>,
}

impl Secrets {
    pub(super) fn new(store: &Store) -> Self {
        match store {
            Store::Directory(_) => Self::Followed(store.reflect()),
            Store::Server(_) => Self::ByName { store: store.clone(), wanted: BTreeMap::new(), news: Arc::default() },
        }
    }

    /// Waits until one of them has changed.
    pub(super) async fn changed(&mut self) -> Result<(), Stopped> {
        match self {
            Self::Followed(secrets) => secrets.changed().await,
            Self::ByName { news, .. } => {
                news.notified().await;
                Ok(())
            }
        }
    }

    /// The contents of those that exist.
    pub(super) async fn read(&mut self, needed: BTreeSet<SecretName>) -> BTreeMap<SecretName, SecretContent> {
        match self {
            Self::Followed(secrets) => {
                let listing = secrets.current();
                let content = |name: SecretName| Some((SecretContent::of(listing.objects.get(&key(&name))?), name));
                needed.into_iter().filter_map(content).map(|(content, name)| (name, content)).collect()
            }
            Self::ByName { store, wanted, news } => {
                wanted.retain(|name, _| needed.contains(name));
                for name in needed {
                    wanted.entry(name.clone()).or_insert_with(|| follow(store.clone(), name, Arc::clone(news)));
                }
                let end = Instant::now() + LIMIT;
                for one in wanted.values_mut() {
                    // Late, or the task has ended with the runtime: it is as if it did not exist.
                    drop(timeout_at(end, one.read.wait_for(|read| read.answered)).await);
                }
                let content = |one: &One| one.read.borrow().content.clone();
                wanted.iter().filter_map(|(name, one)| Some((name.clone(), content(one)?))).collect()
            }
        }
    }
}

fn follow(store: Store, name: SecretName, news: Arc<Notify>) -> One {
    let (show, read) = watch::channel(Read::default());
    let task = tokio::spawn(async move {
        let mut failures = 0;
        loop {
            let (now, version) = look(&store, &name, &show, failures == 0).await;
            let shown = show.send_if_modified(|shown| {
                let is_news = *shown != now;
                *shown = now;
                is_news
            });
            if shown {
                news.notify_one();
            }
            let watched = match &version {
                Some(version) => store.changed::<Secret>(&key(&name), version).await.is_ok(),
                None => false,
            };
            failures = if watched { 0 } else { failures + 1 };
            if !watched {
                tokio::time::sleep(FIRST.saturating_mul(1 << (failures - 1).min(10)).min(LAST)).await;
            }
        }
    });
    One { read, task }
}

/// What is to be shown of it, and its version if it was read.
async fn look(store: &Store, name: &SecretName, shown: &watch::Sender<Read>, tell: bool) -> (Read, Option<String>) {
    let (content, version) = match timeout(LIMIT, store.get::<Secret>(&key(name))).await {
        Ok(Ok(Some(secret))) => (Some(SecretContent::of(&secret)), secret.metadata.resource_version),
        Ok(Ok(None)) => (None, None),
        Ok(Err(error)) => {
            let known = shown.borrow().content.clone();
            if known.is_none() && tell {
                // Without its cause.
                tracing::warn!("Secret {name} cannot be read: {error}");
            }
            (known, None)
        }
        Err(_late) => (shown.borrow().content.clone(), None),
    };
    (Read { answered: true, content }, version)
}

fn key(name: &SecretName) -> Key {
    Key::new(name.namespace.clone(), name.name.clone())
}
