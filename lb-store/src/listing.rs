//! The newest state of one kind, and how to follow it.

use std::{any::Any, collections::BTreeSet, fmt, sync::Arc};

use imbl::{OrdMap, ordmap::DiffItem};
use tokio::sync::watch;

use crate::{Key, error::Stopped};

/// All objects of one kind at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<K> {
    /// The objects by name. Two listings share what they have in common.
    pub objects: OrdMap<Key, Arc<K>>,
    /// Over all users' files (relative path and content) as last read. Equal digests: equal files.
    pub digest: Arc<str>,
    /// Whether the first reading is complete. Before that nothing may be concluded from an object's absence.
    pub synced: bool,
    /// Objects that are not in [`Self::objects`] only because their document cannot be used and no last good state of
    /// them is known (after a start with a bad file).
    pub doubtful: BTreeSet<Key>,
}

impl<K> Listing<K> {
    /// Whether the object is gone for sure. Nothing may be released or cleared for one that is not listed while it
    /// may stand in a document that does not parse.
    pub fn is_gone(&self, key: &Key) -> bool {
        self.synced && !self.objects.contains_key(key) && !self.doubtful.contains(key)
    }
}

impl<K: PartialEq> Listing<K> {
    /// What differs from an older listing. Costs by the difference, not by the size.
    pub fn since(&self, older: &Self) -> Changes<K> {
        let mut changes = Changes { set: Vec::new(), removed: Vec::new() };
        for item in older.objects.diff(&self.objects) {
            match item {
                DiffItem::Add(_, now) => changes.set.push(Set { before: None, now: Arc::clone(now) }),
                DiffItem::Update { old: (_, before), new: (_, now) } => {
                    changes.set.push(Set { before: Some(Arc::clone(before)), now: Arc::clone(now) });
                }
                DiffItem::Remove(_, object) => changes.removed.push(Arc::clone(object)),
            }
        }
        changes
    }
}

/// How two listings differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes<K> {
    /// Objects that are new or other than before.
    pub set: Vec<Set<K>>,
    /// Objects that are not listed any more, as they were.
    pub removed: Vec<Arc<K>>,
}

/// One object that is new or other than before.
#[derive(Debug, Clone, PartialEq)]
pub struct Set<K> {
    /// As it was; `None` if it is new.
    pub before: Option<Arc<K>>,
    /// As it is.
    pub now: Arc<K>,
}

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self { set: Vec::new(), removed: Vec::new() }
    }
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { objects: OrdMap::new(), digest: Arc::from(""), synced: false, doubtful: BTreeSet::new() }
    }
}

/// Follows the objects of one kind. Clones follow independently. Keeps its store running.
pub struct Reflector<K> {
    receiver: watch::Receiver<Arc<Listing<K>>>,
    /// What must live for the listings to go on.
    store: Arc<dyn Any + Send + Sync>,
}

impl<K> Reflector<K> {
    pub(crate) fn new(receiver: watch::Receiver<Arc<Listing<K>>>, store: Arc<dyn Any + Send + Sync>) -> Self {
        Self { receiver, store }
    }

    /// Waits until the first listing is complete.
    pub async fn ready(&mut self) -> Result<(), Stopped> {
        match self.receiver.wait_for(|listing| listing.synced).await {
            Ok(_) => Ok(()),
            Err(_closed) => Err(Stopped),
        }
    }

    /// Waits until there is a listing newer than at the last call. Several changes may be one.
    pub async fn changed(&mut self) -> Result<(), Stopped> {
        self.receiver.changed().await.map_err(|_closed| Stopped)
    }

    /// The newest listing.
    pub fn current(&self) -> Arc<Listing<K>> {
        Arc::clone(&self.receiver.borrow())
    }
}

impl<K> Clone for Reflector<K> {
    fn clone(&self) -> Self {
        Self { receiver: self.receiver.clone(), store: Arc::clone(&self.store) }
    }
}

impl<K> fmt::Debug for Reflector<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reflector").field("objects", &self.receiver.borrow().objects.len()).finish_non_exhaustive()
    }
}
