//! What is wrong with Deckhouse's pools for BGP. They work all the same, without what is listed.
//!
//! Their entries mean what those of the IPAddressPool mean that Deckhouse renders from them, so they are read as MetalLB
//! reads them. An IPv6 entry is used: early schemas let it through, ours does not (deckhouse.md section 10.2).

use super::{AddressRange, Problem, metallb};
use crate::{
    deckhouse::{MetalLoadBalancerPool, MetalLoadBalancerPoolSpec},
    names::l2_annotation,
};

/// The usable ranges of a pool, in the order of its entries, and what is wrong with the other entries.
pub fn load_balancer_pool_ranges(spec: &MetalLoadBalancerPoolSpec) -> (Vec<AddressRange>, Vec<Problem>) {
    metallb::ranges(&spec.addresses)
}

/// What is wrong with a pool, seen alone.
pub fn load_balancer_pool(pool: &MetalLoadBalancerPool) -> Vec<Problem> {
    let mut problems = metallb::addresses(&pool.spec.addresses);
    let has = |name: &&str| pool.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(*name));
    let message =
        "is not read on a MetalLoadBalancerPool: it is for layer 2, and these addresses are announced with BGP";
    let names = [l2_annotation::FAILBACK, l2_annotation::CONFLICT].into_iter().filter(has);
    problems.extend(names.map(|name| Problem::new(format!("metadata.annotations[{name}]"), message)));
    problems
}
