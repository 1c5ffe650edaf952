//! Writes, as a store takes them.

use std::sync::Arc;

use k8s_openapi::api::{core::v1::Service, events::v1::Event};
use lb_api::{ConfigurationState, IPAddressPool, VirtualIP};

use super::{World, name, same};
use crate::controller::Action;

impl World {
    /// Applies a write as a store does: one that was judged on something else is refused.
    pub(in crate::controller::tests) fn apply(&mut self, action: &Action) {
        match action {
            Action::WriteStatus(service) => {
                let old = self.services.get(&name(service.as_ref())).filter(|old| same(&***old, service.as_ref()));
                if let Some(old) = old {
                    let mut changed = Service { status: service.status.clone(), ..Service::clone(old) };
                    changed.metadata.annotations.clone_from(&service.metadata.annotations);
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
            Action::WritePoolStatus(_) | Action::CreateState(_) | Action::WriteState(_) | Action::Annotate(_) => {
                self.apply_report(action)
            }
        }
    }

    /// What MetalLB's tools read.
    fn apply_report(&mut self, action: &Action) {
        match action {
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
            Action::WriteStatus(_)
            | Action::Update(_)
            | Action::Create(_)
            | Action::Delete(_)
            | Action::CreateEvent(_)
            | Action::DeleteEvent(_) => unreachable!("applied above"),
        }
    }

    fn put_vip(&mut self, vip: VirtualIP) {
        let problems = lb_api::validate::virtual_ip(&vip);
        assert_eq!(problems, [], "{vip:?}");
        let object = self.stored("", &name(&vip).1, vip);
        self.vips.insert(name(&*object), object);
    }
}
