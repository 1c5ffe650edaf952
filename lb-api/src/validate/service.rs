//! The part of the API server's validation of a Service that Herald's decisions rest on.
//!
//! A manifest that a cluster would refuse must not work from a directory. Annotations are not checked here: a bad one
//! is reported on the Service ([`crate::service`]) and never makes it unusable.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::{Problem, is_label};

const TYPES: [&str; 4] = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["SingleStack", "PreferDualStack", "RequireDualStack"];
const TRAFFIC: [&str; 2] = ["Cluster", "Local"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// What makes a Service unusable.
pub fn service(service: &Service) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(spec) = &service.spec else {
        return vec![Problem::new("spec", "is missing: a Service needs a spec with ports")];
    };
    let choices: [(&str, Option<&str>, &[&str]); 4] = [
        ("spec.type", spec.type_.as_deref(), &TYPES),
        ("spec.ipFamilyPolicy", spec.ip_family_policy.as_deref(), &POLICIES),
        ("spec.externalTrafficPolicy", spec.external_traffic_policy.as_deref(), &TRAFFIC),
        ("spec.internalTrafficPolicy", spec.internal_traffic_policy.as_deref(), &TRAFFIC),
    ];
    for (field, value, allowed) in choices {
        problems.extend(value.and_then(|value| one_of(field.to_owned(), value, allowed)));
    }
    problems.extend(families(spec));
    problems.extend(ports(spec));
    problems
}

fn one_of(field: String, value: &str, allowed: &[&str]) -> Option<Problem> {
    (!allowed.contains(&value))
        .then(|| Problem::new(field, format!("`{value}` is unknown: write one of {}", allowed.join(", "))))
}

fn families(spec: &ServiceSpec) -> Vec<Problem> {
    let families = spec.ip_families.as_deref().unwrap_or_default();
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, family) in families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        if !seen.insert(family) {
            problems.push(Problem::new(field, format!("`{family}` is listed twice: each family stands once")));
        } else {
            problems.extend(one_of(field, family, &FAMILIES));
        }
    }
    if families.len() > 1 && spec.ip_family_policy.as_deref() == Some("SingleStack") {
        let message = "SingleStack allows one family: write PreferDualStack or RequireDualStack, or list one family";
        problems.push(Problem::new("spec.ipFamilyPolicy", message));
    }
    problems
}

fn ports(spec: &ServiceSpec) -> Vec<Problem> {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let mut problems = Vec::new();
    let headless = spec.cluster_ip.as_deref() == Some("None");
    if ports.is_empty() && !headless && spec.type_.as_deref() != Some("ExternalName") {
        problems.push(Problem::new("spec.ports", "is empty: a Service needs at least one port"));
    }
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let field = |name: &str| format!("spec.ports[{index}].{name}");
        problems.extend(port_name(port, ports.len(), &field("name")));
        if let Some(name) = port.name.as_deref()
            && !names.insert(name)
        {
            problems.push(Problem::new(field("name"), format!("`{name}` names two ports: each name stands once")));
        }
        if !(1..=65535).contains(&port.port) {
            problems.push(Problem::new(field("port"), format!("{} is not a port: write 1 to 65535", port.port)));
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        problems.extend(one_of(field("protocol"), protocol, &PROTOCOLS));
        if !numbers.insert((protocol, port.port)) {
            problems.push(Problem::new(field("port"), format!("{protocol} {} is listed twice", port.port)));
        }
    }
    problems
}

fn port_name(port: &ServicePort, count: usize, field: &str) -> Option<Problem> {
    match port.name.as_deref() {
        None | Some("") if count > 1 => Some(Problem::new(field, "is missing: of several ports each needs a name")),
        None | Some("") => None,
        Some(name) if is_label(name) => None,
        Some(name) => {
            Some(Problem::new(field, format!("`{name}` is not a port name: write lower-case letters, digits, -")))
        }
    }
}
