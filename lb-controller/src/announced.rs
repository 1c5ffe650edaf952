//! The objects of BGP that the controller follows: it tells what is wrong with them. The agents plan them.

use std::sync::Arc;

use lb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, MetalLoadBalancerBGPPeer, MetalLoadBalancerConfiguration,
    MetalLoadBalancerPool,
};
use lb_plan::{bgp::Deckhouse, controller::BgpObjects};
use lb_store::{Listing, Object, Reflector, Stopped, Store};

/// One reflector per kind. Clones follow independently.
#[derive(Clone)]
pub(crate) struct Announced {
    peers: Reflector<BGPPeer>,
    advertisements: Reflector<BGPAdvertisement>,
    profiles: Reflector<BFDProfile>,
    communities: Reflector<Community>,
    deckhouse_pools: Reflector<MetalLoadBalancerPool>,
    deckhouse_peers: Reflector<MetalLoadBalancerBGPPeer>,
    configurations: Reflector<MetalLoadBalancerConfiguration>,
}

impl Announced {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            peers: store.reflect(),
            advertisements: store.reflect(),
            profiles: store.reflect(),
            communities: store.reflect(),
            deckhouse_pools: store.reflect(),
            deckhouse_peers: store.reflect(),
            configurations: store.reflect(),
        }
    }

    /// Waits until every kind has been read.
    pub(crate) async fn ready(&mut self) -> Result<(), Stopped> {
        self.peers.ready().await?;
        self.advertisements.ready().await?;
        self.profiles.ready().await?;
        self.communities.ready().await?;
        self.deckhouse_pools.ready().await?;
        self.deckhouse_peers.ready().await?;
        self.configurations.ready().await
    }

    /// Waits until any kind has changed.
    pub(crate) async fn changed(&mut self) -> Result<(), Stopped> {
        tokio::select! {
            changed = self.peers.changed() => changed,
            changed = self.advertisements.changed() => changed,
            changed = self.profiles.changed() => changed,
            changed = self.communities.changed() => changed,
            changed = self.deckhouse_pools.changed() => changed,
            changed = self.deckhouse_peers.changed() => changed,
            changed = self.configurations.changed() => changed,
        }
    }

    /// Whether all listings are of the files with this digest.
    pub(crate) fn are_of(&self, digest: &Arc<str>) -> bool {
        let same = [
            self.peers.current().digest == *digest,
            self.advertisements.current().digest == *digest,
            self.profiles.current().digest == *digest,
            self.communities.current().digest == *digest,
            self.deckhouse_pools.current().digest == *digest,
            self.deckhouse_peers.current().digest == *digest,
            self.configurations.current().digest == *digest,
        ];
        same.into_iter().all(|same| same)
    }

    /// Everything as it is now.
    pub(crate) fn current(&self) -> BgpObjects {
        BgpObjects {
            peers: objects(&self.peers.current()),
            advertisements: objects(&self.advertisements.current()),
            profiles: objects(&self.profiles.current()),
            communities: objects(&self.communities.current()),
            deckhouse: Deckhouse {
                pools: objects(&self.deckhouse_pools.current()),
                peers: objects(&self.deckhouse_peers.current()),
                configurations: objects(&self.configurations.current()),
            },
        }
    }

    /// The names of MetalLoadBalancerPools that may exist although they are not listed.
    pub(crate) fn doubtful_pools(&self) -> Vec<String> {
        self.deckhouse_pools.current().doubtful.iter().map(|key| key.name.clone()).collect()
    }

    /// The same; `None` while not all of it has been read.
    pub(crate) fn synced(&self) -> Option<BgpObjects> {
        let synced = self.peers.current().synced
            && self.advertisements.current().synced
            && self.profiles.current().synced
            && self.communities.current().synced
            && self.deckhouse_pools.current().synced
            && self.deckhouse_peers.current().synced
            && self.configurations.current().synced;
        synced.then(|| self.current())
    }
}

fn objects<K: Object>(listing: &Listing<K>) -> Vec<Arc<K>> {
    listing.objects.values().map(Arc::clone).collect()
}
