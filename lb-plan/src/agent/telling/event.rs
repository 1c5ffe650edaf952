//! The Events of a move and of a stranger. A move is told once, by who took; a pass that finds all as it was tells
//! nothing.
//!
//! A Service hears it in MetalLB's words, which its tests and its users look for; the VirtualIP hears from where to where
//! and why.

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::Resource;
use lb_api::{VirtualIP, names::GROUP};

use super::{Telling, stranger};

impl Telling {
    /// What people are told when this is written.
    pub fn events(&self, node: &str, now: Timestamp) -> Vec<Event> {
        let make = |regarding: ObjectReference, type_: &str, reason: &str, note: String| {
            event(node, now, regarding, (type_, reason), note)
        };
        let address = &self.object.spec.address;
        let mut events = Vec::new();
        if let Some(from) = &self.taken {
            let note = format!("announcing from node \"{node}\" with protocol \"layer2\"");
            events.extend(self.services().map(|service| make(service, "Normal", "nodeAssigned", note.clone())));
            if let Some(from) = from.as_deref().filter(|from| *from != node) {
                let why = self.status.why.as_deref().unwrap_or_default();
                let note = format!("{address} moved from {from} to {node}: {why}");
                events.push(make(self.virtual_ip(), "Normal", "Moved", note));
            }
        }
        if let Some(Some(mac)) = self.stranger {
            let note = format!("{} uses {address} too and is no node; seen by {node}", stranger::text(mac));
            let regarding = self.services().chain(std::iter::once(self.virtual_ip()));
            events.extend(regarding.map(|object| make(object, "Warning", "Stranger", note.clone())));
        }
        events.iter_mut().enumerate().for_each(|(number, event)| name(event, now, number));
        events
    }

    fn services(&self) -> impl Iterator<Item = ObjectReference> + '_ {
        self.object.spec.claims.iter().map(|claim| ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Service".into()),
            name: Some(claim.name.clone()),
            namespace: Some(claim.namespace.clone()),
            uid: Some(claim.uid.clone()),
            ..ObjectReference::default()
        })
    }

    fn virtual_ip(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(VirtualIP::api_version(&()).into_owned()),
            kind: Some(VirtualIP::kind(&()).into_owned()),
            name: self.object.metadata.name.clone(),
            uid: self.object.metadata.uid.clone(),
            ..ObjectReference::default()
        }
    }
}

/// The name is made of the object and of the nanosecond, as client-go makes it.
fn event(node: &str, at: Timestamp, regarding: ObjectReference, (type_, reason): (&str, &str), note: String) -> Event {
    Event {
        metadata: ObjectMeta {
            // Events about cluster-scoped objects stand in `default`.
            namespace: Some(regarding.namespace.clone().unwrap_or_else(|| "default".into())),
            ..ObjectMeta::default()
        },
        action: Some("Announce".into()),
        event_time: Some(MicroTime(at)),
        note: Some(note),
        reason: Some(reason.to_owned()),
        regarding: Some(regarding),
        reporting_controller: Some(GROUP.into()),
        reporting_instance: Some(node.chars().take(128).collect()),
        type_: Some(type_.to_owned()),
        ..Event::default()
    }
}

/// What happens at once to one object has names of its own all the same.
fn name(event: &mut Event, at: Timestamp, number: usize) {
    let object = event.regarding.as_ref().and_then(|object| object.name.as_deref()).unwrap_or_default();
    let head: String = object.chars().take(200).collect();
    let suffix = format!("{:x}{number:x}", at.as_nanosecond());
    event.metadata.name = Some(format!("{}.{suffix}", head.trim_end_matches(['.', '-'])));
}
