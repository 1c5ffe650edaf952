//! Whose a Service is, and which class or pools it has.
//!
//! In this order, the first that says something:
//! 1. A `spec.loadBalancerClass` that is neither a class of ours nor `--lb-class` belongs to another implementation:
//!    the Service is not touched. With `--lb-class` set, a Service without any is not touched either.
//! 2. The class recorded in the Service's condition. So a binding is sticky, as in Deckhouse; and a Service whose
//!    recorded class is gone is left as it is.
//! 3. The class by `spec.loadBalancerClass`, then by annotation.
//! 4. An annotation for a pool, Deckhouse's or MetalLB's, or MetalLB's for addresses, if there is such a pool at all.
//! 5. What the Service has already, so that a new default takes nobody's address.
//! 6. The default class, then the pools that assign by themselves.
//!
//! Pools are here IPAddressPools and Deckhouse's MetalLoadBalancerPools, which stand for them.
//!
//! Unlike Deckhouse: an unknown class by annotation is told on the Service; of several default classes the first by
//! name is used, and the others are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use k8s_openapi::api::core::v1::Service;
use lb_api::{
    Problem,
    names::{annotation, condition},
    service::{self, Request},
    virtual_ip::{Family, name_of},
};

use super::{
    Snapshot,
    cluster::{Cluster, Pool, PoolId},
    event::Reason,
    inventory::Inventory,
    pool::number,
    wish::Wish,
};

mod pools;

/// A Service and what was made of it.
#[derive(Debug)]
pub(super) struct Claimant<'a> {
    pub(super) service: &'a Service,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) request: Request,
    pub(super) standing: Standing,
    /// For [`Standing::Pools`]: the pools to take from, in tiers; the next tier only if one yields nothing.
    pub(super) tiers: Vec<Vec<PoolId>>,
    /// What of the Service cannot be honoured as written.
    pub(super) problems: Vec<(Reason, Problem)>,
    /// What could not be had, for an event.
    pub(super) shortages: Vec<(Reason, String)>,
    /// How many addresses, and where; set for those that are bound.
    pub(super) wish: Wish,
}

/// What Herald is to a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing (another type, another implementation): it gives back what it has.
    NotOurs,
    /// It has no class: it gives back what it has, and hears why.
    Unbound,
    /// Its class is gone, or the class or a VirtualIP cannot be read: it keeps what it has and gets nothing.
    Frozen,
    /// It has this class.
    Class(PoolId),
    /// It gets addresses of pools that are no classes.
    Pools,
}

impl Claimant<'_> {
    pub(super) fn complain(&mut self, reason: Reason, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push((reason, Problem { field: field.into(), message: message.into() }));
    }

    /// Whether the Service may have addresses of that pool.
    pub(super) fn may_use(&self, pool: &Pool<'_>, id: PoolId) -> bool {
        match self.standing {
            Standing::Class(class) => class == id,
            Standing::Pools => {
                let named = self.request.pool.as_ref().is_none_or(|asked| asked.name == pool.name);
                !pool.is_class() && named && pool.allows(self.namespace, self.labels)
            }
            Standing::NotOurs | Standing::Unbound | Standing::Frozen => false,
        }
    }

    /// The addresses in the Service's status, in their order, each once.
    pub(super) fn shown(&self) -> Vec<IpAddr> {
        shown_by(self.service)
    }

    /// Whether the Service is of the type that has such addresses, whoever gives them.
    pub(super) fn is_load_balancer(&self) -> bool {
        self.service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
    }

    /// The class that the Service has.
    pub(super) const fn class(&self) -> Option<PoolId> {
        match self.standing {
            Standing::Class(id) => Some(id),
            Standing::NotOurs | Standing::Unbound | Standing::Frozen | Standing::Pools => None,
        }
    }

    /// Whether the Service gets addresses at all.
    pub(super) const fn is_bound(&self) -> bool {
        matches!(self.standing, Standing::Class(_) | Standing::Pools)
    }
}

const NO_LABELS: &BTreeMap<String, String> = &BTreeMap::new();

