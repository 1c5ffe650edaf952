//! What the controller looks at: one reflector per kind.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{Node, Service},
    events::v1::Event,
};
use lb_api::{MetalLoadBalancerClass, VirtualIP};
use lb_plan::controller::{Doubt, Doubts, Snapshot};
use lb_store::{Listing, Object, Reflector, Stopped, Store};

/// All kinds.
pub(crate) struct Inputs {
    services: Reflector<Service>,
    nodes: Reflector<Node>,
    classes: Reflector<MetalLoadBalancerClass>,
    virtual_ips: Reflector<VirtualIP>,
    events: Reflector<Event>,
}

impl Inputs {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            services: store.reflect(),
            nodes: store.reflect(),
            classes: store.reflect(),
            virtual_ips: store.reflect(),
            events: store.reflect(),
        }
    }

    /// Waits until every kind has been read.
    pub(crate) async fn ready(&mut self) -> Result<(), Stopped> {
        self.services.ready().await?;
        self.nodes.ready().await?;
        self.classes.ready().await?;
        self.virtual_ips.ready().await?;
        self.events.ready().await
    }

    /// Waits until any kind has changed. Several changes may be one.
    pub(crate) async fn changed(&mut self) -> Result<(), Stopped> {
        tokio::select! {
            changed = self.services.changed() => changed,
            changed = self.nodes.changed() => changed,
            changed = self.classes.changed() => changed,
            changed = self.virtual_ips.changed() => changed,
            changed = self.events.changed() => changed,
        }
    }

    /// Everything as it is now.
    pub(crate) fn snapshot(&self, refused: BTreeSet<IpAddr>, now: Timestamp, quarantine: Duration) -> Snapshot {
        let (services, nodes) = (self.services.current(), self.nodes.current());
        let (classes, virtual_ips) = (self.classes.current(), self.virtual_ips.current());
        Snapshot {
            doubts: Doubts {
                services: doubt(&services),
                nodes: doubt(&nodes),
                classes: doubt(&classes),
                virtual_ips: doubt(&virtual_ips),
            },
            services: objects(&services),
            nodes: objects(&nodes),
            classes: objects(&classes),
            virtual_ips: objects(&virtual_ips),
            events: objects(&self.events.current()),
            refused,
            now,
            quarantine,
        }
    }
}

fn objects<K: Object>(listing: &Listing<K>) -> Vec<Arc<K>> {
    listing.objects.values().map(Arc::clone).collect()
}

fn doubt<K>(listing: &Listing<K>) -> Doubt {
    let mut doubt = Doubt::default();
    for key in &listing.doubtful {
        doubt.insert(key.namespace.as_str(), key.name.as_str());
    }
    doubt
}
