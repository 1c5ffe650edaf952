//! What the controller looks at: one reflector per kind.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{Namespace, Node, Service},
    events::v1::Event,
};
use lb_api::{ConfigurationState, EndpointSlice, IPAddressPool, L2Advertisement, MetalLoadBalancerClass, VirtualIP};
use lb_plan::controller::{BgpObjects, Change, Changes, Configuration, Doubt, Doubts, Snapshot};
use lb_store::{Listing, Object, Reflector, Set, Stopped, Store};

use crate::announced::Announced;

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
    announced: Announced,
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
            announced: Announced::new(store),
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
        self.slices.ready().await?;
        self.announced.ready().await
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
            changed = self.announced.changed() => changed,
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
            self.announced.are_of(&digest),
        ];
        same.into_iter().all(|same| same).then_some(digest)
    }

    /// Everything as it is now.
    pub(crate) fn now(&self) -> Seen {
        Seen {
            services: self.services.current(),
            nodes: self.nodes.current(),
            classes: self.classes.current(),
            virtual_ips: self.virtual_ips.current(),
            events: self.events.current(),
            pools: self.pools.current(),
            advertisements: self.advertisements.current(),
            states: self.states.current(),
            namespaces: self.namespaces.current(),
            slices: self.slices.current(),
            bgp: self.announced.current(),
            doubtful_pools: self.announced.doubtful_pools(),
        }
    }

    /// The snapshot of what was seen.
    pub(crate) fn snapshot(
        &self,
        seen: &Seen,
        refused: BTreeSet<IpAddr>,
        now: Timestamp,
        quarantine: Duration,
    ) -> Snapshot {
        // A MetalLoadBalancerPool stands for the IPAddressPool of its name.
        let mut ip_address_pools = doubt(&seen.pools);
        for name in &seen.doubtful_pools {
            ip_address_pools.insert(self.configuration.namespace.as_str(), name.as_str());
        }
        Snapshot {
            doubts: Doubts {
                services: doubt(&seen.services),
                nodes: doubt(&seen.nodes),
                classes: doubt(&seen.classes),
                virtual_ips: doubt(&seen.virtual_ips),
                ip_address_pools,
                l2_advertisements: doubt(&seen.advertisements),
                namespaces: doubt(&seen.namespaces),
                endpoint_slices: doubt(&seen.slices),
            },
            services: objects(&seen.services),
            nodes: objects(&seen.nodes),
            classes: objects(&seen.classes),
            virtual_ips: objects(&seen.virtual_ips),
            events: objects(&seen.events),
            ip_address_pools: objects(&seen.pools),
            l2_advertisements: objects(&seen.advertisements),
            configuration_states: objects(&seen.states),
            namespaces: objects(&seen.namespaces),
            endpoint_slices: objects(&seen.slices),
            bgp: seen.bgp.clone(),
            configuration: self.configuration.clone(),
            refused,
            now,
            quarantine,
        }
    }
}

/// All kinds at a moment.
pub(crate) struct Seen {
    pub(crate) services: Arc<Listing<Service>>,
    nodes: Arc<Listing<Node>>,
    classes: Arc<Listing<MetalLoadBalancerClass>>,
    virtual_ips: Arc<Listing<VirtualIP>>,
    events: Arc<Listing<Event>>,
    pools: Arc<Listing<IPAddressPool>>,
    advertisements: Arc<Listing<L2Advertisement>>,
    states: Arc<Listing<ConfigurationState>>,
    namespaces: Arc<Listing<Namespace>>,
    slices: Arc<Listing<EndpointSlice>>,
    bgp: BgpObjects,
    /// MetalLoadBalancerPools that may exist although they are not listed.
    doubtful_pools: Vec<String>,
}

impl Seen {
    /// What differs from an earlier moment; `None` if more does than [`Changes`] can say, or something is in doubt.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Changes> {
        let others = [
            is_same(&earlier.nodes, &self.nodes),
            is_same(&earlier.classes, &self.classes),
            is_same(&earlier.advertisements, &self.advertisements),
            is_same(&earlier.namespaces, &self.namespaces),
            earlier.bgp == self.bgp,
        ];
        let certain = [
            self.services.doubtful.is_empty(),
            self.virtual_ips.doubtful.is_empty(),
            self.pools.doubtful.is_empty(),
            self.slices.doubtful.is_empty(),
            self.doubtful_pools.is_empty(),
        ];
        others.into_iter().chain(certain).all(|holds| holds).then(|| Changes {
            services: changes(&earlier.services, &self.services),
            virtual_ips: changes(&earlier.virtual_ips, &self.virtual_ips),
            endpoint_slices: changes(&earlier.slices, &self.slices),
            events: changes(&earlier.events, &self.events),
            ip_address_pools: changes(&earlier.pools, &self.pools),
            configuration_states: changes(&earlier.states, &self.states),
        })
    }
}

/// Whether both have the same objects, apart from versions, and nothing is in doubt.
fn is_same<K: Object>(earlier: &Arc<Listing<K>>, now: &Arc<Listing<K>>) -> bool {
    if !now.doubtful.is_empty() {
        return false;
    }
    let differs = |set: &Set<K>| {
        let Some(before) = &set.before else { return true };
        let mut before = K::clone(before);
        before.meta_mut().resource_version.clone_from(&set.now.meta().resource_version);
        before != *set.now
    };
    let since = if Arc::ptr_eq(earlier, now) { Default::default() } else { now.since(earlier) };
    since.removed.is_empty() && !since.set.iter().any(differs)
}

fn changes<K: Object>(earlier: &Arc<Listing<K>>, now: &Arc<Listing<K>>) -> Vec<Change<K>> {
    if Arc::ptr_eq(earlier, now) {
        return Vec::new();
    }
    let lb_store::Changes { set, removed } = now.since(earlier);
    let gone = removed.into_iter().map(|object| Change { before: Some(object), now: None });
    gone.chain(set.into_iter().map(|Set { before, now }| Change { before, now: Some(now) })).collect()
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
