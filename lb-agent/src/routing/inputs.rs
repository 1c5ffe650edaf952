//! What BGP of one node depends on: one reflector for each kind.
//!
//! Services, VirtualIPs and EndpointSlices are followed only from the first peer on: a cluster without BGP pays for none.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{Node, Service};
use lb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, EndpointSlice, IPAddressPool, MetalLoadBalancerBGPPeer,
    MetalLoadBalancerConfiguration, MetalLoadBalancerPool, VirtualIP,
};
use lb_plan::{
    agent::{Leaving, Presence},
    bgp::{Deckhouse, Snapshot},
};
use lb_store::{Key, Listing, Object, Reflector, Stopped, Store};

use super::secrets::Secrets;
use crate::{args::Run, clock};

/// All kinds.
pub(super) struct Inputs {
    store: Store,
    node: String,
    namespace: String,
    ignores_exclude_label: bool,
    peers: Reflector<BGPPeer>,
    advertisements: Reflector<BGPAdvertisement>,
    profiles: Reflector<BFDProfile>,
    communities: Reflector<Community>,
    pools: Reflector<IPAddressPool>,
    deckhouse_pools: Reflector<MetalLoadBalancerPool>,
    deckhouse_peers: Reflector<MetalLoadBalancerBGPPeer>,
    deckhouse_configurations: Reflector<MetalLoadBalancerConfiguration>,
    routes: Option<Routes>,
    secrets: Secrets,
}

/// What only routes depend on.
struct Routes {
    nodes: Reflector<Node>,
    services: Reflector<Service>,
    virtual_ips: Reflector<VirtualIP>,
    slices: Reflector<EndpointSlice>,
    seen: Option<Arc<Listing<VirtualIP>>>,
    /// VirtualIPs that are not listed any more and still count.
    leaving: Leaving,
}

impl Inputs {
    pub(super) fn new(store: &Store, args: &Run) -> Self {
        Self {
            node: args.node.clone(),
            namespace: args.config_namespace.clone(),
            ignores_exclude_label: args.ignore_exclude_lb,
            peers: store.reflect(),
            advertisements: store.reflect(),
            profiles: store.reflect(),
            communities: store.reflect(),
            pools: store.reflect(),
            deckhouse_pools: store.reflect(),
            deckhouse_peers: store.reflect(),
            deckhouse_configurations: store.reflect(),
            routes: None,
            secrets: Secrets::new(store),
            store: store.clone(),
        }
    }

    /// Waits until the kinds that sessions are made of have been read.
    pub(super) async fn ready(&mut self) -> Result<(), Stopped> {
        self.peers.ready().await?;
        self.advertisements.ready().await?;
        self.profiles.ready().await?;
        self.communities.ready().await?;
        self.pools.ready().await?;
        self.deckhouse_pools.ready().await?;
        self.deckhouse_peers.ready().await?;
        self.deckhouse_configurations.ready().await?;
        self.follow_routes().await
    }

    /// Waits until any kind has changed, or time has changed something. Several changes may be one.
    pub(super) async fn changed(&mut self) -> Result<(), Stopped> {
        let routes = async {
            match &mut self.routes {
                Some(routes) => routes.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.peers.changed() => changed?,
            changed = self.advertisements.changed() => changed?,
            changed = self.profiles.changed() => changed?,
            changed = self.communities.changed() => changed?,
            changed = self.pools.changed() => changed?,
            changed = self.deckhouse_pools.changed() => changed?,
            changed = self.deckhouse_peers.changed() => changed?,
            changed = self.deckhouse_configurations.changed() => changed?,
            changed = routes => changed?,
            changed = self.secrets.changed() => changed?,
        }
        self.follow_routes().await
    }

    async fn follow_routes(&mut self) -> Result<(), Stopped> {
        let wanted = !self.peers.current().objects.is_empty() || !self.deckhouse_peers.current().objects.is_empty();
        if !wanted || self.routes.is_some() {
            return Ok(());
        }
        let store = &self.store;
        let mut routes = Routes {
            nodes: store.reflect(),
            services: store.reflect(),
            virtual_ips: store.reflect(),
            slices: store.reflect(),
            seen: None,
            leaving: Leaving::default(),
        };
        routes.nodes.ready().await?;
        routes.services.ready().await?;
        routes.virtual_ips.ready().await?;
        routes.slices.ready().await?;
        self.routes = Some(routes);
        Ok(())
    }

    /// Everything as it is now.
    pub(super) async fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = Snapshot {
            node: self.node.clone(),
            namespace: self.namespace.clone(),
            ignores_exclude_label: self.ignores_exclude_label,
            peers: objects(&self.peers),
            advertisements: objects(&self.advertisements),
            profiles: objects(&self.profiles),
            communities: objects(&self.communities),
            pools: objects(&self.pools),
            deckhouse: Deckhouse {
                pools: objects(&self.deckhouse_pools),
                peers: objects(&self.deckhouse_peers),
                configurations: objects(&self.deckhouse_configurations),
            },
            ..Snapshot::default()
        };
        snapshot.secrets = self.secrets.read(snapshot.needed_secrets()).await;
        if let Some(routes) = &mut self.routes {
            let key = Key::cluster_scoped(self.node.clone());
            snapshot.node_object = routes.nodes.current().objects.get(&key).map(Arc::clone);
            snapshot.services = objects(&routes.services);
            snapshot.endpoint_slices = objects(&routes.slices);
            snapshot.virtual_ips = routes.virtual_ips();
        }
        snapshot
    }
}

impl Routes {
    async fn changed(&mut self) -> Result<(), Stopped> {
        let due = self.leaving.next();
        let left = async {
            match due {
                Some(due) => tokio::time::sleep(due.saturating_sub(clock::monotonic())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.nodes.changed() => changed,
            changed = self.services.changed() => changed,
            changed = self.virtual_ips.changed() => changed,
            changed = self.slices.changed() => changed,
            () = left => Ok(()),
        }
    }

    /// The listed VirtualIPs by name, and those that merely disappeared, as the tables of ARP and NDP have them.
    fn virtual_ips(&mut self) -> Vec<Arc<VirtualIP>> {
        let listing = self.virtual_ips.current();
        if let Some(before) = self.seen.replace(Arc::clone(&listing)) {
            listing.since(&before).removed.into_iter().for_each(|object| self.leaving.add(object));
        }
        self.leaving.judge(clock::monotonic(), |name| {
            let key = Key::cluster_scoped(name);
            match (listing.objects.contains_key(&key), listing.is_gone(&key)) {
                (true, _) => Presence::Listed,
                (false, true) => Presence::Gone,
                (false, false) => Presence::Doubtful,
            }
        });
        let name = |object: &Arc<VirtualIP>| object.metadata.name.clone().unwrap_or_default();
        let all = listing.objects.values().map(Arc::clone).chain(self.leaving.shared());
        all.map(|object| (name(&object), object)).collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

fn objects<K: Object>(reflector: &Reflector<K>) -> Vec<Arc<K>> {
    reflector.current().objects.values().map(Arc::clone).collect()
}
