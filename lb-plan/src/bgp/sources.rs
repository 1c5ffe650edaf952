//! The objects of BGP in one form, MetalLB's and what stands for the same in Deckhouse's kinds.
//!
//! Deckhouse renders MetalLB objects from its own (deckhouse.md section 10.2); the same is made here without writing them.
//! Only the configuration namespace is read. Everything is in the order of names, so that "the first" is the same on every
//! node and after every start.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use lb_api::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool};

use super::{Problem, SecretName, snapshot::Deckhouse};

mod deckhouse;

/// An object as messages name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// What stands for `spec` in the object, if it is not all of it: `spec.advertisements[0].bgp`, `spec.bfd`.
    pub(crate) part: Option<String>,
}

/// Fields that Deckhouse calls by other names, below the part of its object.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("spec.ipAddressPools", "../poolNames"),
    ("spec.sourceAddress", "spec.sourceAddresses"),
    ("spec.minimumTtl", "minimumTTL"),
];

impl Origin {
    pub(crate) fn new(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), part: None }
    }

    /// Whether it is one of MetalLB's.
    pub(crate) fn is_metallb(&self) -> bool {
        !self.kind.starts_with("MetalLoadBalancer")
    }

    /// As a message about another object names it.
    pub(crate) fn title(&self) -> String {
        let part = self.part.as_ref().map(|part| format!(" ({part})")).unwrap_or_default();
        format!("{} `{}`{part}", self.kind, self.name)
    }

    /// What is wrong with a field, which is named as MetalLB names it.
    pub(crate) fn problem(&self, field: &str, message: impl Into<String>) -> Problem {
        Problem {
            kind: self.kind,
            name: self.name.clone(),
            field: self.field(field),
            message: message.into(),
            may_pass: false,
        }
    }

    fn field(&self, field: &str) -> String {
        if self.is_metallb() {
            return field.to_owned();
        }
        let known = OTHER_NAMES.iter().find_map(|(metallb, own)| Some((field.strip_prefix(metallb)?, own)));
        let (rest, own) = known.unwrap_or((field.strip_prefix("spec.").unwrap_or(field), &""));
        let part = self.part.as_deref().unwrap_or("spec");
        match own.strip_prefix("../") {
            Some(own) => format!("{}.{own}{rest}", part.rsplit_once('.').map_or(part, |(above, _)| above)),
            None if own.starts_with("spec.") => format!("{own}{rest}"),
            None => format!("{part}.{own}{rest}"),
        }
    }
}

/// A BGPPeer, or what stands for one.
#[derive(Debug, Clone)]
pub(crate) struct PeerSource {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) object: Arc<BGPPeer>,
    /// In the place of the object's own: Deckhouse's schema knows more ports.
    pub(crate) port: Option<u16>,
    /// Where the password is, if the object itself has none.
    pub(crate) secret: Option<SecretName>,
}

/// A BGPAdvertisement, or what stands for one.
#[derive(Debug, Clone)]
pub(crate) struct AdvertisementSource {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) object: Arc<BGPAdvertisement>,
}

/// A BFDProfile, or what stands for one.
#[derive(Debug, Clone)]
pub(crate) struct ProfileSource {
    pub(crate) origin: Origin,
    pub(crate) object: Arc<BFDProfile>,
}

/// An IPAddressPool, or what stands for one.
#[derive(Debug, Clone)]
pub(crate) struct PoolSource {
    pub(crate) kind: &'static str,
    pub(crate) object: Arc<IPAddressPool>,
}

/// The objects, in the order of their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) peers: Vec<PeerSource>,
    pub(crate) advertisements: Vec<AdvertisementSource>,
    pub(crate) profiles: BTreeMap<String, ProfileSource>,
    pub(crate) communities: Vec<Arc<Community>>,
    pub(crate) pools: BTreeMap<String, PoolSource>,
    /// What of Deckhouse's objects cannot be translated.
    pub(crate) problems: Vec<Problem>,
}

/// The objects as they are listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) peers: &'a [Arc<BGPPeer>],
    pub(crate) advertisements: &'a [Arc<BGPAdvertisement>],
    pub(crate) profiles: &'a [Arc<BFDProfile>],
    pub(crate) communities: &'a [Arc<Community>],
    pub(crate) pools: &'a [Arc<IPAddressPool>],
    pub(crate) deckhouse: &'a Deckhouse,
}

impl Sources {
    pub(crate) fn read(listed: Listed<'_>) -> Self {
        let mut sources = Self::default();
        for object in ours(listed.peers, listed.namespace) {
            let name = name(&object.metadata);
            let secret = object.spec.password_secret.as_ref().and_then(|secret| secret.name.as_deref());
            let secret = secret.map(str::trim).filter(|name| !name.is_empty());
            let secret = secret.map(|name| SecretName::new(listed.namespace, name));
            let origin = Origin::new("BGPPeer", &name);
            sources.peers.push(PeerSource { name, origin, object: Arc::clone(object), port: None, secret });
        }
        for object in ours(listed.advertisements, listed.namespace) {
            let name = name(&object.metadata);
            let origin = Origin::new("BGPAdvertisement", &name);
            sources.advertisements.push(AdvertisementSource { name, origin, object: Arc::clone(object) });
        }
        for object in ours(listed.profiles, listed.namespace) {
            let origin = Origin::new("BFDProfile", name(&object.metadata));
            let source = ProfileSource { origin, object: Arc::clone(object) };
            sources.profiles.insert(name(&object.metadata), source);
        }
        sources.communities = ours(listed.communities, listed.namespace).cloned().collect();
        for object in ours(listed.pools, listed.namespace) {
            let source = PoolSource { kind: "IPAddressPool", object: Arc::clone(object) };
            sources.pools.insert(name(&object.metadata), source);
        }
        deckhouse::add(&mut sources, listed.deckhouse, listed.namespace);
        sources.peers.sort_by(|one, other| one.name.cmp(&other.name));
        sources.advertisements.sort_by(|one, other| one.name.cmp(&other.name));
        sources.communities.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        sources
    }
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

fn ours<'a, K: Resource>(listed: &'a [Arc<K>], namespace: &'a str) -> impl Iterator<Item = &'a Arc<K>> {
    listed.iter().filter(move |object| object.meta().namespace.as_deref() == Some(namespace))
}
