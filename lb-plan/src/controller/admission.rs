//! What is said to somebody who is about to write a pool, an advertisement or a class: what needs more than one object.
//!
//! The plan that follows judges the same by the same functions (`problems`), so without a webhook it is told as
//! an Event, and nothing wrong is done either way. Pure.
//!
//! What MetalLB refuses of its own kinds is refused here with the same words (`metallb.md` section 6). Deckhouse's kinds
//! are refused only for what they do to other objects: who writes them wrote them for Deckhouse. What was there before and
//! stays as it was is never refused, so that an object that is wrong already can still be labelled.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement, MetalLoadBalancerClass,
    MetalLoadBalancerPool, validate, virtual_ip::Family,
};

use super::{
    Configuration, Snapshot,
    cluster::{Cluster, Pool, Source},
    event::Reason,
    inventory::Inventory,
    pool::number,
    problems,
};

/// An object that somebody writes or deletes.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// An IPAddressPool.
    Pool(Box<IPAddressPool>),
    /// A MetalLoadBalancerClass.
    Class(Box<MetalLoadBalancerClass>),
    /// A MetalLoadBalancerPool.
    DeckhousePool(Box<MetalLoadBalancerPool>),
    /// An L2Advertisement.
    Advertisement(Box<L2Advertisement>),
    /// A Community.
    Community(Box<Community>),
    /// A BGPPeer.
    Peer(Box<BGPPeer>),
    /// A BGPAdvertisement.
    BgpAdvertisement(Box<BGPAdvertisement>),
    /// A BFDProfile.
    Profile(Box<BFDProfile>),
}

mod announced;

/// What somebody is about to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Create it, or write it anew.
    Put(Subject),
    /// Delete it.
    Delete(Subject),
}

/// What is said to it. Every text is for the person who typed the YAML.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is refused; nothing: it is not.
    pub refused: Vec<String>,
    /// What follows from it.
    pub warnings: Vec<String>,
}

/// Addresses that a warning names before it only counts.
const NAMED: usize = 3;

/// Judges a change by what there is. Of the snapshot the pools, the classes, the advertisements, the VirtualIPs, the
/// doubts and the configuration count.
pub fn judge(snapshot: &Snapshot, change: &Change) -> Verdict {
    let mut verdict = Verdict::default();
    let (Change::Put(subject) | Change::Delete(subject)) = change;
    // MetalLB is there itself, and judges its own kinds.
    if !snapshot.configuration.reads_metallb && !matches!(subject, Subject::Class(_)) {
        return verdict;
    }
    if let Change::Put(subject) = change {
        verdict.refused.extend(misplaced(subject, &snapshot.configuration));
    }
    let after = changed(snapshot, change);
    announced::judge(snapshot, &after, change, &mut verdict);
    if subject.is_of_bgp() {
        return verdict;
    }
    let (old, new) = (Inventory::read(&snapshot.virtual_ips), Inventory::read(&after.virtual_ips));
    let (before, after) = (Cluster::read(snapshot, &old), Cluster::read(&after, &new));
    match change {
        Change::Put(Subject::Advertisement(object)) => advertised(object, &after, &mut verdict),
        Change::Put(subject @ (Subject::Pool(_) | Subject::DeckhousePool(_) | Subject::Class(_))) => {
            put(subject, &before, &after, &mut verdict)
        }
        Change::Put(_) | Change::Delete(_) => {}
    }
    verdict.warnings.extend(lost(&before, &after, &old));
    verdict
}

