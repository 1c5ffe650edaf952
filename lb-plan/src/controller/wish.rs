//! How many addresses of which families a Service should have.
//!
//! `auto` is one per eligible node. It grows by itself; it shrinks with the nodes that the class or the advertisements
//! mean, and not because a node's network is away for a moment or an advertisement cannot be read.

use lb_api::{
    names::annotation,
    service::{self, Count},
    virtual_ip::{Claim, Family},
};

use super::{
    choice::{Claimant, Standing},
    cluster::{Cluster, Pool, PoolId, Source},
    event::Reason,
    inventory::{Inventory, Slot},
};

/// The most addresses of one family that a Service can have. An IPv6 pool has room for a slip of the pen that an API
/// server does not.
pub(super) const MAX_COUNT: u32 = 4096;

/// What a bound Service should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// In each family.
    pub(super) count: u32,
    /// In the Service's order.
    pub(super) families: Vec<Family>,
    /// Of [`Self::families`] those that the class's pool offers.
    pub(super) offered: Vec<Family>,
    pub(super) policy: Policy,
    /// Whether new addresses may be given.
    pub(super) may_grow: bool,
}

impl Wish {
    /// Whether `slot` is one of those that are wanted.
    pub(super) fn contains(&self, slot: Slot) -> bool {
        slot.index < self.count && self.families.contains(&slot.family)
    }

    /// How many addresses there should be in all.
    pub(super) fn total(&self) -> u64 {
        u64::from(self.count) * self.families.len() as u64
    }
}

/// `spec.ipFamilyPolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Policy {
    #[default]
    Single,
    Prefer,
    Require,
}

/// Fills in the wishes of all bound Services.
pub(super) fn read<'a>(claimants: &mut [Claimant<'a>], cluster: &Cluster<'a>, inventory: &Inventory<'a>) {
    for claimant in claimants {
        let wish = match claimant.standing {
            Standing::Class(id) => cluster.pool(id).map(|class| of_class(claimant, class, inventory)),
            Standing::Pools => Some(of_pools(claimant, cluster, inventory)),
            Standing::NotOurs | Standing::Unbound | Standing::Frozen => None,
        };
        claimant.wish = wish.unwrap_or_default();
    }
}

fn of_class<'a>(claimant: &mut Claimant<'a>, class: &Pool<'_>, inventory: &Inventory<'a>) -> Wish {
    let Source::Class { reach, meant, .. } = &class.source else { return Wish::default() };
    let count = count(claimant, reach.nodes.len(), *meant, inventory);
    let (listed, policy) = families(claimant);
    let (offered, lacking): (Vec<Family>, Vec<Family>) =
        listed.iter().partition(|&&family| !class.of(family).is_empty());
    let (field, advice, serves) = match policy {
        Policy::Prefer if !offered.is_empty() => ("", "", true),
        Policy::Require => ("spec.ipFamilyPolicy", ", or write PreferDualStack", false),
        Policy::Prefer | Policy::Single => ("spec.ipFamilies", "", !offered.is_empty()),
    };
    if !lacking.is_empty() && !field.is_empty() {
        let lacking = lacking.iter().map(|&family| word(family)).collect::<Vec<_>>().join(" and no ");
        let message =
            format!("the pool of class `{}` has no {lacking}: add such a range to its addressPool{advice}", class.name);
        claimant.complain(Reason::InvalidValue, field, message);
    }
    let serves = serves || lacking.is_empty();
    let prefers = policy == Policy::Prefer && !offered.is_empty();
    // A pool that is not whole may lack a family by mistake: what the Service has of it is still wanted.
    let has = |family| !class.whole && claims(claimant, inventory).any(|claim| claim.family == family);
    let wanted = |family: &Family| !prefers || offered.contains(family) || has(*family);
    let families = listed.into_iter().filter(wanted).collect();
    Wish { count, families, offered, policy, may_grow: serves && !reach.nodes.is_empty() }
}

fn of_pools<'a>(claimant: &mut Claimant<'a>, cluster: &Cluster<'a>, inventory: &Inventory<'a>) -> Wish {
    let (nodes, meant) = match claimant.request.count {
        Count::Auto => nodes(claimant, cluster, inventory),
        Count::Number(_) => (0, 0),
    };
    let count = count(claimant, nodes, meant, inventory);
    let (families, policy) = families(claimant);
    let mut may_grow = !claimant.problems.iter().any(|(reason, _)| *reason == Reason::LoadBalancerFailed);
    if policy == Policy::Require && families.len() < 2 {
        let message = "RequireDualStack needs two clusterIPs and the Service has one: is the cluster dual-stack?";
        claimant.complain(Reason::NotEnoughClusterIps, "spec.ipFamilyPolicy", message);
        may_grow = false;
    }
    if let Some(message) = request_problem(claimant, &families, count) {
        let field = claimant.request.field.clone();
        claimant.complain(Reason::AllocationFailed, field, message);
        may_grow = false;
    }
    Wish { count, families, offered: Vec::new(), policy, may_grow }
}

