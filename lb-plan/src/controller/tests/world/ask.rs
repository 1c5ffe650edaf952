//! What tests ask of a world.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use lb_api::{
    VirtualIP,
    virtual_ip::{Claim, Phase},
};

use super::World;

impl World {
    /// The addresses that a Service shows.
    pub(in crate::controller::tests) fn shown(&self, service: &str) -> Vec<String> {
        self.shown_in("default", service)
    }

    pub(in crate::controller::tests) fn shown_in(&self, namespace: &str, service: &str) -> Vec<String> {
        let service = &self.services[&(namespace.to_owned(), service.to_owned())];
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = balancer.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
        ingress.filter_map(|entry| entry.ip.clone()).collect()
    }

    /// Whether any Service that counts shows an address.
    pub(in crate::controller::tests) fn is_shown(&self, address: &str) -> bool {
        self.services.iter().any(|((namespace, name), service)| {
            let is_load_balancer = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
            is_load_balancer && self.shown_in(namespace, name).iter().any(|shown| shown == address)
        })
    }

    pub(in crate::controller::tests) fn condition(&self, service: &str, type_: &str) -> Option<Condition> {
        let service = &self.services[&("default".to_owned(), service.to_owned())];
        let conditions = service.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == type_).cloned()
    }

    /// Class by the condition.
    pub(in crate::controller::tests) fn bound_to(&self, service: &str) -> Option<String> {
        self.condition(service, lb_api::names::condition::CLASS).map(|condition| condition.message)
    }

    pub(in crate::controller::tests) fn vip(&self, address: &str) -> Option<&VirtualIP> {
        let name = lb_api::virtual_ip::name_of(address.parse::<IpAddr>().expect("test data"));
        self.vips.get(&(String::new(), name)).map(|vip| &**vip)
    }

    pub(in crate::controller::tests) fn told(&self, part: &str) -> bool {
        self.events.values().any(|event| event.note.as_ref().is_some_and(|note| note.contains(part)))
    }

    /// All that was told.
    pub(in crate::controller::tests) fn notes(&self) -> Vec<String> {
        self.events.values().filter_map(|event| event.note.clone()).collect()
    }

    pub(in crate::controller::tests) fn reasons(&self) -> Vec<String> {
        self.events.values().filter_map(|event| event.reason.clone()).collect()
    }

    /// The reasons of what was told as a warning.
    pub(in crate::controller::tests) fn warnings(&self) -> Vec<String> {
        let warnings = self.events.values().filter(|event| event.type_.as_deref() == Some("Warning"));
        warnings.filter_map(|event| event.reason.clone()).collect()
    }

    /// Bound claims by Service name, with their address.
    pub(in crate::controller::tests) fn bound(&self) -> BTreeMap<String, Vec<(Claim, IpAddr)>> {
        let mut bound: BTreeMap<String, Vec<(Claim, IpAddr)>> = BTreeMap::new();
        for vip in self.vips.values().filter(|vip| vip.spec.phase == Phase::Bound) {
            let address = vip.spec.address.parse().expect("validated");
            for claim in &vip.spec.claims {
                bound.entry(claim.name.clone()).or_default().push((claim.clone(), address));
            }
        }
        bound
    }

    pub(in crate::controller::tests) fn primary(&self, address: &str) -> String {
        self.vip(address).and_then(|vip| vip.spec.nodes.first().cloned()).unwrap_or_default()
    }
}