fn put(subject: &Subject, before: &Cluster<'_>, after: &Cluster<'_>, verdict: &mut Verdict) {
    let known = told(before);
    let me = reference(subject, &after.snapshot.configuration);
    for (reference, reason, text) in told(after) {
        if known.contains(&(reference.clone(), reason, text.clone())) {
            continue;
        }
        if reason != Reason::Overlap && reference == me {
            match subject {
                Subject::Pool(_) => verdict.refused.push(text),
                Subject::Class(_)
                | Subject::DeckhousePool(_)
                | Subject::Advertisement(_)
                | Subject::Community(_)
                | Subject::Peer(_)
                | Subject::BgpAdvertisement(_)
                | Subject::Profile(_) => verdict.warnings.push(text),
            }
        }
    }
    // An overlap may be told of the other pool. One that others have is not made here, whatever is told of it now.
    let is_me = |id| after.pool(id).is_some_and(|pool| pool.reference == me);
    let own = problems::overlaps(after).into_iter().filter(|overlap| is_me(overlap.pool) || is_me(overlap.other));
    let own =
        own.filter_map(|overlap| Some((after.pool(overlap.pool)?.reference.clone(), overlap.problem.to_string())));
    let new = own.filter(|(reference, text)| !known.contains(&(reference.clone(), Reason::Overlap, text.clone())));
    verdict.refused.extend(new.map(|(_, text)| text));
    if let Subject::DeckhousePool(pool) = subject {
        let shadowed =
            problems::shadowed(after).into_iter().filter(|(other, _)| other.metadata.name == pool.metadata.name);
        verdict.warnings.extend(shadowed.map(|(_, problem)| problem.to_string()));
    }
    let Subject::Class(class) = subject else { return };
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let is_default = |cluster: &Cluster<'_>| cluster.defaults().any(|id| cluster.name(id) == name);
    let other = after.defaults().map(|id| after.name(id)).find(|other| *other != name);
    if let Some(other) = other.filter(|_| is_default(after) && !is_default(before)) {
        let text = format!("spec.isDefault: class `{other}` is the default already: set it on one class only");
        verdict.refused.push(text);
    }
}

/// What is wrong with the pools, each with whose it is.
fn told(cluster: &Cluster<'_>) -> BTreeSet<(String, Reason, String)> {
    let problems = problems::of_pools(cluster).into_iter();
    let told = problems
        .filter_map(|(id, reason, problem)| Some((cluster.pool(id)?.reference.clone(), reason, problem.to_string())));
    told.collect()
}

fn advertised(object: &L2Advertisement, after: &Cluster<'_>, verdict: &mut Verdict) {
    verdict.refused.extend(validate::l2_advertisement(object).iter().map(ToString::to_string));
    // A pool may be applied after what refers to it.
    let refused = verdict.refused.clone();
    let problems = problems::of_advertisements(after).into_iter();
    let own = problems.filter(|(other, _)| other.metadata.name == object.metadata.name);
    verdict.warnings.extend(own.map(|(_, problem)| problem.to_string()).filter(|text| !refused.contains(text)));
}

/// MetalLB's objects are read from one namespace. Deckhouse makes pools of its classes in its own; these are not judged.
fn misplaced(subject: &Subject, configuration: &Configuration) -> Option<String> {
    let metadata = match subject {
        Subject::Pool(object) => &object.metadata,
        Subject::Advertisement(object) => &object.metadata,
        Subject::Community(object) => &object.metadata,
        Subject::Peer(object) => &object.metadata,
        Subject::BgpAdvertisement(object) => &object.metadata,
        Subject::Profile(object) => &object.metadata,
        Subject::Class(_) | Subject::DeckhousePool(_) => return None,
    };
    let right = &configuration.namespace;
    let is_elsewhere = metadata.namespace.as_ref() != Some(right) && !is_deckhouses(metadata);
    is_elsewhere.then(|| format!("metadata.namespace: resource must be created in {right} namespace: no other is read"))
}

fn is_deckhouses(metadata: &ObjectMeta) -> bool {
    metadata.labels.as_ref().and_then(|labels| labels.get("heritage")).map(String::as_str) == Some("deckhouse")
}

