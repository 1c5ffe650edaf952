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
use lb_api::{names::GROUP, validate};

use super::{Action, Snapshot, Step, Why, choice::Claimant, cluster::Cluster, rank::hash};

/// How long an Event stays, as in Kubernetes.
pub(super) const KEPT: Duration = Duration::from_secs(3600);

/// Kubernetes refuses a longer note.
const MAX_NOTE: usize = 1024;

/// The Events to write and to remove, and when the next one goes.
pub(super) fn steps(
    snapshot: &Snapshot,
    cluster: &Cluster<'_>,
    claimants: &[Claimant<'_>],
) -> (Vec<Step>, Option<Timestamp>) {
    let (mut steps, mut deadline) = (Vec::new(), None);
    let mut known: BTreeSet<(&str, &str)> = BTreeSet::new();
    for event in snapshot.events.iter().filter(|event| event.reporting_controller.as_deref() == Some(GROUP)) {
        let metadata = &event.metadata;
        known.extend(metadata.namespace.as_deref().zip(metadata.name.as_deref()));
        match end(event).filter(|&end| end > snapshot.now) {
            Some(end) => deadline = Some(deadline.map_or(end, |earliest: Timestamp| earliest.min(end))),
            None => steps.push(Step { action: Action::DeleteEvent(Arc::clone(event)), why: Why::Old }),
        }
    }
    for event in wanted(snapshot, cluster, claimants) {
        let name = event.metadata.namespace.as_deref().zip(event.metadata.name.as_deref());
        if name.is_some_and(|name| !known.contains(&name)) {
            steps.push(Step { action: Action::CreateEvent(Box::new(event)), why: Why::Told });
        }
    }
    (steps, deadline)
}

fn end(event: &Event) -> Option<Timestamp> {
    event.event_time.as_ref().and_then(|time| time.0.checked_add(KEPT).ok())
}

fn wanted(snapshot: &Snapshot, cluster: &Cluster<'_>, claimants: &[Claimant<'_>]) -> Vec<Event> {
    let mut events = Vec::new();
    for claimant in claimants {
        let mut tell = |reason, note| events.push(event(claimant.service, snapshot.now, reason, note));
        for problem in &claimant.problems {
            tell("InvalidValue", problem.to_string());
        }
        for shortage in &claimant.shortages {
            tell("AllocationFailed", shortage.clone());
        }
    }
    let used = cluster.default().unwrap_or_default();
    for name in cluster.defaults().skip(1) {
        if let Some(class) = cluster.classes.get(name) {
            let note =
                format!("spec.isDefault: class `{used}` is the default too, and is used: set it on one class only");
            events.push(event(class.object, snapshot.now, "SeveralDefaults", note));
        }
    }
    for class in cluster.classes.values() {
        for problem in validate::class(class.object) {
            events.push(event(class.object, snapshot.now, "InvalidValue", problem.to_string()));
        }
    }
    events
}

fn event<K: Resource<DynamicType = ()>>(regarding: &K, now: Timestamp, reason: &str, mut note: String) -> Event {
    let metadata = regarding.meta();
    let (object, uid) = (metadata.name.clone().unwrap_or_default(), metadata.uid.clone().unwrap_or_default());
    if note.len() > MAX_NOTE {
        note.truncate(note.floor_char_boundary(MAX_NOTE - 3));
        note.push_str("...");
    }
    // A hash with a separator that stands in none of its parts; the name before it is for the reader.
    let id = hash::of(&format!("{uid}\n{reason}\n{note}"));
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
        reason: Some(reason.to_owned()),
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
        type_: Some("Warning".into()),
        ..Event::default()
    }
}
