//! An interpreter of plans: objects with uid and resourceVersion, writes that conflict, a clock that is a number.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::{LoadBalancerStatus, Namespace, Node, NodeSpec, Service, ServicePort, ServiceSpec, ServiceStatus},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::Resource;
use lb_api::{
    ConfigurationState, EndpointSlice, IPAddressPool, L2Advertisement, MetalLoadBalancerClass,
    MetalLoadBalancerClassSpec, VirtualIP,
    virtual_ip::{Family, Phase},
};

use crate::controller::{Plan, Snapshot, plan};

mod apply;
mod ask;
mod make;

pub(super) type Name = (String, String);

/// What a store would keep.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) services: BTreeMap<Name, Arc<Service>>,
    pub(super) nodes: BTreeMap<Name, Arc<Node>>,
    pub(super) classes: BTreeMap<Name, Arc<MetalLoadBalancerClass>>,
    pub(super) vips: BTreeMap<Name, Arc<VirtualIP>>,
    pub(super) events: BTreeMap<Name, Arc<Event>>,
    pub(super) pools: BTreeMap<Name, Arc<IPAddressPool>>,
    pub(super) advertisements: BTreeMap<Name, Arc<L2Advertisement>>,
    pub(super) states: BTreeMap<Name, Arc<ConfigurationState>>,
    pub(super) namespaces: BTreeMap<Name, Arc<Namespace>>,
    pub(super) slices: BTreeMap<Name, Arc<EndpointSlice>>,
    pub(super) configuration: crate::controller::Configuration,
    pub(super) bgp: crate::controller::BgpObjects,
    pub(super) now: Timestamp,
    pub(super) doubts: crate::controller::Doubts,
    version: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            services: BTreeMap::new(),
            nodes: BTreeMap::new(),
            classes: BTreeMap::new(),
            vips: BTreeMap::new(),
            events: BTreeMap::new(),
            pools: BTreeMap::new(),
            advertisements: BTreeMap::new(),
            states: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            slices: BTreeMap::new(),
            configuration: crate::controller::Configuration::default(),
            bgp: crate::controller::BgpObjects::default(),
            now: Timestamp::from_second(1_700_000_000).expect("in range"),
            doubts: crate::controller::Doubts::default(),
            version: 0,
        }
    }

    /// Nodes `node-0` and so on, and the default class `main`.
    pub(super) fn with(nodes: usize, pool: &[&str]) -> Self {
        let mut world = Self::new();
        for number in 0..nodes {
            world.node(number, |_| {});
        }
        world.class("main", pool, true);
        world
    }

    pub(super) fn node(&mut self, number: usize, edit: impl FnOnce(&mut Node)) {
        let mut node = Node { spec: Some(NodeSpec::default()), ..Node::default() };
        edit(&mut node);
        let object = self.stored("", &format!("node-{number}"), node);
        self.nodes.insert(name(&*object), object);
    }

    pub(super) fn class(&mut self, class: &str, pool: &[&str], is_default: bool) {
        let address_pool = pool.iter().map(ToString::to_string).collect();
        let spec = MetalLoadBalancerClassSpec { address_pool, is_default, ..MetalLoadBalancerClassSpec::default() };
        let object = self.stored("", class, MetalLoadBalancerClass { spec, ..MetalLoadBalancerClass::default() });
        self.classes.insert(name(&*object), object);
    }

    /// Makes or changes a Service; its status and age stay.
    pub(super) fn service(&mut self, service: &str, edit: impl FnOnce(&mut Service)) {
        self.service_in("default", service, edit);
    }

    pub(super) fn service_in(&mut self, namespace: &str, service: &str, edit: impl FnOnce(&mut Service)) {
        let old = self.services.get(&(namespace.to_owned(), service.to_owned()));
        let mut object = old.map_or_else(
            || Service {
                metadata: ObjectMeta { creation_timestamp: Some(Time(self.now)), ..ObjectMeta::default() },
                spec: Some(ServiceSpec {
                    type_: Some("LoadBalancer".into()),
                    ip_families: Some(vec!["IPv4".into()]),
                    ..ServiceSpec::default()
                }),
                status: Some(ServiceStatus {
                    load_balancer: Some(LoadBalancerStatus::default()),
                    ..ServiceStatus::default()
                }),
            },
            |old| Service::clone(old),
        );
        edit(&mut object);
        let object = self.stored(namespace, service, object);
        self.services.insert(name(&*object), object);
    }

    pub(super) fn count(&mut self, service: &str, count: &str) {
        self.service(service, |service| annotate(service, lb_api::names::annotation::IP_COUNT, count));
    }

    pub(super) fn delete_service(&mut self, service: &str) {
        self.services.remove(&("default".to_owned(), service.to_owned()));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            services: self.services.values().cloned().collect(),
            nodes: self.nodes.values().cloned().collect(),
            classes: self.classes.values().cloned().collect(),
            virtual_ips: self.vips.values().cloned().collect(),
            events: self.events.values().cloned().collect(),
            ip_address_pools: self.pools.values().cloned().collect(),
            l2_advertisements: self.advertisements.values().cloned().collect(),
            configuration_states: self.states.values().cloned().collect(),
            namespaces: self.namespaces.values().cloned().collect(),
            endpoint_slices: self.slices.values().cloned().collect(),
            configuration: self.configuration.clone(),
            bgp: self.bgp.clone(),
            doubts: self.doubts.clone(),
            refused: BTreeSet::new(),
            now: self.now,
            quarantine: Duration::from_secs(60),
        }
    }

    pub(super) fn plan(&self) -> Plan {
        plan(&self.snapshot())
    }

    /// Plans and applies until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..8 {
            let plan = self.plan();
            if plan.steps.is_empty() {
                return;
            }
            for step in &plan.steps {
                self.apply(&step.action);
                self.check_locks();
            }
        }
        panic!("still not settled: {:#?}", self.plan().steps);
    }

    /// At every moment, between any two steps: a slot has one address, and a shown address is bound to who shows it.
    pub(super) fn check_locks(&self) {
        let mut slots = BTreeSet::new();
        for claim in self.vips.values().filter(|vip| vip.spec.phase == Phase::Bound).flat_map(|vip| &vip.spec.claims) {
            assert!(slots.insert((&claim.uid, claim.index, claim.family)), "two addresses for {claim:?}");
        }
    }

    fn stored<K: Resource<DynamicType = ()>>(&mut self, namespace: &str, name: &str, mut object: K) -> Arc<K> {
        self.version += 1;
        let metadata = object.meta_mut();
        metadata.namespace = Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty());
        metadata.name = Some(name.to_owned());
        metadata.uid = Some(format!("{}/{namespace}/{name}", K::kind(&())));
        metadata.resource_version = Some(self.version.to_string());
        Arc::new(object)
    }
}

pub(super) fn annotate(service: &mut Service, name: &str, value: &str) {
    service.metadata.annotations.get_or_insert_default().insert(name.to_owned(), value.to_owned());
}

pub(super) fn pairs(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn ports(service: &mut Service, ports: &[(&str, i32)]) {
    let port = |&(protocol, port): &(&str, i32)| ServicePort {
        protocol: Some(protocol.to_owned()),
        port,
        ..ServicePort::default()
    };
    service.spec.get_or_insert_default().ports = Some(ports.iter().map(port).collect());
}

pub(super) fn dual(service: &mut Service, policy: &str) {
    let spec = service.spec.get_or_insert_default();
    spec.ip_families = Some(vec!["IPv4".into(), "IPv6".into()]);
    spec.ip_family_policy = Some(policy.into());
}

pub(super) fn family(address: &IpAddr) -> Family {
    Family::of(*address)
}

fn name<K: Resource<DynamicType = ()>>(object: &K) -> Name {
    let metadata = object.meta();
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn same<K: Resource<DynamicType = ()>>(stored: &K, judged: &K) -> bool {
    stored.meta().resource_version == judged.meta().resource_version
}
