//! MetalLB's objects, endpoints, and what Services show without Herald having said so.

use k8s_openapi::api::core::v1::Namespace;
use lb_api::{EndpointSlice, IPAddressPool, L2Advertisement, MetalLoadBalancerPool};

use super::{World, name, pairs};

impl World {
    /// An IPAddressPool of the configuration namespace.
    pub(in crate::controller::tests) fn pool(
        &mut self,
        pool: &str,
        addresses: &[&str],
        edit: impl FnOnce(&mut IPAddressPool),
    ) {
        let mut object = IPAddressPool::default();
        object.spec.addresses = addresses.iter().map(ToString::to_string).collect();
        object.spec.auto_assign = true;
        let old = self.pools.get(&(self.configuration.namespace.clone(), pool.to_owned()));
        object.status = old.and_then(|old| old.status);
        edit(&mut object);
        self.pool_object(pool, object);
    }

    pub(super) fn pool_object(&mut self, pool: &str, object: IPAddressPool) {
        let namespace = self.configuration.namespace.clone();
        let object = self.stored(&namespace, pool, object);
        self.pools.insert(name(&*object), object);
    }

    /// A MetalLoadBalancerPool.
    pub(in crate::controller::tests) fn deckhouse_pool(
        &mut self,
        pool: &str,
        addresses: &[&str],
        edit: impl FnOnce(&mut MetalLoadBalancerPool),
    ) {
        let mut object = MetalLoadBalancerPool::default();
        object.spec.addresses = addresses.iter().map(ToString::to_string).collect();
        object.spec.auto_assign = true;
        edit(&mut object);
        let object = self.stored("", pool, object);
        self.remove_deckhouse_pool(pool);
        self.bgp.deckhouse.pools.push(object);
    }

    pub(in crate::controller::tests) fn remove_deckhouse_pool(&mut self, pool: &str) {
        self.bgp.deckhouse.pools.retain(|other| other.metadata.name.as_deref() != Some(pool));
    }

    pub(in crate::controller::tests) fn remove_pool(&mut self, pool: &str) {
        self.pools.remove(&("metallb-system".to_owned(), pool.to_owned()));
    }

    /// An L2Advertisement of the configuration namespace.
    pub(in crate::controller::tests) fn advertise(
        &mut self,
        advertisement: &str,
        edit: impl FnOnce(&mut L2Advertisement),
    ) {
        let mut object = L2Advertisement::default();
        edit(&mut object);
        let object = self.stored("metallb-system", advertisement, object);
        self.advertisements.insert(name(&*object), object);
    }

    pub(in crate::controller::tests) fn namespace(&mut self, namespace: &str, labels: &[(&str, &str)]) {
        let mut object = Namespace::default();
        object.metadata.labels = Some(pairs(labels));
        let object = self.stored("", namespace, object);
        self.namespaces.insert(name(&*object), object);
    }

    /// The endpoints of a Service: the node, and whether it is ready and serving.
    pub(in crate::controller::tests) fn endpoints(&mut self, service: &str, endpoints: &[(&str, bool, bool)]) {
        let serving = endpoints.iter().filter(|(_, ready, serving)| *ready || *serving);
        let serving = serving.map(|(node, ..)| Some((*node).to_owned())).collect();
        let object = EndpointSlice { service: Some(service.to_owned()), serving, ..EndpointSlice::default() };
        let object = self.stored("default", &format!("{service}-1"), object);
        self.slices.insert(name(&*object), object);
    }

    /// What a Service shows without Herald having said so.
    pub(in crate::controller::tests) fn show(&mut self, service: &str, addresses: &[&str]) {
        self.service(service, |service| {
            let entry = |address: &&str| k8s_openapi::api::core::v1::LoadBalancerIngress {
                ip: Some((*address).to_owned()),
                ..Default::default()
            };
            let ingress = addresses.iter().map(entry).collect();
            service.status.get_or_insert_default().load_balancer.get_or_insert_default().ingress = Some(ingress);
        });
    }

    /// A VirtualIP of this address that nobody's Service claims.
    pub(in crate::controller::tests) fn by_hand(&mut self, mut vip: lb_api::VirtualIP) {
        vip.spec.claims.clear();
        let object = self.stored("", &name(&vip).1, vip);
        self.vips.insert(name(&*object), object);
    }
}
