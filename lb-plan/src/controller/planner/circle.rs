//! How far changes reach.
//!
//! From a Service to the VirtualIPs that name it, that it shows and that it asks for, and to the Services with its sharing
//! key; from a VirtualIP to the Services of its claims, those that show its address and those that ask for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use lb_api::{
    VirtualIP,
    service::{self, Request},
};

use super::memory::{self, Memory, Name};
use crate::controller::choice::shown_by;

/// The most Services that are planned apart from the rest. More are planned sooner with it.
const MOST: usize = 512;

/// What changes can reach.
#[derive(Debug, Default)]
pub(super) struct Circle {
    /// Services, those that are gone among them.
    pub(super) names: BTreeSet<Name>,
    pub(super) vips: BTreeMap<IpAddr, Arc<VirtualIP>>,
}

/// The addresses that a Service asks for by name.
pub(super) fn requested(request: &Request) -> impl Iterator<Item = IpAddr> {
    let ours = request.ipv4.iter().copied().map(IpAddr::from).chain(request.ipv6.iter().copied().map(IpAddr::from));
    let metallb = request.metallb.iter().flat_map(|asked| {
        asked.ipv4.iter().copied().map(IpAddr::from).chain(asked.ipv6.iter().copied().map(IpAddr::from))
    });
    ours.chain(metallb)
}

/// Everything that these Services, and those that are open, can reach; `None` if it is too much.
pub(super) fn around(memory: &Memory, seeds: Vec<Name>) -> Option<Circle> {
    let mut circle = Circle::default();
    let mut waiting = seeds;
    waiting.extend(memory.open().cloned());
    while let Some(name) = waiting.pop() {
        if circle.names.contains(&name) {
            continue;
        }
        if circle.names.len() >= MOST {
            return None;
        }
        let mut addresses: BTreeSet<IpAddr> = memory.named(&name).collect();
        if let Some(service) = memory.service(&name) {
            let request = service::of(service);
            addresses.extend(shown_by(service));
            addresses.extend(requested(&request));
            waiting.extend(request.sharing_key.iter().flat_map(|key| memory.with_key(key)).cloned());
        }
        for address in addresses {
            waiting.extend(memory.shows(&address).chain(memory.asks_for(&address)).cloned());
            if let Some(vip) = memory.vip(&address).filter(|_| !circle.vips.contains_key(&address)) {
                let claims = vip.spec.claims.iter();
                waiting.extend(claims.map(|claim| memory::name(&claim.namespace, &claim.name)));
                circle.vips.insert(address, Arc::clone(vip));
            }
        }
        circle.names.insert(name);
    }
    Some(circle)
}