/// As in MetalLB, addresses are asked for in all families of the Service or in none.
fn request_problem(claimant: &Claimant<'_>, families: &[Family], count: u32) -> Option<String> {
    let asked = |family| match family {
        Family::IPv4 => claimant.request.ipv4.len(),
        Family::IPv6 => claimant.request.ipv6.len(),
    };
    let (ipv4, ipv6) = (asked(Family::IPv4), asked(Family::IPv6));
    if ipv4 + ipv6 == 0 {
        return None;
    }
    for family in [Family::IPv4, Family::IPv6] {
        if asked(family) > 0 && !families.contains(&family) {
            let word = word(family);
            return Some(format!("asks for {word}, and the Service has no {word} clusterIP: ask for its own family"));
        }
    }
    if families.len() == 2 && ipv4 != ipv6 {
        return Some("a dual-stack Service asks for as many IPv4 as IPv6 addresses, or for none".into());
    }
    let (most, count) = (ipv4.max(ipv6), usize::try_from(count).unwrap_or(usize::MAX));
    let field = annotation::IP_COUNT;
    (most > count)
        .then(|| format!("{most} addresses of one family are asked for, and the Service has {count}: raise {field}"))
}

/// How many nodes may hold the addresses of the pool that the Service is in, or would be in, and how many are meant to.
fn nodes<'a>(claimant: &Claimant<'a>, cluster: &Cluster<'a>, inventory: &Inventory<'a>) -> (usize, usize) {
    let held = inventory.of(claimant.namespace, claimant.name).iter();
    let held = held.filter_map(|&position| inventory.vips.get(position)).filter(|vip| vip.is_bound());
    let mut held = held.filter_map(|vip| cluster.referred(&vip.object.spec.pool));
    let pool: Option<PoolId> = held.next().or_else(|| claimant.tiers.iter().flatten().next().copied());
    let advertisements = cluster.advertisements(pool, &[claimant.labels]);
    let nodes = cluster.reach(pool, &advertisements).nodes.len();
    // One that cannot be read may mean any node: there is nothing to go by.
    let known = cluster.snapshot.doubts.l2_advertisements.is_empty();
    (nodes, if known { cluster.meant(pool, &advertisements).max(nodes) } else { 0 })
}

fn count<'a>(claimant: &mut Claimant<'a>, nodes: usize, meant: usize, inventory: &Inventory<'a>) -> u32 {
    match claimant.request.count {
        Count::Number(number) if number > MAX_COUNT => {
            let message = format!("{number} is more than {MAX_COUNT}, the most that a Service can have; that is used");
            claimant.complain(Reason::InvalidValue, service::field(annotation::IP_COUNT), message);
            MAX_COUNT
        }
        Count::Number(number) => number,
        Count::Auto => {
            // One more than the highest index that it holds.
            let indices = claims(claimant, inventory).map(|claim| claim.index.saturating_add(1));
            let has = indices.max().unwrap_or(0);
            // With no node meant there is nothing to go by: what is there stays.
            let keeps = if meant == 0 { has } else { has.min(limit(meant)) };
            limit(nodes).max(keeps).max(1)
        }
    }
}

/// The claims by which the Service holds addresses.
fn claims<'a>(claimant: &Claimant<'a>, inventory: &Inventory<'a>) -> impl Iterator<Item = &'a Claim> {
    let (namespace, name, uid) = (claimant.namespace, claimant.name, claimant.uid);
    let positions = inventory.of(namespace, name).iter();
    let bound: Vec<&[Claim]> = positions
        .filter_map(|&position| inventory.vips.get(position))
        .filter(|vip| vip.is_bound())
        .map(|vip| vip.claims())
        .collect();
    let ours = move |claim: &&Claim| claim.uid == uid && claim.namespace == namespace && claim.name == name;
    bound.into_iter().flatten().filter(ours)
}

fn limit(nodes: usize) -> u32 {
    u32::try_from(nodes).unwrap_or(MAX_COUNT).min(MAX_COUNT)
}

/// The families in the Service's order, and the policy. The store fills both in, as an API server does.
fn families(claimant: &Claimant<'_>) -> (Vec<Family>, Policy) {
    let spec = claimant.service.spec.as_ref();
    let policy = match spec.and_then(|spec| spec.ip_family_policy.as_deref()) {
        Some("PreferDualStack") => Policy::Prefer,
        Some("RequireDualStack") => Policy::Require,
        _ => Policy::Single,
    };
    let listed = spec.and_then(|spec| spec.ip_families.as_deref()).unwrap_or_default();
    let families = listed.iter().filter_map(|family| match family.as_str() {
        "IPv4" => Some(Family::IPv4),
        "IPv6" => Some(Family::IPv6),
        _ => None,
    });
    let mut families: Vec<Family> = families.collect();
    if families.is_empty() {
        families.push(Family::IPv4);
        if policy != Policy::Single {
            families.push(Family::IPv6);
        }
    }
    (families, policy)
}

/// The family as it is spelled in a manifest.
pub(super) const fn word(family: Family) -> &'static str {
    match family {
        Family::IPv4 => "IPv4",
        Family::IPv6 => "IPv6",
    }
}
