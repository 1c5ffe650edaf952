//! What can be kept in a store, and how it is named.

use std::fmt;

use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};

/// A Kubernetes kind that a store can hold.
pub trait Object:
    Resource<DynamicType = (), Scope: 'static>
    + Clone
    + Serialize
    + DeserializeOwned
    + fmt::Debug
    + PartialEq
    + Send
    + Sync
    + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope: 'static>
        + Clone
        + Serialize
        + DeserializeOwned
        + fmt::Debug
        + PartialEq
        + Send
        + Sync
        + 'static
{
}

/// The name of an object within its kind. Ordered by namespace, then name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl Key {
    /// The key of an object. An object without a name has an empty one.
    pub fn of<K: Resource>(object: &K) -> Self {
        let metadata = object.meta();
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Key {
    /// `namespace/name`, or `name` where there is no namespace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{}", self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// What a deletion was judged on; both must still hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preconditions {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
}

impl Preconditions {
    /// That the object is still exactly this one.
    pub fn of<K: Resource>(object: &K) -> Self {
        let metadata = object.meta();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}
