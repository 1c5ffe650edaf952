//! Where a pool that is no class is written down: in MetalLB's IPAddressPool or in Deckhouse's MetalLoadBalancerPool.
//!
//! The latter is for everybody and has no labels that an advertisement could select, as the IPAddressPool that Deckhouse
//! renders from it (deckhouse.md section 10.2).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use lb_api::{AddressRange, IPAddressPool, MetalLoadBalancerPool, Problem, metallb::ServiceAllocation, validate};

use crate::controller::event::{self, Reason};

/// The object.
#[derive(Debug, Clone, Copy)]
pub(in crate::controller) enum Written<'a> {
    /// As MetalLB has it.
    MetalLb(&'a IPAddressPool),
    /// As Deckhouse has it.
    Deckhouse(&'a MetalLoadBalancerPool),
}

impl<'a> Written<'a> {
    pub(in crate::controller) const fn kind(self) -> &'static str {
        match self {
            Self::MetalLb(_) => "IPAddressPool",
            Self::Deckhouse(_) => "MetalLoadBalancerPool",
        }
    }

    pub(super) fn name(self) -> Option<&'a str> {
        match self {
            Self::MetalLb(object) => object.metadata.name.as_deref(),
            Self::Deckhouse(object) => object.metadata.name.as_deref(),
        }
    }

    pub(super) fn labels(self) -> Option<&'a BTreeMap<String, String>> {
        match self {
            Self::MetalLb(object) => object.metadata.labels.as_ref(),
            Self::Deckhouse(_) => None,
        }
    }

    /// Which Services it is for; `None`: all.
    pub(super) fn allocation(self) -> Option<&'a ServiceAllocation> {
        match self {
            Self::MetalLb(object) => object.spec.service_allocation.as_ref(),
            Self::Deckhouse(_) => None,
        }
    }

    pub(super) const fn assigns_by_itself(self) -> bool {
        match self {
            Self::MetalLb(object) => object.spec.auto_assign,
            Self::Deckhouse(object) => object.spec.auto_assign,
        }
    }

    pub(super) const fn avoids_buggy(self) -> bool {
        match self {
            Self::MetalLb(object) => object.spec.avoid_buggy_ips,
            Self::Deckhouse(object) => object.spec.avoid_buggy_ips,
        }
    }

    /// The usable entries, and what is wrong with the others.
    pub(super) fn ranges(self) -> (Vec<AddressRange>, Vec<Problem>) {
        match self {
            Self::MetalLb(object) => validate::address_pool_ranges(&object.spec),
            Self::Deckhouse(object) => validate::load_balancer_pool_ranges(&object.spec),
        }
    }

    /// What is wrong with it, seen alone.
    pub(in crate::controller) fn problems(self) -> Vec<Problem> {
        match self {
            Self::MetalLb(object) => validate::address_pool(object),
            Self::Deckhouse(object) => validate::load_balancer_pool(object),
        }
    }

    /// An Event on it.
    pub(in crate::controller) fn event(self, now: Timestamp, reason: Reason, note: String) -> Event {
        match self {
            Self::MetalLb(object) => event::event(object, now, reason, note),
            Self::Deckhouse(object) => event::event(object, now, reason, note),
        }
    }

    /// Whether a MetalLoadBalancerPool would be the same pool.
    pub(in crate::controller) fn says_the_same_as(self, other: &MetalLoadBalancerPool) -> bool {
        let other = Written::Deckhouse(other);
        self.ranges().0 == other.ranges().0
            && self.allocation().is_none()
            && self.assigns_by_itself() == other.assigns_by_itself()
            && self.avoids_buggy() == other.avoids_buggy()
    }
}
