//! What the controller looks at: one reflector per kind.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{Namespace, Node, Service},
    discovery::v1::EndpointSlice,
    events::v1::Event,
};
use lb_api::{ConfigurationState, IPAddressPool, L2Advertisement, MetalLoadBalancerClass, VirtualIP};
use lb_plan::controller::{Configuration, Doubt, Doubts, Snapshot};
use lb_store::{Listing, Object, Reflector, Stopped, Store};

/// All kinds.
pub(crate) struct Inputs {
    services: Reflector<Service>,
    nodes: Reflector<Node>,
    classes: Reflector<MetalLoadBalancerClass>,
    virtual_ips: Reflector<VirtualIP>,
    events: Reflector<Event>,
    pools: Reflector<IPAddressPool>,
    advertisements: Reflector<L2Advertisement>,
    states: Reflector<ConfigurationState>,
    namespaces: Reflector<Namespace>,
    slices: Reflector<EndpointSlice>,
    configuration: Configuration,
}

impl Inputs {
    pub(crate) fn new(store: &Store, configuration: Configuration) -> Self {
        Self {
            services: store.reflect(),
            nodes: store.reflect(),
            classes: store.reflect(),
            virtual_ips: store.reflect(),
            events: store.reflect(),
            pools: store.reflect(),
            advertisements: store.reflect(),
            states: store.reflect(),
            namespaces: store.reflect(),
            slices: store.reflect(),
            configuration,
        }
    }

    /// Waits until every kind has been read.
    pub(crate) async fn ready(&mut self) -> Result<(), Stopped> {
        self.services.ready().await?;
        self.nodes.ready().await?;
        self.classes.ready().await?;
        self.virtual_ips.ready().await?;
        self.events.ready().await?;
        self.pools.ready().await?;
        self.advertisements.ready().await?;
        self.states.ready().await?;
        self.namespaces.ready().await?;
        self.slices.ready().await
    }

    /// Waits until any kind has changed. Several changes may be one.
    pub(crate) async fn changed(&mut self) -> Result<(), Stopped> {
        tokio::select! {
            changed = self.services.changed() => changed,
            changed = self.nodes.changed() => changed,
            changed = self.classes.changed() => changed,
            changed = self.virtual_ips.changed() => changed,
            changed = self.events.changed() => changed,
            changed = self.pools.changed() => changed,
            changed = self.advertisements.changed() => changed,
            changed = self.states.changed() => changed,
            changed = self.namespaces.changed() => changed,
            changed = self.slices.changed() => changed,
        }
    }

    /// The digest of all users' files, if every listing is of the same.
    pub(crate) fn digest(&self) -> Option<Arc<str>> {
        let digest = Arc::clone(&self.services.current().digest);
        let same = [
            self.nodes.current().digest == digest,
            self.classes.current().digest == digest,
            self.virtual_ips.current().digest == digest,
            self.events.current().digest == digest,
            self.pools.current().digest == digest,
            self.advertisements.current().digest == digest,
            self.states.current().digest == digest,
            self.namespaces.current().digest == digest,
            self.slices.current().digest == digest,
        ];
        same.into_iter().all(|same| same).then_some(digest)
    }

    /// Everything as it is now, and the Services in it by name.
    pub(crate) fn snapshot(
        &self,
        refused: BTreeSet<IpAddr>,
        now: Timestamp,
        quarantine: Duration,
    ) -> (Snapshot, Arc<Listing<Service>>) {
        let (services, nodes) = (self.services.current(), self.nodes.current());
        let (classes, virtual_ips) = (self.classes.current(), self.virtual_ips.current());
        let (pools, advertisements) = (self.pools.current(), self.advertisements.current());
        let namespaces = self.namespaces.current();
        let snapshot = Snapshot {
            doubts: Doubts {
                services: doubt(&services),
                nodes: doubt(&nodes),
                classes: doubt(&classes),
                virtual_ips: doubt(&virtual_ips),
                ip_address_pools: doubt(&pools),
                l2_advertisements: doubt(&advertisements),
                namespaces: doubt(&namespaces),
            },
            services: objects(&services),
            nodes: objects(&nodes),
            classes: objects(&classes),
            virtual_ips: objects(&virtual_ips),
            events: objects(&self.events.current()),
            ip_address_pools: objects(&pools),
            l2_advertisements: objects(&advertisements),
            configuration_states: objects(&self.states.current()),
            namespaces: objects(&namespaces),
            endpoint_slices: objects(&self.slices.current()),
            configuration: self.configuration.clone(),
            refused,
            now,
            quarantine,
        };
        (snapshot, services)
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
