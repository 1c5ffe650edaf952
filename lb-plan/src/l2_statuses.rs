//! What MetalLB's tools read of who answers: a `ServiceL2Status` for each Service and node that holds an address of it.
//!
//! Pure: says what to write; `lb-controller` writes it. Only of addresses from an IPAddressPool: of others MetalLB would
//! say nothing either. Where MetalLB has the one node of a Service, a Service of several addresses has several objects,
//! one for each node that holds some.
//!
//! Unlike MetalLB's, which speakers name by chance and write for themselves, these have names made of what they say and
//! one writer, the controller, from the status of the VirtualIPs: so a node that died leaves nothing behind. Their
//! interfaces are in order, so that nothing is written twice (metallb.md section 1.7 has MetalLB's own flaw).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lb_api::{
    ServiceL2Status, VirtualIP,
    metallb::{InterfaceInfo, ServiceL2StatusSpec, ServiceL2StatusStatus},
    virtual_ip::{Phase, UNKNOWN},
};

use crate::controller::rank::hash;

/// Tells Herald's own from what MetalLB's speakers left.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "herald");
/// Values of labels are no longer (Kubernetes: labels and selectors).
const MAX_LABEL: usize = 63;

/// One write. `status` of what is created is written after it: a creation takes none.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// There is none.
    Create(Box<ServiceL2Status>),
    /// It says something else, or nothing yet.
    Status(Box<ServiceL2Status>),
    /// Nobody answers there any more.
    Delete(Arc<ServiceL2Status>),
}

/// Node, namespace and name of the Service.
type Title<'a> = (&'a str, &'a str, &'a str);

/// What has to be written so that the objects of `namespace` say who holds which Service's addresses.
pub fn writes<'a>(
    vips: impl IntoIterator<Item = &'a Arc<VirtualIP>>,
    existing: impl IntoIterator<Item = &'a Arc<ServiceL2Status>>,
    namespace: &str,
) -> Vec<Write> {
    let mut wanted = wanted(vips, namespace);
    let mut writes = Vec::new();
    for object in existing.into_iter().filter(|object| is_own(object, namespace)) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        match wanted.remove(name) {
            None => writes.push(Write::Delete(Arc::clone(object))),
            Some(made) if object.status == made.status => {}
            // What was made by hand under this name, or of something else: what it says cannot be changed.
            Some(made) if !may_become(object.status.as_ref(), made.status.as_ref()) => {
                writes.push(Write::Delete(Arc::clone(object)));
            }
            Some(made) => {
                let written = ServiceL2Status { status: made.status, ..ServiceL2Status::clone(object) };
                writes.push(Write::Status(Box::new(written)));
            }
        }
    }
    writes.extend(wanted.into_values().map(|made| Write::Create(Box::new(made))));
    writes
}

fn is_own(object: &ServiceL2Status, namespace: &str) -> bool {
    let (label, value) = MANAGED_BY;
    let labels = object.metadata.labels.as_ref();
    object.metadata.namespace.as_deref() == Some(namespace)
        && labels.and_then(|labels| labels.get(label)).is_some_and(|of| of == value)
}

/// Node and Service never change once they are written, says the CRD.
fn may_become(said: Option<&ServiceL2StatusStatus>, wanted: Option<&ServiceL2StatusStatus>) -> bool {
    let (Some(said), Some(wanted)) = (said, wanted) else { return true };
    let may = |said: &Option<String>, wanted: &Option<String>| said.is_none() || said == wanted;
    may(&said.node, &wanted.node)
        && may(&said.service_name, &wanted.service_name)
        && may(&said.service_namespace, &wanted.service_namespace)
}

/// By name.
fn wanted<'a>(
    vips: impl IntoIterator<Item = &'a Arc<VirtualIP>>,
    namespace: &str,
) -> BTreeMap<String, ServiceL2Status> {
    // `None`: an address that is answered on all interfaces.
    let mut held: BTreeMap<Title<'_>, Option<BTreeSet<&str>>> = BTreeMap::new();
    for vip in vips {
        // A class has no `/` in its name.
        if vip.spec.phase != Phase::Bound || !vip.spec.pool.contains('/') {
            continue;
        }
        let status = vip.status.as_ref().filter(|status| status.why.as_deref() != Some(UNKNOWN));
        let Some(node) = status.and_then(|status| status.holder.as_deref()) else { continue };
        for claim in &vip.spec.claims {
            let interfaces = held.entry((node, &claim.namespace, &claim.name)).or_insert_with(|| Some(BTreeSet::new()));
            match interfaces {
                Some(all) if !vip.spec.interfaces.is_empty() => {
                    all.extend(vip.spec.interfaces.iter().map(String::as_str))
                }
                _ => *interfaces = None,
            }
        }
    }
    held.into_iter()
        .map(|(title, interfaces)| {
            let object = object(title, interfaces.unwrap_or_default(), namespace);
            (object.metadata.name.clone().unwrap_or_default(), object)
        })
        .collect()
}

fn object(
    (node, service_namespace, service): Title<'_>,
    interfaces: BTreeSet<&str>,
    namespace: &str,
) -> ServiceL2Status {
    let labels = [
        MANAGED_BY,
        ("metallb.io/node", node),
        ("metallb.io/service-name", service),
        ("metallb.io/service-namespace", service_namespace),
    ];
    let labels = labels.into_iter().filter(|(_, value)| value.len() <= MAX_LABEL);
    // No part has a line break, so no two titles make one text.
    let id = hash::of(&format!("{node}\n{service_namespace}\n{service}"));
    let metadata = ObjectMeta {
        name: Some(format!("l2-{id:016x}")),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels.map(|(label, value)| (label.to_owned(), value.to_owned())).collect()),
        ..ObjectMeta::default()
    };
    let status = ServiceL2StatusStatus {
        node: Some(node.to_owned()),
        service_name: Some(service.to_owned()),
        service_namespace: Some(service_namespace.to_owned()),
        interfaces: interfaces.into_iter().map(|name| InterfaceInfo { name: name.to_owned() }).collect(),
    };
    ServiceL2Status { metadata, spec: ServiceL2StatusSpec {}, status: Some(status) }
}

#[cfg(test)]
mod tests;
