//! What is wrong with the objects of BGP, told on each of them.
//!
//! The agents judge the same with the same functions, each for its node. Nothing of it stops anything here.

use std::sync::Arc;

use k8s_openapi::api::events::v1::Event;
use kube::Resource;

use super::{
    Snapshot,
    event::{Reason, event},
};
use crate::bgp;

/// Everything that is wrong, on the object that has to change, and what stands where nobody reads it.
pub(super) fn events(snapshot: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    for problem in bgp::problems(&snapshot.bgp_objects()) {
        let note = format!("{}: {}", problem.field, problem.message);
        events.extend(on(snapshot, &problem, note));
    }
    let namespace = &snapshot.configuration.namespace;
    let note = format!("metadata.namespace: is not read here: make it in namespace `{namespace}`");
    let bgp = &snapshot.bgp;
    elsewhere(snapshot, &bgp.peers, &note, &mut events);
    elsewhere(snapshot, &bgp.advertisements, &note, &mut events);
    elsewhere(snapshot, &bgp.profiles, &note, &mut events);
    elsewhere(snapshot, &bgp.communities, &note, &mut events);
    events
}

/// An Event on the object that a problem names.
fn on(snapshot: &Snapshot, problem: &bgp::Problem, note: String) -> Option<Event> {
    let (bgp, namespace) = (&snapshot.bgp, Some(snapshot.configuration.namespace.as_str()));
    let now = snapshot.now;
    let tell = (namespace, problem.name.as_str(), note);
    match problem.kind {
        "BGPPeer" => about(&bgp.peers, tell, now),
        "BGPAdvertisement" => about(&bgp.advertisements, tell, now),
        "BFDProfile" => about(&bgp.profiles, tell, now),
        "Community" => about(&bgp.communities, tell, now),
        "MetalLoadBalancerBGPPeer" => about(&bgp.deckhouse.peers, (None, tell.1, tell.2), now),
        "MetalLoadBalancerConfiguration" => about(&bgp.deckhouse.configurations, (None, tell.1, tell.2), now),
        // The agents tell what concerns one Service on one node.
        _ => None,
    }
}

fn about<K: Resource<DynamicType = ()>>(
    listed: &[Arc<K>],
    (namespace, name, note): (Option<&str>, &str, String),
    now: jiff::Timestamp,
) -> Option<Event> {
    let object = listed.iter().find(|object| {
        let metadata = object.meta();
        metadata.name.as_deref() == Some(name) && metadata.namespace.as_deref() == namespace
    })?;
    Some(event(object.as_ref(), now, Reason::InvalidValue, note))
}

fn elsewhere<K: Resource<DynamicType = ()>>(
    snapshot: &Snapshot,
    listed: &[Arc<K>],
    note: &str,
    events: &mut Vec<Event>,
) {
    let there =
        |object: &&Arc<K>| object.meta().namespace.as_deref() != Some(snapshot.configuration.namespace.as_str());
    let told = listed.iter().filter(there);
    events.extend(told.map(|object| event(object.as_ref(), snapshot.now, Reason::NotRead, note.to_owned())));
}
