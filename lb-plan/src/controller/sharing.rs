//! Which Services may be together on one address.
//!
//! As in MetalLB (metallb.md section 3.5): both have the same sharing key, both send their traffic to the same endpoints
//! or to any node, and no port of one protocol is in both.
//!
//! What was judged once is not judged again: a claim on a shared address carries the digest of its [`Terms`]. So it is
//! the Service that changed that loses the address, and Services that shared against the rules before Herald came are
//! left together until one of them changes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;

use super::rank::hash;

/// What sharing depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) key: Option<String>,
    /// The selector, if traffic goes only to endpoints on the node that gets it; else empty.
    backend: String,
    ports: Vec<(String, i32)>,
}

impl Terms {
    pub(super) fn of(service: &Service, key: Option<&str>) -> Self {
        let spec = service.spec.as_ref();
        let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default().iter();
        let protocol = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".into());
        let mut ports: Vec<(String, i32)> = ports.map(|port| (protocol(&port.protocol), port.port)).collect();
        ports.sort();
        let none = BTreeMap::new();
        let selector = spec.and_then(|spec| spec.selector.as_ref()).unwrap_or(&none);
        let pairs: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let backend = if is_local(service) { pairs.join(",") } else { String::new() };
        Self { key: key.map(str::to_owned), backend, ports }
    }

    /// What a claim remembers of them.
    pub(super) fn digest(&self) -> String {
        let key = self.key.as_deref().unwrap_or_default();
        format!("{:016x}", hash::of(&format!("{key}\n{}\n{:?}", self.backend, self.ports)))
    }

    /// Why these two may not be together; `None` if they may.
    pub(super) fn obstacle(&self, other: &Self) -> Option<String> {
        match (&self.key, &other.key) {
            (None, _) => return Some("this Service has no sharing key".into()),
            (_, None) => return Some("that Service has no sharing key".into()),
            (Some(own), Some(theirs)) if own != theirs => {
                return Some(format!("its sharing key is `{theirs}`, and this Service's is `{own}`"));
            }
            (Some(_), Some(_)) => {}
        }
        if self.backend != other.backend {
            let message = "their externalTrafficPolicy differs, or it is Local and their selectors differ";
            return Some(message.into());
        }
        let clash = self.ports.iter().find(|port| other.ports.contains(port));
        clash.map(|(protocol, port)| format!("port {port}/{protocol} is in use on it"))
    }

    /// A number for Services that can be told apart by nobody who shares.
    pub(super) fn kind(&self) -> u64 {
        hash::of(&self.digest())
    }
}

/// Whether traffic goes only to endpoints on the node that gets it.
pub(super) fn is_local(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.external_traffic_policy.as_deref()) == Some("Local")
}
