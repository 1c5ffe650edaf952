//! The newest state of one kind, and how to follow it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::watch;

use crate::{Key, error::Stopped};

/// All objects of one kind at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<K> {
    /// The objects by name.
    pub objects: BTreeMap<Key, Arc<K>>,
    /// Over all users' files (relative path and content) as last read. Equal digests: equal files.
    pub digest: Arc<str>,
    /// Whether the first reading is complete. Before that nothing may be concluded from an object's absence.
    pub synced: bool,
    /// Objects that are not in [`Self::objects`] only because their document cannot be used.
    pub doubt: Doubt,
}

/// What may exist although it is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doubt {
    /// Objects whose document is rejected and that have no last good state.
    pub objects: BTreeSet<Key>,
    /// Some document cannot be read so far as to know what object it is.
    pub anything: bool,
}

impl<K> Listing<K> {
    /// Whether the object is gone for sure. Nothing may be released or cleared for one that is not listed while it
    /// may stand in a document that does not parse.
    pub fn is_gone(&self, key: &Key) -> bool {
        self.synced && !self.doubt.anything && !self.objects.contains_key(key) && !self.doubt.objects.contains(key)
    }
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), digest: Arc::from(""), synced: false, doubt: Doubt::default() }
    }
}

/// Follows the objects of one kind. Clones follow independently.
#[derive(Debug)]
pub struct Reflector<K> {
    receiver: watch::Receiver<Arc<Listing<K>>>,
}

impl<K> Reflector<K> {
    pub(crate) fn new(receiver: watch::Receiver<Arc<Listing<K>>>) -> Self {
        Self { receiver }
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
        Self { receiver: self.receiver.clone() }
    }
}
