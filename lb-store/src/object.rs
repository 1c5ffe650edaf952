//! What can be kept in a store, and how it is named.

use std::fmt;

use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};

/// A Kubernetes kind that a store can hold.
pub trait Object:
    Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + fmt::Debug + PartialEq + Send + Sync + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + fmt::Debug + PartialEq + Send + Sync + 'static
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

/// What a deletion was judged on; both must still hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preconditions {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
}
