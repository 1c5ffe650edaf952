//! Whose a Service is, and which class it has.
//!
//! As Deckhouse does it, a later line wins over an earlier one if its class exists: the default class, the annotation,
//! `spec.loadBalancerClass`, the class recorded in the Service's condition. So a binding is sticky; and a Service whose
//! recorded class is gone is left as it is.
//!
//! Unlike Deckhouse: a `spec.loadBalancerClass` that is no class of ours belongs to another implementation and the
//! Service is not touched; an unknown class by annotation is told on the Service; of several default classes the first
//! by name is used, and the others are told.

use k8s_openapi::api::core::v1::Service;
use lb_api::{
    Problem,
    names::{annotation, condition},
    service::{self, Request},
};

use super::{Snapshot, cluster::Cluster, wish::Wish};

/// A Service and what was made of it.
#[derive(Debug)]
pub(super) struct Claimant<'a> {
    pub(super) service: &'a Service,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) request: Request,
    pub(super) standing: Standing<'a>,
    /// What of the Service cannot be honoured as written.
    pub(super) problems: Vec<Problem>,
    /// What could not be had, for an event.
    pub(super) shortages: Vec<String>,
    /// How many addresses, and where; set for those that are bound.
    pub(super) wish: Wish,
}

/// What Herald is to a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing<'a> {
    /// Nothing (another type, another implementation): it gives back what it has.
    NotOurs,
    /// It has no class: it gives back what it has, and hears why.
    Unbound,
    /// Its class is gone or cannot be read: it keeps what it has and gets nothing.
    Frozen,
    /// It has this class.
    Bound(&'a str),
}

/// All Services, the oldest first: who was there first is served first.
pub(super) fn claimants<'a>(snapshot: &'a Snapshot, cluster: &Cluster<'a>) -> Vec<Claimant<'a>> {
    let mut claimants: Vec<Claimant<'a>> = snapshot.services.iter().map(|service| claimant(service, cluster)).collect();
    claimants.sort_by_key(|claimant| {
        let created = claimant.service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, claimant.namespace, claimant.name)
    });
    claimants
}

fn claimant<'a>(service: &'a Service, cluster: &Cluster<'a>) -> Claimant<'a> {
    let metadata = &service.metadata;
    let none = std::collections::BTreeMap::new();
    let mut request = service::read(metadata.annotations.as_ref().unwrap_or(&none));
    let mut problems = std::mem::take(&mut request.problems);
    let standing = standing(service, &request, cluster, &mut problems);
    Claimant {
        service,
        namespace: metadata.namespace.as_deref().unwrap_or_default(),
        name: metadata.name.as_deref().unwrap_or_default(),
        uid: metadata.uid.as_deref().unwrap_or_default(),
        request,
        standing,
        problems,
        shortages: Vec::new(),
        wish: Wish::default(),
    }
}

fn standing<'a>(
    service: &'a Service,
    request: &Request,
    cluster: &Cluster<'a>,
    problems: &mut Vec<Problem>,
) -> Standing<'a> {
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) != Some("LoadBalancer") {
        return Standing::NotOurs;
    }
    let by_spec = spec.and_then(|spec| spec.load_balancer_class.as_deref());
    let recorded = recorded(service);
    if let Some(name) = by_spec.filter(|name| !cluster.classes.contains_key(name)) {
        // The class that it was bound to may have gone; else the name is another implementation's.
        let was_ours = recorded == Some(name);
        return match was_ours {
            true => gone(name, cluster, problems),
            false if cluster.doubt.may_exist("", name) => Standing::Frozen,
            false => Standing::NotOurs,
        };
    }
    let Some(name) = recorded.or(by_spec) else { return by_wish(request, cluster, problems) };
    let Some(class) = known(name, cluster) else { return gone(name, cluster, problems) };
    if let Some(unknown) = request.class.as_deref().filter(|other| is_unknown(other, cluster)) {
        problems.push(no_such_class(unknown, &format!("`{class}` is used")));
    }
    Standing::Bound(class)
}

/// The class by annotation if it exists, else the default.
fn by_wish<'a>(request: &Request, cluster: &Cluster<'a>, problems: &mut Vec<Problem>) -> Standing<'a> {
    let default = cluster.default();
    let Some(name) = request.class.as_deref() else {
        return default.map_or(Standing::Unbound, Standing::Bound);
    };
    if let Some(class) = known(name, cluster) {
        return Standing::Bound(class);
    }
    if cluster.doubt.may_exist("", name) {
        return Standing::Frozen;
    }
    let instead = default.map_or_else(|| "there is no default class".to_owned(), |class| format!("`{class}` is used"));
    problems.push(no_such_class(name, &instead));
    default.map_or(Standing::Unbound, Standing::Bound)
}

fn is_unknown(name: &str, cluster: &Cluster<'_>) -> bool {
    known(name, cluster).is_none() && !cluster.doubt.may_exist("", name)
}

fn no_such_class(name: &str, instead: &str) -> Problem {
    Problem {
        field: format!("metadata.annotations[{}]", annotation::DECKHOUSE_CLASS),
        message: format!("there is no MetalLoadBalancerClass `{name}`: write the name of one that exists; {instead}"),
    }
}

/// The class of that name, borrowed for as long as the cluster is.
fn known<'a>(name: &str, cluster: &Cluster<'a>) -> Option<&'a str> {
    cluster.classes.get_key_value(name).map(|(&name, _)| name)
}

fn gone<'a>(name: &str, cluster: &Cluster<'a>, problems: &mut Vec<Problem>) -> Standing<'a> {
    if !cluster.doubt.may_exist("", name) {
        problems.push(Problem {
            field: format!("status.conditions[{}]", condition::CLASS),
            message: format!(
                "the MetalLoadBalancerClass `{name}` that the Service is bound to is gone: make it again, or make the \
                 Service again; its addresses stay as they are and it gets no others"
            ),
        });
    }
    Standing::Frozen
}

/// The class that the Service was bound to.
pub(super) fn recorded(service: &Service) -> Option<&str> {
    let conditions = service.status.as_ref()?.conditions.as_deref()?;
    let bound = conditions.iter().find(|condition| condition.type_ == condition::CLASS)?;
    Some(bound.message.trim()).filter(|name| !name.is_empty())
}
