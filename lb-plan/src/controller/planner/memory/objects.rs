//! Objects come into the memory and leave it.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use k8s_openapi::api::{core::v1::Service, events::v1::Event};
use kube::Resource;
use lb_api::{
    ConfigurationState, EndpointSlice, IPAddressPool, VirtualIP, service,
    virtual_ip::{Family, Phase},
};

use super::{Few, Memory, Name, name};
use crate::controller::{
    choice::shown_by,
    event,
    planner::{Change, Changes, circle::requested},
};

impl Memory {
    /// Takes changes, and gives the Services that they are about; `None` if one is not as it is known here.
    pub(in crate::controller::planner) fn take(&mut self, changes: Changes) -> Option<Vec<Name>> {
        let mut about = Vec::new();
        for Change { before, now } in changes.services {
            if let Some(service) = &before {
                about.push(name_of(service.as_ref()));
                about.extend(shown(service).iter().flat_map(|address| self.asks_for(address)).cloned());
                self.remove_service(service)?;
            }
            if let Some(service) = now {
                about.push(name_of(service.as_ref()));
                self.add_service(service);
            }
        }
        for Change { before, now } in changes.virtual_ips {
            for vip in before.iter().chain(&now) {
                about.extend(vip.spec.claims.iter().map(|claim| name(&claim.namespace, &claim.name)));
                let reached = |address| self.shows(address).chain(self.asks_for(address));
                about.extend(address_of(vip).iter().flat_map(reached).cloned());
            }
            if let Some(vip) = &before {
                self.remove_vip(vip)?;
            }
            if let Some(vip) = now {
                self.add_vip(vip);
            }
        }
        for Change { before, now } in changes.endpoint_slices {
            let services = before.iter().chain(&now).filter_map(|slice| slice.service_name());
            about.extend(services.map(|(namespace, service)| name(namespace, service)));
            let knew = self.knows_endpoints();
            if let Some(slice) = before {
                self.remove_slice(&slice);
            }
            if let Some(slice) = now {
                self.add_slice(slice);
            }
            // With the first one something is known of all, with the last one of none.
            if knew != self.knows_endpoints() {
                return None;
            }
        }
        for Change { before, now } in changes.events {
            if let Some(event) = before {
                self.told.remove(title_of(&event).as_str());
            }
            if let Some(event) = now {
                self.add_event(&event);
            }
        }
        for change in changes.ip_address_pools {
            self.put_pool(change)?;
        }
        for change in changes.configuration_states {
            self.put_state(change);
        }
        Some(about)
    }

    /// The one that is kept of equal names.
    pub(super) fn known(&mut self, name: Name) -> Name {
        if let Some(known) = self.names.get(&name) {
            return Arc::clone(known);
        }
        self.names.insert(Arc::clone(&name));
        name
    }

    pub(super) fn add_service(&mut self, service: Arc<Service>) {
        let name = self.known(name_of(service.as_ref()));
        let request = service::of(&service);
        for address in requested(&request) {
            self.askers.entry(address).or_default().insert(name.clone());
        }
        if let Some(key) = request.sharing_key {
            self.sharers.entry(key).or_default().insert(name.clone());
        }
        for address in shown(&service) {
            self.showers.entry(address).or_default().insert(name.clone());
        }
        self.services.insert(name, service);
    }

    fn remove_service(&mut self, service: &Service) -> Option<()> {
        let name = name_of(service);
        let known = self.services.remove(&name)?;
        let request = service::of(&known);
        for address in requested(&request) {
            take_out(&mut self.askers, &address, &name);
        }
        if let Some(key) = request.sharing_key {
            take_out(&mut self.sharers, &key, &name);
        }
        for address in shown(&known) {
            take_out(&mut self.showers, &address, &name);
        }
        is_version(known.as_ref(), service)
    }

    pub(super) fn add_vip(&mut self, vip: Arc<VirtualIP>) {
        let Some(address) = address_of(&vip) else { return };
        for claim in &vip.spec.claims {
            let name = self.known(name(&claim.namespace, &claim.name));
            self.named.entry(name).or_default().insert(address);
        }
        self.count(&vip, address, 1);
        self.released += usize::from(vip.spec.phase != Phase::Bound);
        self.vips.insert(address, vip);
    }

