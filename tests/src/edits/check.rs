//! What must hold whenever it is quiet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    class::Health,
    world::{Changes, Families, World},
};
use crate::herald::{Observer, addresses_of};
use anyhow::{Context as _, ensure};
use lb_api::virtual_ip::{Family, Phase};

/// The place of an address in a Service: its name, the index, the family.
type Slot = (String, u32, Family);

/// What stands in every slot: the address, and the nodes that may hold it.
pub(super) type Found = BTreeMap<Slot, (IpAddr, Vec<String>)>;

/// Checks everything, and returns what is now.
pub(super) fn all(world: &World, changes: &Changes, before: &Found, observer: &Observer) -> anyhow::Result<Found> {
    let found = slots(observer)?;
    complete(world, &found)?;
    in_their_pools(world, &found)?;
    unmoved(world, changes, before, &found)?;
    ranked(world, changes, before, &found)?;
    shown(world, &found, observer)?;
    Ok(found)
}

/// No address twice, no slot twice, nothing that nobody claims.
fn slots(observer: &Observer) -> anyhow::Result<Found> {
    let mut found = Found::new();
    let mut seen = BTreeSet::new();
    for (key, vip) in &observer.virtual_ips().objects {
        let spec = &vip.spec;
        let address: IpAddr = spec.address.parse().with_context(|| format!("VirtualIP {key}"))?;
        ensure!(seen.insert(address), "{address} has two VirtualIPs");
        ensure!(spec.phase == Phase::Bound, "{address} is leaked: still {:?} after its quarantine", spec.phase);
        ensure!(!spec.claims.is_empty(), "{address} is leaked: bound to nobody");
        for claim in &spec.claims {
            let slot = (claim.name.clone(), claim.index, claim.family);
            ensure!(claim.family == Family::of(address), "{address} stands in {slot:?}");
            let other = found.insert(slot.clone(), (address, spec.nodes.clone()));
            ensure!(other.is_none(), "{slot:?} has {address} and {other:?}");
        }
        ensure!(spec.claims.len() == 1, "{address} is given twice: {:?}", spec.claims);
    }
    Ok(found)
}

/// Every Service has as many addresses as it asks for, and nobody else has any.
fn complete(world: &World, found: &Found) -> anyhow::Result<()> {
    let mut wanted = BTreeSet::new();
    for (name, service) in &world.services {
        let families: &[Family] = match service.families {
            Families::V4 => &[Family::IPv4],
            Families::V6 => &[Family::IPv6],
            Families::Both => &[Family::IPv4, Family::IPv6],
        };
        let indexes = 0..u32::try_from(service.count)?;
        wanted.extend(families.iter().flat_map(|family| indexes.clone().map(|index| (name.clone(), index, *family))));
    }
    let have: BTreeSet<_> = found.keys().cloned().collect();
    let missing: Vec<_> = wanted.difference(&have).collect();
    let leaked: Vec<_> = have.difference(&wanted).collect();
    ensure!(missing.is_empty(), "without an address: {missing:?}");
    ensure!(leaked.is_empty(), "leaked: {leaked:?}");
    Ok(())
}

fn in_their_pools(world: &World, found: &Found) -> anyhow::Result<()> {
    for ((name, index, _), (address, _)) in found {
        let class = &world.classes[world.services[name].class];
        let readable = class.health == Health::Fine;
        ensure!(!readable || class.contains(*address), "{name}[{index}] has {address}, not in {:?}", class.ranges());
    }
    Ok(())
}

/// What stood in a slot still does, unless the Service is another or its pool has it no more.
fn unmoved(world: &World, changes: &Changes, before: &Found, found: &Found) -> anyhow::Result<()> {
    for (slot @ (name, index, _), (was, _)) in before {
        let Some((is, _)) = found.get(slot) else { continue };
        let class = &world.classes[world.services[name].class];
        let cause = changes.renewed.contains(name) || !class.contains(*was);
        ensure!(is == was || cause, "{name}[{index}] moved from {was} to {is} without cause");
    }
    Ok(())
}

/// Excluded nodes hold nothing, every address has a node, and nobody's primary moves for another's sake.
fn ranked(world: &World, changes: &Changes, before: &Found, found: &Found) -> anyhow::Result<()> {
    let now: BTreeSet<_> = found.values().map(|(address, _)| address).collect();
    let went = before.values().any(|(address, _)| !now.contains(address));
    for (slot, (address, nodes)) in found {
        let first = nodes.first().with_context(|| format!("{address} of {slot:?} has no node"))?;
        let service = &world.services[&slot.0];
        // What cannot be read is kept as it is: the ranking too.
        let readable = world.classes[service.class].health == Health::Fine && !service.broken;
        let excluded = nodes.iter().find(|node| world.nodes.get(*node).is_none_or(|state| state.excluded));
        ensure!(excluded.is_none() || !readable, "{address} is ranked for {excluded:?}, which is excluded");
        let distinct: BTreeSet<_> = nodes.iter().collect();
        ensure!(distinct.len() == nodes.len(), "{address} is ranked twice for one node: {nodes:?}");
        // The bound may move a primary when addresses go, and what could not be read for a while catches up.
        let steady = !changes.nodes && !changes.readability && !went;
        if let Some((was, ranking)) = before.get(slot).filter(|_| steady)
            && was == address
        {
            ensure!(ranking.first() == Some(first), "{address} moved from {ranking:?} to {nodes:?} without cause");
        }
    }
    Ok(())
}

/// Each Service shows what it has, in the order of the index, and no address is shown by two.
fn shown(world: &World, found: &Found, observer: &Observer) -> anyhow::Result<()> {
    let services = observer.services();
    let mut by_all = BTreeSet::new();
    for service in services.objects.values() {
        let name = service.metadata.name.clone().unwrap_or_default();
        ensure!(world.services.contains_key(&name), "{name} is listed and was deleted");
        let shows = addresses_of(service);
        for family in [Family::IPv4, Family::IPv6] {
            let mine = found.iter().filter(|((owner, _, of), _)| *owner == name && *of == family);
            let has: Vec<_> = mine.map(|(_, (address, _))| *address).collect();
            let shown: Vec<_> = shows.iter().copied().filter(|address| Family::of(*address) == family).collect();
            ensure!(shown == has, "{name} shows {shown:?} and has {has:?}");
        }
        for address in shows {
            ensure!(by_all.insert(address), "{address} is shown by {name} and by another");
        }
    }
    Ok(())
}
