//! What Herald tells users, as `events.k8s.io/v1` Events.
//!
//! An Event's name is made of what it says, so telling it again writes nothing. Events are level-triggered like all
//! else: what holds for longer than [`KEPT`] is told anew when the old Event has gone.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::Resource;
use lb_api::names::GROUP;

use super::{
    Action, Snapshot, Step, Why,
    allocate::Allocation,
    announced,
    choice::Claimant,
    cluster::{Cluster, Source},
    problems,
    rank::hash,
};

/// How long an Event stays, as in Kubernetes.
pub(super) const KEPT: Duration = Duration::from_secs(3600);

/// Kubernetes refuses a longer note.
const MAX_NOTE: usize = 1024;

/// The reason of an Event: MetalLB's words where it has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// What the user wrote cannot be used as written.
    InvalidValue,
    /// The Service got addresses.
    IpAllocated,
    /// The Service may keep an address no longer.
    ClearAssignment,
    /// The Service prefers two families, and its pool has no address of one left.
    AdditionalAssignFailed,
    /// The Service gets no address, or not the one that it asks for.
    AllocationFailed,
    /// What the Service asks for is not an address.
    LoadBalancerFailed,
    /// The Service requires two families and has one clusterIP.
    NotEnoughClusterIps,
    /// An annotation under MetalLB's old prefix.
    DeprecatedAnnotation,
    /// More than one class is the default.
    SeveralDefaults,
    /// Pools have addresses in common.
    Overlap,
    /// The object stands where nobody reads it.
    NotRead,
}

impl Reason {
    const fn word(self) -> &'static str {
        match self {
            Self::InvalidValue => "InvalidValue",
            Self::IpAllocated => "IPAllocated",
            Self::ClearAssignment => "ClearAssignment",
            Self::AdditionalAssignFailed => "AdditionalAssignFailed",
            Self::AllocationFailed => "AllocationFailed",
            Self::LoadBalancerFailed => "LoadBalancerFailed",
            Self::NotEnoughClusterIps => "not enough clusterips",
            Self::DeprecatedAnnotation => "deprecatedAnnotation",
            Self::SeveralDefaults => "SeveralDefaults",
            Self::Overlap => "Overlap",
            Self::NotRead => "NotRead",
        }
    }

    const fn type_(self) -> &'static str {
        match self {
            Self::IpAllocated | Self::ClearAssignment | Self::AdditionalAssignFailed => "Normal",
            Self::InvalidValue
            | Self::AllocationFailed
            | Self::LoadBalancerFailed
            | Self::NotEnoughClusterIps
            | Self::DeprecatedAnnotation
            | Self::SeveralDefaults
            | Self::Overlap
            | Self::NotRead => "Warning",
        }
    }
}

/// A Service whose status is about to show other addresses, and those that are new.
pub(super) type News = (usize, Vec<std::net::IpAddr>);

