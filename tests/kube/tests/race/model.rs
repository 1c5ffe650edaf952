//! What should be, kept beside the cluster: which Services there are, from which pool, with how many addresses.
//!
//! Must not: know anything of how Herald allocates. A Service has as many addresses as it asks for, from its pool, each
//! its own; that is all.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Service;
use lb_api::{VirtualIP, virtual_ip::Phase};

/// How many Services at most.
pub(crate) const NAMES: usize = 12;
/// Addresses of a Service at most. Each pool has more than all Services may want together.
pub(crate) const MOST: usize = 3;

/// The prefixes of the pools.
pub(crate) const POOLS: [(&str, &str); 2] = [("a", "192.0.2."), ("b", "198.51.100.")];

/// What a Service asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) pool: usize,
    pub(crate) count: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Create(String, Wish),
    Delete(String),
    Change(String, Wish),
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) services: BTreeMap<String, Wish>,
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed repeats the operations.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64).try_into().unwrap_or_default()
    }
}

impl Model {
    /// The next operation, done in the model.
    pub(crate) fn step(&mut self, random: &mut Random) -> Operation {
        let name = format!("s{}", random.below(NAMES));
        let wish = Wish { pool: random.below(POOLS.len()), count: 1 + random.below(MOST) };
        match self.services.get(&name).copied() {
            None => {
                self.services.insert(name.clone(), wish);
                Operation::Create(name, wish)
            }
            Some(_) if random.below(2) == 0 => {
                self.services.remove(&name);
                Operation::Delete(name)
            }
            Some(_) => {
                self.services.insert(name.clone(), wish);
                Operation::Change(name, wish)
            }
        }
    }

    /// Whether the cluster is as it should be when all has been done.
    pub(crate) fn check(&self, services: &[Service], vips: &[VirtualIP]) -> anyhow::Result<()> {
        check_always(services)?;
        let mut slots = BTreeSet::new();
        let mut locked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for vip in vips.iter().filter(|vip| vip.spec.phase == Phase::Bound) {
            let [claim] = vip.spec.claims.as_slice() else {
                anyhow::bail!("{} has the claims {:?}", vip.spec.address, vip.spec.claims);
            };
            let slot = (&claim.uid, claim.index, claim.family);
            ensure!(slots.insert(slot), "slot {} of {} has two addresses", claim.index, claim.name);
            locked.entry(&claim.uid).or_default().insert(&vip.spec.address);
        }
        let mut seen = BTreeSet::new();
        for service in services {
            let name = service.metadata.name.as_deref().context("a name")?;
            let Some(wish) = self.services.get(name) else { continue };
            let uid = service.metadata.uid.as_deref().context("a uid")?;
            let shown: BTreeSet<&str> = shown(service).into_iter().collect();
            let prefix = POOLS.get(wish.pool).map(|(_, prefix)| *prefix).unwrap_or_default();
            ensure!(shown.len() == wish.count, "{name} wants {} and shows {shown:?}", wish.count);
            ensure!(shown.iter().all(|one| one.starts_with(prefix)), "{name} wants {prefix} and shows {shown:?}");
            ensure!(locked.remove(uid) == Some(shown), "{name} shows what it has no lock of");
            seen.insert(name);
        }
        ensure!(seen.len() == self.services.len(), "Services are missing: {seen:?}");
        ensure!(locked.is_empty(), "leaked: {locked:?}");
        Ok(())
    }
}

/// What must hold in every moment: an address is shown by one Service. All of `services` are from one list.
pub(crate) fn check_always(services: &[Service]) -> anyhow::Result<()> {
    let mut owner = BTreeMap::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let all = shown(service);
        ensure!(all.len() <= MOST, "{name} shows {all:?}");
        for address in all {
            if let Some(other) = owner.insert(address, name) {
                anyhow::bail!("{address} is shown by {other} and {name}");
            }
        }
    }
    Ok(())
}

/// Slots that have two addresses in this moment: what two controllers that write at once may make, and mend.
pub(crate) fn doubles(vips: &[VirtualIP]) -> usize {
    let bound = vips.iter().filter(|vip| vip.spec.phase == Phase::Bound);
    let claims: Vec<_> = bound.flat_map(|vip| &vip.spec.claims).collect();
    let slots: BTreeSet<_> = claims.iter().map(|claim| (&claim.uid, claim.index, claim.family)).collect();
    claims.len() - slots.len()
}

fn shown(service: &Service) -> Vec<&str> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_ref());
    ingress.into_iter().flatten().filter_map(|one| one.ip.as_deref()).collect()
}