/// All Services, the oldest first: who was there first is served first.
pub(super) fn claimants<'a>(
    snapshot: &'a Snapshot,
    cluster: &Cluster<'a>,
    inventory: &Inventory<'a>,
) -> Vec<Claimant<'a>> {
    let listed = snapshot.services.iter();
    let mut claimants: Vec<Claimant<'a>> = listed.map(|service| claimant(service, cluster, inventory)).collect();
    claimants.sort_by_key(|claimant| {
        let created = claimant.service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, claimant.namespace, claimant.name)
    });
    claimants
}

fn claimant<'a>(service: &'a Service, cluster: &Cluster<'a>, inventory: &Inventory<'a>) -> Claimant<'a> {
    let metadata = &service.metadata;
    let mut request = service::of(service);
    let problems = std::mem::take(&mut request.problems);
    let mut claimant = Claimant {
        service,
        namespace: metadata.namespace.as_deref().unwrap_or_default(),
        name: metadata.name.as_deref().unwrap_or_default(),
        uid: metadata.uid.as_deref().unwrap_or_default(),
        labels: metadata.labels.as_ref().unwrap_or(NO_LABELS),
        request,
        standing: Standing::NotOurs,
        tiers: Vec::new(),
        problems: problems.into_iter().map(|problem| (Reason::InvalidValue, problem)).collect(),
        shortages: Vec::new(),
        wish: Wish::default(),
    };
    claimant.standing = standing(&mut claimant, cluster, inventory);
    if claimant.is_bound() && claimant.shown().into_iter().any(|address| is_unsure(address, cluster, inventory)) {
        claimant.standing = Standing::Frozen;
    }
    match claimant.standing {
        Standing::Pools => pools::choose(&mut claimant, cluster),
        Standing::Class(id) => pools::class_only(&mut claimant, cluster.name(id)),
        Standing::NotOurs | Standing::Unbound | Standing::Frozen => {}
    }
    claimant
}

/// Whether an address may have a VirtualIP that is not listed. A Service that shows it may have it: the next plan knows.
fn is_unsure(address: IpAddr, cluster: &Cluster<'_>, inventory: &Inventory<'_>) -> bool {
    let snapshot = cluster.snapshot;
    let is_listed = inventory.at(address).is_some();
    !is_listed && (snapshot.refused.contains(&address) || snapshot.doubts.virtual_ips.may_exist("", &name_of(address)))
}

fn standing<'a>(claimant: &mut Claimant<'a>, cluster: &Cluster<'a>, inventory: &Inventory<'a>) -> Standing {
    let service = claimant.service;
    let spec = service.spec.as_ref();
    if !claimant.is_load_balancer() {
        return Standing::NotOurs;
    }
    let lb_class = cluster.snapshot.configuration.lb_class.as_deref();
    let by_spec = spec.and_then(|spec| spec.load_balancer_class.as_deref());
    // `--lb-class` says whose it is, not which class.
    let by_spec = by_spec.filter(|&name| Some(name) != lb_class || cluster.class(name).is_some());
    let marked = spec.and_then(|spec| spec.load_balancer_class.as_deref()).is_some_and(|name| Some(name) == lb_class);
    let recorded = recorded(service);
    if let Some(name) = by_spec.filter(|name| cluster.class(name).is_none()) {
        // The class that it was bound to may have gone; else the name is another implementation's.
        let was_ours = recorded == Some(name);
        return match was_ours {
            true => gone(name, claimant, cluster),
            false if cluster.snapshot.doubts.classes.may_exist("", name) => Standing::Frozen,
            false => Standing::NotOurs,
        };
    }
    if let Some(name) = recorded.or(by_spec) {
        let Some(class) = cluster.class(name) else { return gone(name, claimant, cluster) };
        if let Some(unknown) = claimant.request.class.clone().filter(|other| is_unknown(other, cluster)) {
            no_such_class(claimant, &unknown, &format!("`{name}` is used"));
        }
        return Standing::Class(class);
    }
    let by_annotation = claimant.request.class.as_deref().is_some_and(|name| cluster.class(name).is_some());
    if lb_class.is_some() && !marked && !by_annotation {
        return Standing::NotOurs;
    }
    by_wish(claimant, cluster, inventory)
}