/// The Events to write and to remove, and when the next one goes.
pub(super) fn steps(
    snapshot: &Snapshot,
    cluster: &Cluster<'_>,
    claimants: &[Claimant<'_>],
    allocation: &Allocation,
    news: &[News],
) -> (Vec<Step>, Option<Timestamp>) {
    let (mut steps, mut deadline) = (Vec::new(), None);
    let mut known: BTreeSet<(&str, &str)> = BTreeSet::new();
    for event in snapshot.events.iter().filter(|event| is_own(event)) {
        let metadata = &event.metadata;
        known.extend(metadata.namespace.as_deref().zip(metadata.name.as_deref()));
        match end(event).filter(|&end| end > snapshot.now) {
            Some(end) => deadline = Some(deadline.map_or(end, |earliest: Timestamp| earliest.min(end))),
            None => steps.push(Step { action: Action::DeleteEvent(Arc::clone(event)), why: Why::Old }),
        }
    }
    let mut wanted = of_services(snapshot, claimants, allocation, news);
    wanted.extend(of_pools(snapshot, cluster));
    for event in wanted {
        let name = event.metadata.namespace.as_deref().zip(event.metadata.name.as_deref());
        let is_known =
            |name: &(&str, &str)| known.contains(name) || cluster.rest.is_some_and(|rest| rest.has_told(*name));
        if name.is_some_and(|name| !is_known(&name)) {
            steps.push(Step { action: Action::CreateEvent(Box::new(event)), why: Why::Told });
        }
    }
    (steps, deadline)
}

/// Whether Herald told it.
pub(super) fn is_own(event: &Event) -> bool {
    event.reporting_controller.as_deref() == Some(GROUP)
}

/// When it goes.
pub(super) fn end(event: &Event) -> Option<Timestamp> {
    event.event_time.as_ref().and_then(|time| time.0.checked_add(KEPT).ok())
}

fn of_services(snapshot: &Snapshot, claimants: &[Claimant<'_>], allocation: &Allocation, news: &[News]) -> Vec<Event> {
    let mut events = Vec::new();
    for claimant in claimants {
        let mut tell = |reason, note| events.push(event(claimant.service, snapshot.now, reason, note));
        for (reason, problem) in &claimant.problems {
            tell(*reason, problem.to_string());
        }
        for (reason, shortage) in &claimant.shortages {
            tell(*reason, shortage.clone());
        }
    }
    // Told as long as the loss is not written, so that it is told although the controller is killed before.
    for (service, _, told) in &allocation.losses {
        if let Some(claimant) = claimants.get(*service) {
            events.push(event(claimant.service, snapshot.now, Reason::ClearAssignment, told.clone()));
        }
    }
    for (service, new) in news {
        let Some(claimant) = claimants.get(*service) else { continue };
        if !new.is_empty() {
            let list = new.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(" ");
            let note = format!("Assigned IP [{list}]");
            events.push(event(claimant.service, snapshot.now, Reason::IpAllocated, note));
        }
        for old in &claimant.request.deprecated {
            let new = old.replace("metallb.universe.tf/", "metallb.io/");
            let note = format!("metadata.annotations[{old}]: the prefix is deprecated: write {new}");
            events.push(event(claimant.service, snapshot.now, Reason::DeprecatedAnnotation, note));
        }
    }
    events
}

/// What is wrong with what pools and advertisements say, on the object that says it.
fn of_pools(snapshot: &Snapshot, cluster: &Cluster<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    let used = cluster.default().map(|id| cluster.name(id)).unwrap_or_default();
    for id in cluster.defaults().skip(1) {
        if let Some(Source::Class { object, .. }) = cluster.pool(id).map(|pool| &pool.source) {
            let note =
                format!("spec.isDefault: class `{used}` is the default too, and is used: set it on one class only");
            events.push(event(*object, snapshot.now, Reason::SeveralDefaults, note));
        }
    }
    for (id, reason, problem) in problems::of_pools(cluster) {
        match cluster.pool(id).map(|pool| &pool.source) {
            Some(Source::Class { object, .. }) => {
                events.push(event(*object, snapshot.now, reason, problem.to_string()))
            }
            Some(Source::Pool { object, .. }) => events.push(object.event(snapshot.now, reason, problem.to_string())),
            None => {}
        }
    }
    if !snapshot.configuration.reads_metallb {
        return events;
    }
    for (object, problem) in problems::shadowed(cluster) {
        events.push(event(object, snapshot.now, Reason::InvalidValue, problem.to_string()));
    }
    for (object, problem) in problems::of_advertisements(cluster) {
        events.push(event(object, snapshot.now, Reason::InvalidValue, problem.to_string()));
    }
    let namespace = &snapshot.configuration.namespace;
    let note = || format!("metadata.namespace: is not read here: make it in namespace `{namespace}`");
    let is_elsewhere = |there: &Option<String>| there.as_ref() != Some(namespace);
    let pools = snapshot.ip_address_pools.iter().filter(|object| is_elsewhere(&object.metadata.namespace));
    // Deckhouse makes pools of its classes; they are its own business.
    let pools = pools.filter(|object| {
        let labels = object.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get("heritage")).map(String::as_str) != Some("deckhouse")
    });
    events.extend(pools.map(|object| event(object.as_ref(), snapshot.now, Reason::NotRead, note())));
    let advertisements = snapshot.l2_advertisements.iter();
    let advertisements = advertisements.filter(|object| is_elsewhere(&object.metadata.namespace));
    events.extend(advertisements.map(|object| event(object.as_ref(), snapshot.now, Reason::NotRead, note())));
    events.extend(announced::events(snapshot));
    events
}

/// An Event on an object.
pub(super) fn event<K: Resource<DynamicType = ()>>(
    regarding: &K,
    now: Timestamp,
    reason: Reason,
    mut note: String,
) -> Event {
    let metadata = regarding.meta();
    let (object, uid) = (metadata.name.clone().unwrap_or_default(), metadata.uid.clone().unwrap_or_default());
    if note.len() > MAX_NOTE {
        note.truncate(note.floor_char_boundary(MAX_NOTE - 3));
        note.push_str("...");
    }
    // A hash with a separator that stands in none of its parts; the name before it is for the reader.
    let id = hash::of(&format!("{uid}\n{}\n{note}", reason.word()));
    let head: String = object.chars().take(200).collect();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{id:016x}", head.trim_end_matches(['.', '-']))),
            // Events about cluster-scoped objects stand in `default`.
            namespace: Some(metadata.namespace.clone().unwrap_or_else(|| "default".into())),
            ..ObjectMeta::default()
        },
        action: Some("Allocate".into()),
        event_time: Some(MicroTime(now)),
        note: Some(note),
        reason: Some(reason.word().to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(K::api_version(&()).into_owned()),
            kind: Some(K::kind(&()).into_owned()),
            name: Some(object),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(GROUP.into()),
        reporting_instance: Some("lb-controller".into()),
        type_: Some(reason.type_().into()),
        ..Event::default()
    }
}
