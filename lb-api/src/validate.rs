//! What the fields of an object must mean, beyond what their types can say. Pure; every error at once.
//!
//! A [`Problem`] names the field by its path in the manifest and says what would be right. The CRDs carry the same
//! rules where CEL can express them; a rule here that the CRD cannot carry says so.
//!
//! A MetalLoadBalancerClass is never refused as a whole: Deckhouse's schema accepts anything in its fields, so a bad
//! pool entry makes that entry unusable and the rest of the class works.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use crate::{
    class::{MetalLoadBalancerClass, MetalLoadBalancerClassSpec},
    node::LoadBalancerNode,
    terms::Terms,
    virtual_ip::{MAX_NODES, Phase, VirtualIP, VirtualIPSpec, name_of},
};

mod bgp;
mod deckhouse;
mod metallb;
mod names;
mod pool;
mod service;
mod unread;

pub use bgp::{
    AdvertisementSettings, CommunityText, CommunityValue, bfd_profile, bfd_settings, bgp_advertisement,
    bgp_advertisement_settings, bgp_peer, bgp_peer_settings, community, parse_community, parse_duration,
};
pub use deckhouse::{load_balancer_pool, load_balancer_pool_ranges};
pub use metallb::{address_pool, address_pool_ranges, l2_advertisement, overlap, text as range_text};
pub use names::{is_label, is_subdomain};
pub use pool::{AddressRange, RangeError, parse_entry};
pub use service::service;
pub use unread::UNREAD;
pub(crate) use unread::unread;

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path of the field, as `spec.addressPool[0]`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// What is wrong with a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The usable ranges of a class's pool, in the order of its entries, and what is wrong with the other entries.
pub fn pool_ranges(spec: &MetalLoadBalancerClassSpec) -> (Vec<AddressRange>, Vec<Problem>) {
    let (mut ranges, mut problems) = (Vec::new(), Vec::new());
    for (index, entry) in spec.address_pool.iter().enumerate() {
        match parse_entry(entry) {
            Ok(range) => ranges.push(range),
            Err(error) => problems.push(Problem::new(format!("spec.addressPool[{index}]"), error.to_string())),
        }
    }
    (ranges, problems)
}

/// What is wrong with a class. It works all the same, without what is listed.
pub fn class(class: &MetalLoadBalancerClass) -> Vec<Problem> {
    let (_, mut problems) = pool_ranges(&class.spec);
    if let Some(other) = class.spec.type_.as_deref().filter(|&type_| type_ != "L2") {
        problems.push(Problem::new("spec.type", format!("`{other}` is unknown: write `L2`; it is taken as `L2`")));
    }
    if let Some(l2) = &class.spec.l2 {
        problems.extend(interfaces("spec.l2.interfaces", &l2.interfaces));
    }
    problems.extend(Terms::read(class.metadata.annotations.as_ref()).1);
    problems
}

/// What makes a VirtualIP unusable.
pub fn virtual_ip(object: &VirtualIP) -> Vec<Problem> {
    let spec = &object.spec;
    let mut problems = address(object);
    problems.extend(ranked_nodes(spec));
    problems.extend(claims(spec));
    problems.extend(interfaces("spec.interfaces", &spec.interfaces));
    if spec.ranking_key.is_empty() {
        problems.push(Problem::new("spec.rankingKey", "is empty: the ranking needs a key"));
    }
    match (spec.phase, &spec.released_at) {
        (Phase::Released, None) => {
            problems.push(Problem::new("spec.releasedAt", "is missing: phase Released needs the time of the release"));
        }
        (Phase::Bound, Some(_)) => {
            problems.push(Problem::new("spec.releasedAt", "is set: only phase Released has it"));
        }
        (Phase::Released, Some(_)) | (Phase::Bound, None) => {}
    }
    problems
}

/// What makes a LoadBalancerNode unusable. Its spec is empty; its status is the agent's own.
pub fn node(object: &LoadBalancerNode) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    if !is_subdomain(name) {
        problems.push(Problem::new("metadata.name", format!("`{name}` is not the name of a Node")));
    }
    let Some(status) = &object.status else { return problems };
    let mut seen = BTreeSet::new();
    for (index, interface) in status.interfaces.iter().enumerate() {
        if interface.name.is_empty() || !seen.insert(interface.name.as_str()) {
            let field = format!("status.interfaces[{index}].name");
            problems.push(Problem::new(field, "is empty or listed twice: each interface stands once, by its name"));
        }
    }
    problems
}

/// The address in the one spelling it has, and the name that makes creating it the lock. CEL cannot compute the name.
fn address(object: &VirtualIP) -> Vec<Problem> {
    let text = object.spec.address.as_str();
    let Ok(address) = text.parse::<IpAddr>() else {
        return vec![Problem::new("spec.address", format!("`{text}` is not an IP address"))];
    };
    let mut problems = Vec::new();
    let canonical = address.to_canonical();
    if canonical.to_string() != text {
        problems.push(Problem::new("spec.address", format!("`{text}` is not canonical: write `{canonical}`")));
    }
    let (name, right) = (object.metadata.name.as_deref().unwrap_or_default(), name_of(address));
    if name != right {
        problems.push(Problem::new(
            "metadata.name",
            format!("`{name}` is not the name of {canonical}: write `{right}`; the name is the lock on the address"),
        ));
    }
    problems
}

fn ranked_nodes(spec: &VirtualIPSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.nodes.len() > MAX_NODES {
        let message = format!("has {} nodes: at most {MAX_NODES} may be ranked", spec.nodes.len());
        problems.push(Problem::new("spec.nodes", message));
    }
    let mut seen = BTreeSet::new();
    for (index, node) in spec.nodes.iter().enumerate() {
        let field = || format!("spec.nodes[{index}]");
        if !is_subdomain(node) {
            problems.push(Problem::new(field(), format!("`{node}` is not the name of a Node")));
        } else if !seen.insert(node) {
            problems.push(Problem::new(field(), format!("`{node}` is ranked twice: each node stands once")));
        }
    }
    problems
}

/// A claim must belong to the family of the address, and nobody claims one address twice.
fn claims(spec: &VirtualIPSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let family =
        spec.address.parse::<IpAddr>().ok().map(|address| crate::virtual_ip::Family::of(address.to_canonical()));
    let mut seen = BTreeSet::new();
    for (index, claim) in spec.claims.iter().enumerate() {
        if family.is_some_and(|family| family != claim.family) {
            let field = format!("spec.claims[{index}].family");
            problems.push(Problem::new(field, format!("is not the family of `{}`", spec.address)));
        }
        if !seen.insert(claim.uid.as_str()) {
            let field = format!("spec.claims[{index}].uid");
            problems
                .push(Problem::new(field, "claims the address a second time: a Service has one claim on an address"));
        }
    }
    problems
}

fn interfaces(field: &str, names: &[String]) -> Vec<Problem> {
    let empty = |(index, name): (usize, &String)| {
        name.trim()
            .is_empty()
            .then(|| Problem::new(format!("{field}[{index}]"), "is empty: write the name of an interface"))
    };
    names.iter().enumerate().filter_map(empty).collect()
}

#[cfg(test)]
mod tests;
