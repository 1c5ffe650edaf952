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
        core::v1::{Node, NodeSpec, Service, ServiceSpec},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time},
};
use kube::Resource;
use lb_api::{
    MetalLoadBalancerClass, MetalLoadBalancerClassSpec, VirtualIP,
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
        let old = self.services.get(&("default".to_owned(), service.to_owned()));
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
        let object = self.stored("default", service, object);
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
                    let object = self.stored("default", &name(&changed).1, changed);
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
        let service = &self.services[&("default".to_owned(), service.to_owned())];
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
