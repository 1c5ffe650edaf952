//! Which Secrets BGP needs: the only ones that agents may read.

use std::{collections::BTreeSet, fmt};

use lb_api::validate::bfd_settings;

use super::sources::Sources;

/// A Secret by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl SecretName {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for SecretName {
    /// `namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Secrets that BGPPeers, BFDProfiles and Deckhouse's peers name. For the `resourceNames` of the agents' Roles, and for
/// what an agent reads.
pub(super) fn of(sources: &Sources, namespace: &str) -> BTreeSet<SecretName> {
    let of_peers = sources.peers.iter().filter_map(|peer| peer.secret.clone());
    let of_profiles = sources.profiles.values().filter_map(|profile| {
        let key = bfd_settings(&profile.object).0?.authentication?;
        Some(SecretName::new(namespace, &key.secret))
    });
    of_peers.chain(of_profiles).collect()
}
