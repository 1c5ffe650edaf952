//! Which nodes have endpoints of which Service.
//!
//! Which endpoints serve is judged where slices are read ([`lb_api::endpoints`]). Without a single EndpointSlice nothing is
//! known of endpoints, and nothing is narrowed: a cluster always has one (of the Service `kubernetes`), a directory of
//! manifests need not.

use std::collections::{BTreeSet, HashMap};

use crate::controller::{Snapshot, planner::Memory};

/// The endpoints of all Services.
#[derive(Debug, Default)]
pub(in crate::controller) struct Endpoints<'a> {
    known: bool,
    /// By namespace and name of the Service: the nodes. A Service that is not here has no serving endpoint.
    serving: HashMap<&'a str, HashMap<&'a str, BTreeSet<&'a str>>>,
}

impl<'a> Endpoints<'a> {
    pub(super) fn read(rest: Option<&Memory>, snapshot: &'a Snapshot) -> Self {
        let mut serving: HashMap<&str, HashMap<&str, BTreeSet<&str>>> = HashMap::new();
        for slice in &snapshot.endpoint_slices {
            let Some((namespace, name)) = slice.service_name() else { continue };
            for node in &slice.serving {
                let nodes = serving.entry(namespace).or_default().entry(name).or_default();
                nodes.extend(node.as_deref());
            }
        }
        let known = !snapshot.endpoint_slices.is_empty() || rest.is_some_and(Memory::knows_endpoints);
        Self { known, serving }
    }

    /// The nodes on which the Service has a serving endpoint. `None`: nothing is known.
    pub(in crate::controller) fn of(&self, namespace: &str, name: &str) -> Option<Serving<'_, 'a>> {
        self.known.then(|| Serving(self.serving.get(namespace).and_then(|names| names.get(name))))
    }
}

/// The serving endpoints of one Service.
#[derive(Debug, Clone, Copy)]
pub(in crate::controller) struct Serving<'e, 'a>(Option<&'e BTreeSet<&'a str>>);

impl<'a> Serving<'_, 'a> {
    /// Whether there is one anywhere, on a node or not.
    pub(in crate::controller) fn is_anywhere(&self) -> bool {
        self.0.is_some()
    }

    /// The nodes that have one.
    pub(in crate::controller) fn nodes(&self) -> impl Iterator<Item = &'a str> {
        self.0.into_iter().flatten().copied()
    }
}
