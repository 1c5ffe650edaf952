//! The VirtualIPs as they are: which address is whose.
//!
//! Must not: judge anything. A VirtualIP whose address cannot be read is left out; the store has reported it.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use lb_api::{
    VirtualIP,
    virtual_ip::{Claim, Family, Phase},
};

/// A place for an address: which one of a Service's addresses it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) index: u32,
    pub(super) family: Family,
}

impl Slot {
    pub(super) fn of(claim: &Claim) -> Self {
        Self { index: claim.index, family: claim.family }
    }
}

/// One VirtualIP.
#[derive(Debug)]
pub(super) struct Vip<'a> {
    pub(super) object: &'a Arc<VirtualIP>,
    pub(super) address: IpAddr,
}

impl<'a> Vip<'a> {
    pub(super) fn claims(&self) -> &'a [Claim] {
        &self.object.spec.claims
    }

    pub(super) fn is_bound(&self) -> bool {
        self.object.spec.phase == Phase::Bound
    }
}

/// All VirtualIPs. A VirtualIP is named by its position.
#[derive(Debug, Default)]
pub(super) struct Inventory<'a> {
    pub(super) vips: Vec<Vip<'a>>,
    by_address: HashMap<IpAddr, usize>,
    /// By namespace, then name.
    by_service: HashMap<&'a str, HashMap<&'a str, Vec<usize>>>,
}

impl<'a> Inventory<'a> {
    pub(super) fn read(objects: &'a [Arc<VirtualIP>]) -> Self {
        let mut vips: Vec<Vip<'a>> = objects
            .iter()
            .filter_map(|object| {
                let address: IpAddr = object.spec.address.parse().ok()?;
                Some(Vip { object, address: address.to_canonical() })
            })
            .collect();
        vips.sort_by_key(|vip| vip.address);
        let mut by_address = HashMap::new();
        let mut by_service: HashMap<&str, HashMap<&str, Vec<usize>>> = HashMap::new();
        for (position, vip) in vips.iter().enumerate() {
            by_address.insert(vip.address, position);
            for claim in vip.claims() {
                let positions = by_service.entry(&claim.namespace).or_default().entry(&claim.name).or_default();
                if positions.last() != Some(&position) {
                    positions.push(position);
                }
            }
        }
        Self { vips, by_address, by_service }
    }

    /// The VirtualIP of an address.
    pub(super) fn at(&self, address: IpAddr) -> Option<usize> {
        self.by_address.get(&address).copied()
    }

    /// The VirtualIPs that name a Service, in any phase, by address.
    pub(super) fn of(&self, namespace: &str, name: &str) -> &[usize] {
        self.by_service.get(namespace).and_then(|names| names.get(name)).map_or(&[], Vec::as_slice)
    }
}
