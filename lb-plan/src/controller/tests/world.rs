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
        core::v1::{Namespace, Node, NodeSpec, Service, ServicePort, ServiceSpec},
        discovery::v1::{Endpoint, EndpointConditions, EndpointSlice},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time},
};
use kube::Resource;
use lb_api::{
    ConfigurationState, IPAddressPool, L2Advertisement, MetalLoadBalancerClass, MetalLoadBalancerClassSpec, VirtualIP,
    virtual_ip::{Claim, Family, Phase},
};

use crate::controller::{Action, Plan, Snapshot, plan};

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
                status: None,
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

    /// An IPAddressPool of the configuration namespace.
    pub(super) fn pool(&mut self, pool: &str, addresses: &[&str], edit: impl FnOnce(&mut IPAddressPool)) {
        let mut object = IPAddressPool::default();
        object.spec.addresses = addresses.iter().map(ToString::to_string).collect();
        object.spec.auto_assign = true;
        let old = self.pools.get(&("metallb-system".to_owned(), pool.to_owned()));
        object.status = old.and_then(|old| old.status);
        edit(&mut object);
        self.pool_object(pool, object);
    }

    fn pool_object(&mut self, pool: &str, object: IPAddressPool) {
        let object = self.stored("metallb-system", pool, object);
        self.pools.insert(name(&*object), object);
    }

    pub(super) fn remove_pool(&mut self, pool: &str) {
        self.pools.remove(&("metallb-system".to_owned(), pool.to_owned()));
    }

    /// An L2Advertisement of the configuration namespace.
    pub(super) fn advertise(&mut self, advertisement: &str, edit: impl FnOnce(&mut L2Advertisement)) {
        let mut object = L2Advertisement::default();
        edit(&mut object);
        let object = self.stored("metallb-system", advertisement, object);
        self.advertisements.insert(name(&*object), object);
    }

    pub(super) fn namespace(&mut self, namespace: &str, labels: &[(&str, &str)]) {
        let mut object = Namespace::default();
        object.metadata.labels = Some(pairs(labels));
        let object = self.stored("", namespace, object);
        self.namespaces.insert(name(&*object), object);
    }

    /// The endpoints of a Service: the node, and whether it is ready and serving.
    pub(super) fn endpoints(&mut self, service: &str, endpoints: &[(&str, bool, bool)]) {
        let endpoint = |&(node, ready, serving): &(&str, bool, bool)| Endpoint {
            node_name: Some(node.to_owned()),
            conditions: Some(EndpointConditions { ready: Some(ready), serving: Some(serving), terminating: None }),
            ..Endpoint::default()
        };
        let mut object =
            EndpointSlice { endpoints: endpoints.iter().map(endpoint).collect(), ..EndpointSlice::default() };
        object.metadata.labels = Some(pairs(&[("kubernetes.io/service-name", service)]));
        let object = self.stored("default", &format!("{service}-1"), object);
        self.slices.insert(name(&*object), object);
    }

    /// What a Service shows without Herald having said so.
    pub(super) fn show(&mut self, service: &str, addresses: &[&str]) {
        self.service(service, |service| {
            let entry = |address: &&str| k8s_openapi::api::core::v1::LoadBalancerIngress {
                ip: Some((*address).to_owned()),
                ..Default::default()
            };
            let ingress = addresses.iter().map(entry).collect();
            service.status.get_or_insert_default().load_balancer.get_or_insert_default().ingress = Some(ingress);
        });
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

    /// Applies a write as a store does: one that was judged on something else is refused.
    pub(super) fn apply(&mut self, action: &Action) {
        match action {
            Action::WriteStatus(service) => {
                let old = self.services.get(&name(service.as_ref())).filter(|old| same(&***old, service.as_ref()));
                if let Some(old) = old {
                    let changed = Service { status: service.status.clone(), ..Service::clone(old) };
                    let (namespace, key) = name(&changed);
                    let object = self.stored(&namespace, &key, changed);
                    self.services.insert(name(&*object), object);
                }
            }
            Action::Update(vip) => {
                if self.vips.get(&name(vip.as_ref())).is_some_and(|old| same(&**old, vip.as_ref())) {
                    self.put_vip(VirtualIP::clone(vip));
                }
            }
            Action::Create(vip) => {
                if !self.vips.contains_key(&name(vip.as_ref())) {
                    self.put_vip(VirtualIP::clone(vip));
                }
            }
            Action::Delete(vip) => {
                if self.vips.get(&name(&**vip)).is_some_and(|old| same(&**old, &**vip)) {
                    self.vips.remove(&name(&**vip));
                }
            }
            Action::CreateEvent(event) => {
                self.events.entry(name(event.as_ref())).or_insert_with(|| Arc::new(Event::clone(event)));
            }
            Action::DeleteEvent(event) => {
                self.events.remove(&name(&**event));
            }
            Action::WritePoolStatus(pool) => {
                let old = self.pools.get(&name(pool.as_ref())).filter(|old| same(&***old, pool.as_ref()));
                if let Some(old) = old {
                    let changed = IPAddressPool { status: pool.status, ..IPAddressPool::clone(old) };
                    self.pool_object(&name(&changed).1, changed);
                }
            }
            Action::CreateState(state) => {
                let (namespace, key) = name(state.as_ref());
                let object = self.stored(
                    &namespace,
                    &key,
                    ConfigurationState { status: None, ..ConfigurationState::clone(state) },
                );
                self.states.entry(name(&*object)).or_insert(object);
            }
            Action::WriteState(state) => {
                let old = self.states.get(&name(state.as_ref())).filter(|old| same(&***old, state.as_ref()));
                if let Some(old) = old {
                    let changed = ConfigurationState { status: state.status.clone(), ..ConfigurationState::clone(old) };
                    let (namespace, key) = name(&changed);
                    let object = self.stored(&namespace, &key, changed);
                    self.states.insert(name(&*object), object);
                }
            }
            Action::Annotate(service) => {
                let old = self.services.get(&name(service.as_ref())).filter(|old| same(&***old, service.as_ref()));
                if let Some(old) = old {
                    let mut changed = Service::clone(old);
                    changed.metadata.annotations.clone_from(&service.metadata.annotations);
                    let (namespace, key) = name(&changed);
                    let object = self.stored(&namespace, &key, changed);
                    self.services.insert(name(&*object), object);
                }
            }
        }
    }

    fn put_vip(&mut self, vip: VirtualIP) {
        let problems = lb_api::validate::virtual_ip(&vip);
        assert_eq!(problems, [], "{vip:?}");
        let object = self.stored("", &name(&vip).1, vip);
        self.vips.insert(name(&*object), object);
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

    // What tests ask.

    /// The addresses that a Service shows.
    pub(super) fn shown(&self, service: &str) -> Vec<String> {
        self.shown_in("default", service)
    }

    pub(super) fn shown_in(&self, namespace: &str, service: &str) -> Vec<String> {
        let service = &self.services[&(namespace.to_owned(), service.to_owned())];
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = balancer.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
        ingress.filter_map(|entry| entry.ip.clone()).collect()
    }

    pub(super) fn condition(&self, service: &str, type_: &str) -> Option<Condition> {
        let service = &self.services[&("default".to_owned(), service.to_owned())];
        let conditions = service.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == type_).cloned()
    }

    /// Class by the condition.
    pub(super) fn bound_to(&self, service: &str) -> Option<String> {
        self.condition(service, lb_api::names::condition::CLASS).map(|condition| condition.message)
    }

    pub(super) fn vip(&self, address: &str) -> Option<&VirtualIP> {
        let name = lb_api::virtual_ip::name_of(address.parse::<IpAddr>().expect("test data"));
        self.vips.get(&(String::new(), name)).map(|vip| &**vip)
    }

    pub(super) fn told(&self, part: &str) -> bool {
        self.events.values().any(|event| event.note.as_ref().is_some_and(|note| note.contains(part)))
    }

    /// All that was told.
    pub(super) fn notes(&self) -> Vec<String> {
        self.events.values().filter_map(|event| event.note.clone()).collect()
    }

    pub(super) fn reasons(&self) -> Vec<String> {
        self.events.values().filter_map(|event| event.reason.clone()).collect()
    }

    /// The reasons of what was told as a warning.
    pub(super) fn warnings(&self) -> Vec<String> {
        let warnings = self.events.values().filter(|event| event.type_.as_deref() == Some("Warning"));
        warnings.filter_map(|event| event.reason.clone()).collect()
    }

    /// Bound claims by Service name, with their address.
    pub(super) fn bound(&self) -> BTreeMap<String, Vec<(Claim, IpAddr)>> {
        let mut bound: BTreeMap<String, Vec<(Claim, IpAddr)>> = BTreeMap::new();
        for vip in self.vips.values().filter(|vip| vip.spec.phase == Phase::Bound) {
            let address = vip.spec.address.parse().expect("validated");
            for claim in &vip.spec.claims {
                bound.entry(claim.name.clone()).or_default().push((claim.clone(), address));
            }
        }
        bound
    }

    pub(super) fn primary(&self, address: &str) -> String {
        self.vip(address).and_then(|vip| vip.spec.nodes.first().cloned()).unwrap_or_default()
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
