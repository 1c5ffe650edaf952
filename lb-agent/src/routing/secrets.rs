//! The Secrets that passwords come from, read by name and no others.
//!
//! On an API server an agent may read exactly the Secrets that peers name, so there is nothing to list or follow: each is
//! read when it is first needed, and again every 30 s. What was read stays in use while the server does not answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::Secret;
use lb_plan::bgp::{SecretContent, SecretName};
use lb_store::{Key, Reflector, Stopped, Store};
use tokio::time::Instant;

/// Between two readings of the same Secret.
const AGAIN: Duration = Duration::from_secs(30);
/// How long one may take: the plan waits.
const LIMIT: Duration = Duration::from_secs(3);

pub(super) struct Secrets {
    place: Place,
    known: BTreeMap<SecretName, SecretContent>,
}

enum Place {
    /// Everything in a folder is read anyway.
    Followed(Reflector<Secret>),
    ByName {
        store: Store,
        wanted: BTreeSet<SecretName>,
        due: Instant,
    },
}

impl Secrets {
    pub(super) fn new(store: &Store) -> Self {
        let place = match store {
            Store::Directory(_) => Place::Followed(store.reflect()),
            Store::Server(_) => Place::ByName { store: store.clone(), wanted: BTreeSet::new(), due: Instant::now() },
        };
        Self { place, known: BTreeMap::new() }
    }

    /// Waits until one of them may have changed.
    pub(super) async fn changed(&mut self) -> Result<(), Stopped> {
        match &mut self.place {
            Place::Followed(secrets) => secrets.changed().await,
            Place::ByName { wanted, .. } if wanted.is_empty() => std::future::pending().await,
            Place::ByName { due, .. } => {
                tokio::time::sleep_until(*due).await;
                Ok(())
            }
        }
    }

    /// The contents of those that exist.
    pub(super) async fn read(&mut self, needed: BTreeSet<SecretName>) -> BTreeMap<SecretName, SecretContent> {
        match &mut self.place {
            Place::Followed(secrets) => {
                let listing = secrets.current();
                let content = |name: SecretName| Some((SecretContent::of(listing.objects.get(&key(&name))?), name));
                self.known = needed.into_iter().filter_map(content).map(|(content, name)| (name, content)).collect();
            }
            Place::ByName { store, wanted, due } => {
                if *wanted != needed || *due <= Instant::now() {
                    self.known.retain(|name, _| needed.contains(name));
                    for name in &needed {
                        read(store, name, &mut self.known).await;
                    }
                    *wanted = needed;
                    *due = Instant::now() + AGAIN;
                }
            }
        }
        self.known.clone()
    }
}

async fn read(store: &Store, name: &SecretName, known: &mut BTreeMap<SecretName, SecretContent>) {
    match tokio::time::timeout(LIMIT, store.get::<Secret>(&key(name))).await {
        Ok(Ok(Some(secret))) => drop(known.insert(name.clone(), SecretContent::of(&secret))),
        Ok(Ok(None)) => drop(known.remove(name)),
        Ok(Err(error)) if !known.contains_key(name) => {
            // Without its words: they may carry what was read.
            tracing::warn!("Secret {name} cannot be read: {error}");
        }
        // What was read before stays in use.
        Ok(Err(_)) | Err(_) => {}
    }
}

fn key(name: &SecretName) -> Key {
    Key::new(name.namespace.clone(), name.name.clone())
}
