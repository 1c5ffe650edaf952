//! Whether this node announces a Service, and in which prefixes (metallb.md sections 5.2 and 5.3).
//!
//! The look at one Service costs by its own addresses and endpoints, never by how many Services there are.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::Service;
use lb_api::EndpointSlice;

use super::{
    Prefix,
    configuration::{AdvertisementId, Configuration, conflict},
};

/// Why a Service is not announced from this node, in MetalLB's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Withheld {
    /// No BGPAdvertisement of its pool has this node.
    NotOwner,
    /// None of those is for this Service.
    NoMatchingAdvertisement,
    /// Two that are for this Service want different LOCAL_PREFs for one prefix.
    ConflictingAdvertisements,
    /// The node has no network.
    NodeNetworkUnavailable,
    /// The node is kept out of load balancers.
    NodeLabeledExcludeBalancers,
    /// `externalTrafficPolicy: Local`, and nothing serves on this node.
    NoLocalEndpoints,
    /// Nothing serves anywhere.
    NoEndpoints,
}

impl Withheld {
    /// MetalLB's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotOwner => "notOwner",
            Self::NoMatchingAdvertisement => "noMatchingAdvertisement",
            Self::ConflictingAdvertisements => "conflictingAdvertisements",
            Self::NodeNetworkUnavailable => "nodeNetworkUnavailable",
            Self::NodeLabeledExcludeBalancers => "nodeLabeledExcludeBalancers",
            Self::NoLocalEndpoints => "noLocalEndpoints",
            Self::NoEndpoints => "noEndpoints",
        }
    }
}

/// An address that a VirtualIP gives to a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claimed {
    pub(super) address: IpAddr,
    /// The uid of the Service that it was given to: another one of the same name is not meant.
    pub(super) uid: String,
    /// What `VirtualIP.spec.pool` says.
    pub(super) pool: String,
}

/// What there is of a Service.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) service: Option<Arc<Service>>,
    /// In their order, so that what is found first depends on no history.
    pub(super) claimed: Vec<Claimed>,
    pub(super) slices: Vec<Arc<EndpointSlice>>,
}

/// What this node makes of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// Each prefix with the advertisement that yields it.
    pub(super) yields: Vec<(Prefix, AdvertisementId)>,
    /// The peers that are told one of the prefixes at least.
    pub(super) peers: BTreeSet<String>,
    /// Why nothing is announced; `None` as well for what is not a Service with an address.
    pub(super) withheld: Option<Withheld>,
    /// The two advertisements that conflict.
    pub(super) conflict: Option<(AdvertisementId, AdvertisementId)>,
}

/// Judges one Service. `knows_endpoints`: there are EndpointSlices at all.
pub(super) fn judge(configuration: &Configuration, parts: &Parts, knows_endpoints: bool) -> Judged {
    let mut judged = Judged::default();
    let Some(service) = parts.service.as_deref().filter(|service| is_load_balancer(service)) else { return judged };
    let uid = service.metadata.uid.as_deref().unwrap_or_default();
    let mut withheld = None;
    for claimed in parts.claimed.iter().filter(|claimed| claimed.uid == uid) {
        match advertised(configuration, service, claimed, &mut judged) {
            Ok(advertisements) => match serves(configuration, service, parts, knows_endpoints) {
                None => announce(configuration, claimed.address, &advertisements, &mut judged),
                Some(why) => withheld = withheld.or(Some(why)),
            },
            Err(why) => withheld = withheld.or(Some(why)),
        }
    }
    judged.yields.sort_unstable();
    judged.yields.dedup();
    judged.withheld = withheld.filter(|_| judged.yields.is_empty());
    judged
}

fn is_load_balancer(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
}

/// The advertisements of an address that are for the Service.
fn advertised(
    configuration: &Configuration,
    service: &Service,
    claimed: &Claimed,
    judged: &mut Judged,
) -> Result<Vec<AdvertisementId>, Withheld> {
    let pool = configuration.pool(&claimed.pool);
    let of_family = pool.advertisements(claimed.address);
    if of_family.is_empty() {
        return Err(Withheld::NotOwner);
    }
    let of_service: Vec<AdvertisementId> =
        of_family.iter().copied().filter(|&id| configuration.is_for(id, service.metadata.labels.as_ref())).collect();
    if of_service.is_empty() {
        return Err(Withheld::NoMatchingAdvertisement);
    }
    for (index, &one) in of_service.iter().enumerate() {
        for &other in of_service.iter().skip(index + 1) {
            let both = configuration.advertisement(one).zip(configuration.advertisement(other));
            if both.is_some_and(|(one, other)| conflict(one, other, pool.families)) {
                judged.conflict = Some((one, other));
                return Err(Withheld::ConflictingAdvertisements);
            }
        }
    }
    Ok(of_service)
}

/// Why nothing of the Service can be reached through this node.
fn serves(configuration: &Configuration, service: &Service, parts: &Parts, known: bool) -> Option<Withheld> {
    if let Some(why) = configuration.node.withheld {
        return Some(why);
    }
    if !known {
        return None;
    }
    let policy = service.spec.as_ref().and_then(|spec| spec.external_traffic_policy.as_deref());
    let mut serving = parts.slices.iter().flat_map(|slice| &slice.serving);
    if policy == Some("Local") {
        let name = configuration.node.name.as_str();
        let mut local = serving.filter(|node| node.as_deref() == Some(name));
        return local.next().is_none().then_some(Withheld::NoLocalEndpoints);
    }
    serving.next().is_none().then_some(Withheld::NoEndpoints)
}

fn announce(configuration: &Configuration, address: IpAddr, advertisements: &[AdvertisementId], judged: &mut Judged) {
    for &id in advertisements {
        let Some(advertisement) = configuration.advertisement(id) else { continue };
        let prefix = Prefix::new(address, advertisement.length(address));
        judged.yields.push((prefix, id));
        let told = configuration.peers.iter().filter(|(name, peer)| {
            advertisement.is_told(name.as_str()) && peer.settings.families.have(prefix.address())
        });
        judged.peers.extend(told.map(|(name, _)| name.clone()));
    }
}