/// The class by annotation if it exists, else what the Service asks for in MetalLB's way, has, or gets by default.
fn by_wish<'a>(claimant: &mut Claimant<'a>, cluster: &Cluster<'a>, inventory: &Inventory<'a>) -> Standing {
    let by_name = claimant.request.class.clone();
    if let Some(name) = &by_name {
        if let Some(class) = cluster.class(name) {
            return Standing::Class(class);
        }
        if cluster.snapshot.doubts.classes.may_exist("", name) {
            return Standing::Frozen;
        }
    }
    let standing = without_class(claimant, cluster, inventory);
    if let Some(name) = by_name {
        let instead = match standing {
            Standing::Class(class) => format!("`{}` is used", cluster.name(class)),
            Standing::Pools => "pools are used".to_owned(),
            Standing::NotOurs | Standing::Unbound | Standing::Frozen => "there is no default class".to_owned(),
        };
        no_such_class(claimant, &name, &instead);
    }
    standing
}

fn without_class<'a>(claimant: &Claimant<'a>, cluster: &Cluster<'a>, inventory: &Inventory<'a>) -> Standing {
    let asks = claimant.request.pool.is_some() || claimant.request.metallb.is_some();
    let default = cluster.default();
    if asks && cluster.has_address_pools() {
        return Standing::Pools;
    }
    if let Some(standing) = by_possession(claimant, cluster, inventory) {
        return standing;
    }
    match default {
        Some(class) => Standing::Class(class),
        None if cluster.has_address_pools() => Standing::Pools,
        None => Standing::Unbound,
    }
}

/// What the addresses that the Service has, or shows, are from.
fn by_possession<'a>(claimant: &Claimant<'a>, cluster: &Cluster<'a>, inventory: &Inventory<'a>) -> Option<Standing> {
    let held = inventory.of(claimant.namespace, claimant.name).iter();
    let mut held = held
        .filter_map(|&position| inventory.vips.get(position))
        .filter(|vip| vip.is_bound() && vip.claims().iter().any(|claim| claim.uid == claimant.uid));
    let from_pool = held.any(|vip| vip.object.spec.pool.contains('/'));
    if from_pool {
        // Without its pools it is left as it is.
        return Some(if cluster.has_address_pools() { Standing::Pools } else { Standing::Frozen });
    }
    let default = cluster.default()?;
    let shown = claimant.shown();
    let of_class = |address: &IpAddr| cluster.pool(default).is_some_and(|pool| pool.has(*address));
    let of_pools = |address: &IpAddr| {
        let allowed = |pool: &&Pool<'_>| !pool.is_class() && pool.allows(claimant.namespace, claimant.labels);
        cluster.pools.iter().filter(allowed).any(|pool| pool.has(*address))
    };
    (!shown.iter().any(of_class) && shown.iter().any(of_pools)).then_some(Standing::Pools)
}

fn is_unknown(name: &str, cluster: &Cluster<'_>) -> bool {
    cluster.class(name).is_none() && !cluster.snapshot.doubts.classes.may_exist("", name)
}

fn no_such_class(claimant: &mut Claimant<'_>, name: &str, instead: &str) {
    let field = service::field(annotation::DECKHOUSE_CLASS);
    let message = format!("there is no MetalLoadBalancerClass `{name}`: write the name of one that exists; {instead}");
    claimant.complain(Reason::InvalidValue, field, message);
}

fn gone(name: &str, claimant: &mut Claimant<'_>, cluster: &Cluster<'_>) -> Standing {
    if !cluster.snapshot.doubts.classes.may_exist("", name) {
        let field = format!("status.conditions[{}]", condition::CLASS);
        let message = format!(
            "the MetalLoadBalancerClass `{name}` that the Service is bound to is gone: make it again, or make the \
             Service again; its addresses stay as they are and it gets no others"
        );
        claimant.complain(Reason::InvalidValue, field, message);
    }
    Standing::Frozen
}

impl Pool<'_> {
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.of(Family::of(address)).contains(number(address))
    }
}

/// The class that the Service was bound to.
pub(super) fn recorded(service: &Service) -> Option<&str> {
    let conditions = service.status.as_ref()?.conditions.as_deref()?;
    let bound = conditions.iter().find(|condition| condition.type_ == condition::CLASS)?;
    Some(bound.message.trim()).filter(|name| !name.is_empty())
}

/// The addresses in a Service's status, in their order, each once.
pub(super) fn shown_by(service: &Service) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    ingress
        .filter_map(|entry| entry.ip.as_deref()?.parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
        .filter(|&address| seen.insert(address))
        .collect()
}