/// The snapshot as it is when the change is done.
fn changed(snapshot: &Snapshot, change: &Change) -> Snapshot {
    let mut after = snapshot.clone();
    let (subject, is_put) = match change {
        Change::Put(subject) => (subject, true),
        Change::Delete(subject) => (subject, false),
    };
    match subject {
        Subject::Pool(object) => replace(&mut after.ip_address_pools, object, is_put, |one| &one.metadata),
        Subject::DeckhousePool(object) => {
            replace(&mut after.bgp.deckhouse.pools, object, is_put, |one| &one.metadata);
        }
        Subject::Class(object) => replace(&mut after.classes, object, is_put, |one| &one.metadata),
        Subject::Advertisement(object) => replace(&mut after.l2_advertisements, object, is_put, |one| &one.metadata),
        Subject::Community(object) => replace(&mut after.bgp.communities, object, is_put, |one| &one.metadata),
        Subject::Peer(object) => replace(&mut after.bgp.peers, object, is_put, |one| &one.metadata),
        Subject::BgpAdvertisement(object) => {
            replace(&mut after.bgp.advertisements, object, is_put, |one| &one.metadata);
        }
        Subject::Profile(object) => replace(&mut after.bgp.profiles, object, is_put, |one| &one.metadata),
    }
    after
}

fn replace<K: Clone>(list: &mut Vec<Arc<K>>, object: &K, is_put: bool, metadata: impl Fn(&K) -> &ObjectMeta) {
    let name = |object: &K| (metadata(object).namespace.clone(), metadata(object).name.clone());
    let own = name(object);
    list.retain(|other| name(other) != own);
    if is_put {
        list.push(Arc::new(object.clone()));
    }
}

fn reference(subject: &Subject, configuration: &Configuration) -> String {
    match subject {
        Subject::Class(object) => object.metadata.name.clone().unwrap_or_default(),
        Subject::Pool(object) => of_pool(&object.metadata, configuration),
        Subject::DeckhousePool(object) => of_pool(&object.metadata, configuration),
        Subject::Advertisement(_)
        | Subject::Community(_)
        | Subject::Peer(_)
        | Subject::BgpAdvertisement(_)
        | Subject::Profile(_) => String::new(),
    }
}

fn of_pool(metadata: &ObjectMeta, configuration: &Configuration) -> String {
    format!("{}/{}", configuration.namespace, metadata.name.as_deref().unwrap_or_default())
}

/// Addresses of Services that a pool had before and that none has after, by pool. Nothing of it is refused, as in
/// MetalLB.
fn lost(before: &Cluster<'_>, after: &Cluster<'_>, inventory: &Inventory<'_>) -> Vec<String> {
    let mut lost: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for vip in inventory.vips.iter().filter(|vip| vip.is_bound()) {
        let Some(pool) = before.referred(&vip.object.spec.pool).and_then(|id| before.pool(id)) else { continue };
        if !contains(pool, vip.address) || after.pools.iter().any(|pool| contains(pool, vip.address)) {
            continue;
        }
        let owner = vip.claims().first().map(|claim| format!(" ({}/{})", claim.namespace, claim.name));
        let text = format!("{}{}", vip.address, owner.unwrap_or_default());
        lost.entry(&pool.reference).or_default().push(text);
    }
    let warning = |(reference, addresses): (&str, Vec<String>)| {
        let pool = before.referred(reference).and_then(|id| before.pool(id))?;
        let stays = after.referred(reference).and_then(|id| after.pool(id));
        let what = match (&pool.source, stays) {
            // What a class that is gone gave is kept: the class may come back.
            (Source::Class { .. }, None) => "their Services keep them, and get no new ones while the class is gone",
            (Source::Pool { .. }, None) if !after.has_address_pools() => {
                "their Services keep them as long as there is no such pool at all"
            }
            _ => "their Services get others, and lose these",
        };
        let more = match addresses.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named: Vec<&str> = addresses.iter().take(NAMED).map(String::as_str).collect();
        Some(format!("{}: in use and in no pool any more: {}{more}: {what}", pool.title(), named.join(", ")))
    };
    lost.into_iter().filter_map(warning).collect()
}

fn contains(pool: &Pool<'_>, address: IpAddr) -> bool {
    pool.of(Family::of(address)).contains(number(address))
}

#[cfg(test)]
mod tests;
