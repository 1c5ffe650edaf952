//! How many addresses of which families a Service should have.
//!
//! `auto` is one per eligible node. It grows by itself; it shrinks with the nodes that the class means, and not
//! because a node's network is away for a moment.

use lb_api::{
    Problem,
    names::annotation,
    service::Count,
    virtual_ip::{Claim, Family},
};

use super::{
    choice::{Claimant, Standing},
    cluster::{Class, Cluster},
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
    /// Of [`Self::families`] those that the pool offers.
    pub(super) offered: Vec<Family>,
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

/// Fills in the wishes of all bound Services.
pub(super) fn read<'a>(claimants: &mut [Claimant<'a>], cluster: &Cluster<'a>, inventory: &Inventory<'a>) {
    for claimant in claimants {
        let Standing::Bound(name) = claimant.standing else { continue };
        let Some(class) = cluster.classes.get(name) else { continue };
        claimant.wish = wish(claimant, name, class, inventory);
    }
}

fn wish<'a>(claimant: &mut Claimant<'a>, name: &str, class: &Class<'_>, inventory: &Inventory<'a>) -> Wish {
    let count = count(claimant, class, inventory);
    let (listed, policy) = families(claimant);
    let (offered, lacking): (Vec<Family>, Vec<Family>) =
        listed.iter().partition(|&&family| !class.pool(family).is_empty());
    let (field, advice, serves) = match policy.as_str() {
        "PreferDualStack" if !offered.is_empty() => ("", "", true),
        "RequireDualStack" => ("spec.ipFamilyPolicy", ", or write PreferDualStack", false),
        _ => ("spec.ipFamilies", "", !offered.is_empty()),
    };
    if !lacking.is_empty() && !field.is_empty() {
        let lacking = lacking.iter().map(|&family| word(family)).collect::<Vec<_>>().join(" and no ");
        claimant.problems.push(Problem {
            field: field.to_owned(),
            message: format!(
                "the pool of class `{name}` has no {lacking}: add such a range to its addressPool{advice}"
            ),
        });
    }
    let serves = serves || lacking.is_empty();
    let prefers = policy == "PreferDualStack" && !offered.is_empty();
    // A pool that is not whole may lack a family by mistake: what the Service has of it is still wanted.
    let has = |family| !class.whole && claims(claimant, inventory).any(|claim| claim.family == family);
    let wanted = |family: &Family| !prefers || offered.contains(family) || has(*family);
    let families = listed.into_iter().filter(wanted).collect();
    Wish { count, families, offered, may_grow: serves && !class.nodes.is_empty() }
}

fn count<'a>(claimant: &mut Claimant<'a>, class: &Class<'_>, inventory: &Inventory<'a>) -> u32 {
    match claimant.request.count {
        Count::Number(number) if number > MAX_COUNT => {
            claimant.problems.push(Problem {
                field: format!("metadata.annotations[{}]", annotation::IP_COUNT),
                message: format!("{number} is more than {MAX_COUNT}, the most that a Service can have; that is used"),
            });
            MAX_COUNT
        }
        Count::Number(number) => number,
        Count::Auto => {
            // One more than the highest index that it holds.
            let indices = claims(claimant, inventory).map(|claim| claim.index.saturating_add(1));
            let has = indices.max().unwrap_or(0);
            // With no node left there is nothing to go by: what is there stays.
            let keeps = if class.meant == 0 { has } else { has.min(limit(class.meant)) };
            limit(class.nodes.len()).max(keeps).max(1)
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
fn families(claimant: &Claimant<'_>) -> (Vec<Family>, String) {
    let spec = claimant.service.spec.as_ref();
    let policy = spec.and_then(|spec| spec.ip_family_policy.as_deref()).unwrap_or("SingleStack");
    let listed = spec.and_then(|spec| spec.ip_families.as_deref()).unwrap_or_default();
    let families = listed.iter().filter_map(|family| match family.as_str() {
        "IPv4" => Some(Family::IPv4),
        "IPv6" => Some(Family::IPv6),
        _ => None,
    });
    let mut families: Vec<Family> = families.collect();
    if families.is_empty() {
        families.push(Family::IPv4);
        if policy != "SingleStack" {
            families.push(Family::IPv6);
        }
    }
    (families, policy.to_owned())
}

/// The family as it is spelled in a manifest.
pub(super) const fn word(family: Family) -> &'static str {
    match family {
        Family::IPv4 => "IPv4",
        Family::IPv6 => "IPv6",
    }
}
