//! What a user asks for in the annotations of a Service and in `spec.loadBalancerIP`, read once and typed.
//!
//! Whether a wish can be met is `lb-plan`'s. A bad value never hides a good one: it becomes
//! a [`Problem`] that the controller puts on the user's own Service.
//!
//! Compatibility: Deckhouse's annotations mean what they mean there, with two differences: white space around
//! values is trimmed, and a bad value is reported and not only ignored. MetalLB's mean what they mean there, under both
//! of its prefixes; where both are present the newer wins, even if it is empty.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use k8s_openapi::api::core::v1::Service;

use crate::{
    names::annotation,
    validate::{Problem, unread},
};

mod metallb;

pub use metallb::MetalLbAddresses;

/// How many addresses of each family a Service gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Count {
    /// This many, at least 1.
    Number(u32),
    /// One per eligible node, growing by itself.
    Auto,
}

/// A pool that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolName {
    /// Its name.
    pub name: String,
    /// The annotation that asks for it.
    pub annotation: &'static str,
}

/// The wishes of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How many addresses of each family.
    pub count: Count,
    /// The MetalLoadBalancerClass by annotation.
    pub class: Option<String>,
    /// IPv4 addresses asked for; entry *i* is for index *i*.
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 addresses asked for; entry *i* is for index *i*.
    pub ipv6: Vec<Ipv6Addr>,
    /// The field that asks for them.
    pub field: String,
    /// The pool by annotation, Deckhouse's or MetalLB's.
    pub pool: Option<PoolName>,
    /// Addresses that are asked for in MetalLB's way, if any are.
    pub metallb: Option<MetalLbAddresses>,
    /// Services with equal keys may share an address.
    pub sharing_key: Option<String>,
    /// Annotations under MetalLB's old prefix.
    pub deprecated: Vec<String>,
    /// What could not be read; the field is `metadata.annotations[NAME]`.
    pub problems: Vec<Problem>,
}

/// Reads all that a Service asks for.
pub fn of(service: &Service) -> Request {
    let none = BTreeMap::new();
    let mut request = read(service.metadata.annotations.as_ref().unwrap_or(&none));
    let field = service.spec.as_ref().and_then(|spec| spec.load_balancer_ip.as_deref());
    request.metallb = metallb::addresses(service.metadata.annotations.as_ref().unwrap_or(&none), field);
    request
}

/// Reads the annotations of a Service.
pub fn read(annotations: &BTreeMap<String, String>) -> Request {
    let mut problems = Vec::new();
    let count = count(annotations, &mut problems);
    let (ipv4, ipv6) = addresses(annotations, &mut problems);
    problems.extend(unread("Service", Some(annotations), &[annotation::IP_COUNT]));
    Request {
        count,
        class: text(annotations, annotation::DECKHOUSE_CLASS),
        ipv4,
        ipv6,
        field: field(annotation::DECKHOUSE_IPS),
        pool: pool(annotations),
        metallb: metallb::addresses(annotations, None),
        sharing_key: text(annotations, annotation::DECKHOUSE_SHARED_IP_KEY)
            .or_else(|| text(annotations, annotation::DECKHOUSE_ALLOW_SHARED_IP))
            .or_else(|| metallb::text(annotations, annotation::METALLB_SHARED_IP)),
        deprecated: metallb::deprecated(annotations),
        problems,
    }
}

/// Deckhouse's annotation comes before MetalLB's (deckhouse.md section 3.1).
fn pool(annotations: &BTreeMap<String, String>) -> Option<PoolName> {
    let own = text(annotations, annotation::DECKHOUSE_POOL)
        .map(|name| PoolName { name, annotation: annotation::DECKHOUSE_POOL });
    own.or_else(|| metallb::pool(annotations))
}

/// The path of an annotation in a manifest.
pub fn field(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}

/// Herald's own annotation wins; a bad value there does not fall back to Deckhouse's, which would hide it.
fn count(annotations: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Count {
    for name in [annotation::IP_COUNT, annotation::DECKHOUSE_IP_COUNT] {
        let Some(value) = annotations.get(name) else { continue };
        return parse_count(value).unwrap_or_else(|| {
            problems.push(problem(
                name,
                format!("`{value}` is not a count: write a whole number of at least 1, or `auto`; 1 is used"),
            ));
            Count::Number(1)
        });
    }
    Count::Number(1)
}

/// Reads a count; `None` if it is neither `auto` nor a number from 1 to 4294967295. A leading `+` is allowed.
pub fn parse_count(value: &str) -> Option<Count> {
    match value.trim() {
        "auto" => Some(Count::Auto),
        number => number.parse().ok().filter(|&number| number > 0).map(Count::Number),
    }
}

/// A bad entry takes no index: the good ones are all honoured, in their order.
fn addresses(annotations: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> (Vec<Ipv4Addr>, Vec<Ipv6Addr>) {
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    let Some(list) = text(annotations, annotation::DECKHOUSE_IPS) else { return (ipv4, ipv6) };
    for entry in list.split(',').map(str::trim) {
        let mut bad = |message: String| problems.push(problem(annotation::DECKHOUSE_IPS, message));
        // An IPv4-mapped address is its IPv4 address: one address, one name.
        match entry.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(address)) if !ipv4.contains(&address) => ipv4.push(address),
            Ok(IpAddr::V6(address)) if !ipv6.contains(&address) => ipv6.push(address),
            Ok(address) => bad(format!("{address} is asked for twice: each address can be given once")),
            Err(_) if entry.is_empty() => bad("an entry is empty: separate addresses by one comma".into()),
            Err(_) => bad(format!("`{entry}` is not an IP address: write addresses separated by commas")),
        }
    }
    (ipv4, ipv6)
}

/// The trimmed value of an annotation; an empty one is no wish.
fn text(annotations: &BTreeMap<String, String>, name: &str) -> Option<String> {
    annotations.get(name).map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn problem(annotation: &str, message: String) -> Problem {
    Problem { field: field(annotation), message }
}

#[cfg(test)]
mod tests;