    fn remove_vip(&mut self, vip: &VirtualIP) -> Option<()> {
        let Some(address) = address_of(vip) else { return Some(()) };
        let known = self.vips.remove(&address)?;
        for claim in &known.spec.claims {
            take_out(&mut self.named, &name(&claim.namespace, &claim.name), &address);
        }
        self.count(&known, address, -1);
        self.released -= usize::from(known.spec.phase != Phase::Bound);
        is_version(known.as_ref(), vip)
    }

    fn count(&mut self, vip: &VirtualIP, address: IpAddr, by: i64) {
        if vip.spec.phase == Phase::Bound {
            let (ipv4, ipv6) = self.assigned.entry(vip.spec.pool.clone()).or_default();
            match Family::of(address) {
                Family::IPv4 => *ipv4 += by,
                Family::IPv6 => *ipv6 += by,
            }
        }
    }

    pub(super) fn add_slice(&mut self, slice: Arc<EndpointSlice>) {
        self.slice_count += 1;
        if let Some((namespace, service)) = slice.service_name() {
            let service = self.known(name(namespace, service));
            let of = self.slices.entry(service).or_default();
            match of.binary_search_by(|other| other.metadata.name.cmp(&slice.metadata.name)) {
                Ok(position) => {
                    if let Some(known) = of.get_mut(position) {
                        *known = slice;
                    }
                }
                Err(position) => {
                    of.reserve_exact(1);
                    of.insert(position, slice);
                }
            }
        }
    }

    fn remove_slice(&mut self, slice: &EndpointSlice) {
        self.slice_count -= 1;
        if let Some((namespace, service)) = slice.service_name()
            && let Some(of) = self.slices.get_mut(&name(namespace, service))
        {
            of.retain(|other| other.metadata.name != slice.metadata.name);
        }
    }

    pub(super) fn add_event(&mut self, event: &Event) {
        if event::is_own(event) {
            self.told.insert(title_of(event).into());
            self.note_deadline(event::end(event));
        }
    }

    /// A pool may differ in its status.
    fn put_pool(&mut self, change: Change<IPAddressPool>) -> Option<()> {
        let (before, now) = (change.before?, change.now?);
        let mut same = IPAddressPool::clone(&before);
        same.status = now.status;
        same.metadata.resource_version.clone_from(&now.metadata.resource_version);
        same.metadata.generation = now.metadata.generation;
        let listed =
            self.base.ip_address_pools.iter_mut().find(|pool| name_of(pool.as_ref()) == name_of(now.as_ref()))?;
        is_version(listed.as_ref(), before.as_ref())?;
        (same == *now).then(|| *listed = now)
    }

    fn put_state(&mut self, change: Change<ConfigurationState>) {
        let states = &mut self.base.configuration_states;
        if let Some(before) = change.before {
            states.retain(|state| name_of(state.as_ref()) != name_of(before.as_ref()));
        }
        states.extend(change.now);
    }
}

fn name_of<K: Resource>(object: &K) -> Name {
    let metadata = object.meta();
    name(metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

fn title_of(event: &Event) -> String {
    let metadata = &event.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// `Some` if both are the same version.
fn is_version<K: Resource>(known: &K, other: &K) -> Option<()> {
    (known.meta().resource_version == other.meta().resource_version).then_some(())
}

fn address_of(vip: &VirtualIP) -> Option<IpAddr> {
    vip.spec.address.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// What keeps others away from addresses.
fn shown(service: &Service) -> Vec<IpAddr> {
    let is_of_type = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    if is_of_type { shown_by(service) } else { Vec::new() }
}

fn take_out<K: std::hash::Hash + Eq, V: Ord>(of: &mut HashMap<K, Few<V>>, key: &K, value: &V) {
    if let Some(values) = of.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            of.remove(key);
        }
    }
}
