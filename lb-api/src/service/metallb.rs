//! MetalLB's annotations, under both prefixes, and `spec.loadBalancerIP`.
//!
//! Unlike Deckhouse's list, a list of MetalLB's is honoured as a whole or not at all.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{PoolName, field};
use crate::{names::annotation, validate::Problem};

/// Addresses that are asked for in MetalLB's way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetalLbAddresses {
    /// IPv4 addresses in their order.
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 addresses in their order.
    pub ipv6: Vec<Ipv6Addr>,
    /// The field that asks.
    pub field: String,
    /// Why nothing can be asked for: the Service keeps what it has and gets nothing.
    pub problem: Option<Problem>,
}

pub(super) fn addresses(
    annotations: &BTreeMap<String, String>,
    load_balancer_ip: Option<&str>,
) -> Option<MetalLbAddresses> {
    let listed = present(annotations, annotation::METALLB_IPS).filter(|(_, value)| !value.trim().is_empty());
    let by_field = load_balancer_ip.map(str::trim).filter(|value| !value.is_empty());
    let (name, list) = match (listed, by_field) {
        (None, None) => return None,
        (Some((name, _)), Some(_)) => {
            let message = format!("is set, and {name} as well: ask for addresses in one of them only");
            let field = "spec.loadBalancerIP".to_owned();
            let problem = Some(Problem { field: field.clone(), message });
            return Some(MetalLbAddresses { field, problem, ..MetalLbAddresses::default() });
        }
        (Some((name, list)), None) => (field(name), list),
        (None, Some(value)) => ("spec.loadBalancerIP".to_owned(), value),
    };
    Some(parse(name, list))
}

fn parse(field: String, list: &str) -> MetalLbAddresses {
    let mut asked = MetalLbAddresses { field, ..MetalLbAddresses::default() };
    for entry in list.split(',').map(str::trim) {
        let message = match entry.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(address)) if !asked.ipv4.contains(&address) => {
                asked.ipv4.push(address);
                continue;
            }
            Ok(IpAddr::V6(address)) if !asked.ipv6.contains(&address) => {
                asked.ipv6.push(address);
                continue;
            }
            Ok(address) => format!("{address} is asked for twice: each address can be given once"),
            Err(_) => format!("invalid requested IP `{entry}`: write IP addresses separated by commas"),
        };
        asked.problem.get_or_insert(Problem { field: asked.field.clone(), message });
    }
    asked
}

/// The annotation under the newer prefix if it is there, else under the older one.
fn present<'a>(annotations: &'a BTreeMap<String, String>, names: [&'static str; 2]) -> Option<(&'static str, &'a str)> {
    names.into_iter().find_map(|name| annotations.get(name).map(|value| (name, value.as_str())))
}

/// The pool by annotation.
pub(super) fn pool(annotations: &BTreeMap<String, String>) -> Option<PoolName> {
    let (annotation, value) = present(annotations, annotation::METALLB_POOL)?;
    let name = value.trim();
    (!name.is_empty()).then(|| PoolName { name: name.to_owned(), annotation })
}

pub(super) fn text(annotations: &BTreeMap<String, String>, names: [&'static str; 2]) -> Option<String> {
    let (_, value) = present(annotations, names)?;
    Some(value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The annotations under the old prefix, by name.
pub(super) fn deprecated(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let all = [annotation::METALLB_POOL, annotation::METALLB_IPS, annotation::METALLB_SHARED_IP];
    let old = all.into_iter().map(|[_, old]| old).filter(|old| annotations.contains_key(*old));
    old.map(str::to_owned).collect()
}
