//! The kinds that a store knows, and what becomes of a document of a kind that it does not know.
//!
//! A document of a foreign group is nobody's business here. In a group that Herald reads, a kind that does not exist is
//! a slip of the pen, and silence would look like success.

use std::any::{Any, TypeId};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{Namespace, Node, Secret, Service},
        events::v1::Event,
        rbac::v1::{Role, RoleBinding},
    },
};
use lb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, ConfigurationState, EndpointSlice, IPAddressPool,
    L2Advertisement, LoadBalancerNode, MetalLoadBalancerBGPPeer, MetalLoadBalancerClass,
    MetalLoadBalancerConfiguration, MetalLoadBalancerPool, Problem, ServiceBGPStatus, ServiceL2Status, VirtualIP,
    validate,
};
use serde_json::Value;

use crate::{
    Key, Object, defaults,
    directory::cache::{Cache, TypedCache},
    document::{Document, Fault},
};

/// The field of `events.k8s.io/v1` that names the controller. A core Event spells it `reportingComponent`.
const OWN_EVENTS: &str = "reportingController=lb.herald.dev";

/// Of everybody's Roles and RoleBindings the controller may see those by which agents read Secrets: [`lb_api::names::BGP_SECRETS`].
const OWN_ROLES: &str = "metadata.name=herald-bgp-secrets";

/// An object of some kind, checked.
pub(crate) struct Checked {
    /// A `K`.
    pub(crate) object: Box<dyn Any + Send>,
    /// The same as a tree.
    pub(crate) tree: Value,
    /// What of it is not used.
    pub(crate) partly: Vec<Fault>,
}

/// A kind at run time.
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    pub(crate) type_id: TypeId,
    /// Decodes, defaults and validates a document.
    pub(crate) check: fn(&Document<'_>, Value, &Key) -> Result<Checked, Vec<Fault>>,
    /// An empty cache.
    pub(crate) cache: fn() -> Box<dyn Cache>,
}

impl Kind {
    pub(crate) fn of<K: Object>() -> Self {
        Self {
            group: K::group(&()).into_owned(),
            version: K::version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            plural: K::plural(&()).into_owned(),
            namespaced: is_namespaced::<K>(),
            type_id: TypeId::of::<K>(),
            check: check::<K>,
            cache: || Box::new(TypedCache::<K>::default()),
        }
    }

    /// `group/version`, or the version alone in the core group.
    pub(crate) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// What the kind allows as a name.
    pub(crate) fn name_problem(&self, key: &Key) -> Option<Problem> {
        let service = self.kind == "Service" && self.group.is_empty();
        let good = if service { validate::is_label(&key.name) } else { validate::is_subdomain(&key.name) };
        let problem = |field: &str, message: String| Some(Problem { field: field.into(), message });
        if key.name.is_empty() {
            return problem("metadata.name", "is missing: every object needs a name".into());
        }
        if !good {
            let message = format!("`{}` is not a name: write lower-case letters, digits and `-`", key.name);
            return problem("metadata.name", message);
        }
        if self.namespaced && !validate::is_label(&key.namespace) {
            let message = format!("`{}` is not a namespace: write lower-case letters, digits and `-`", key.namespace);
            return problem("metadata.namespace", message);
        }
        None
    }
}

pub(crate) fn is_namespaced<K: Object>() -> bool {
    TypeId::of::<K::Scope>() == TypeId::of::<NamespaceResourceScope>()
}

/// The kinds that are checked in every file, whether anybody follows them or not.
pub(crate) fn known() -> Vec<Kind> {
    vec![
        Kind::of::<Service>(),
        Kind::of::<Node>(),
        Kind::of::<Namespace>(),
        Kind::of::<MetalLoadBalancerClass>(),
        Kind::of::<VirtualIP>(),
        Kind::of::<LoadBalancerNode>(),
        Kind::of::<Event>(),
        Kind::of::<IPAddressPool>(),
        Kind::of::<L2Advertisement>(),
        Kind::of::<Community>(),
        Kind::of::<ConfigurationState>(),
        Kind::of::<ServiceL2Status>(),
        Kind::of::<EndpointSlice>(),
        Kind::of::<BGPPeer>(),
        Kind::of::<BGPAdvertisement>(),
        Kind::of::<BFDProfile>(),
        Kind::of::<ServiceBGPStatus>(),
        Kind::of::<MetalLoadBalancerPool>(),
        Kind::of::<MetalLoadBalancerBGPPeer>(),
        Kind::of::<MetalLoadBalancerConfiguration>(),
        Kind::of::<Secret>(),
    ]
}

/// Older versions that an API server serves beside the one that is read here, and that say the same.
const OLDER: [(&str, &str); 1] = [("BGPPeer", "metallb.io/v1beta1")];

/// Everything that makes an object unusable, beyond its types.
pub(crate) fn problems(object: &dyn Any) -> Vec<Problem> {
    if let Some(service) = object.downcast_ref::<Service>() {
        return validate::service(service);
    }
    if let Some(address) = object.downcast_ref::<VirtualIP>() {
        return validate::virtual_ip(address);
    }
    object.downcast_ref::<LoadBalancerNode>().map(validate::node).unwrap_or_default()
}

/// Everything that makes an object unusable, its name included.
pub(crate) fn all_problems<K: Object>(object: &K) -> Vec<Problem> {
    let name = Kind::of::<K>().name_problem(&normal_key(object));
    name.into_iter().chain(problems(object)).collect()
}

/// Which objects of a kind are followed on an API server, as a field selector; `None` means all.
pub(crate) fn selector<K: Object>() -> Option<&'static str> {
    let is = |kind: TypeId| kind == TypeId::of::<K>();
    if is(TypeId::of::<Role>()) || is(TypeId::of::<RoleBinding>()) {
        return Some(OWN_ROLES);
    }
    // Everybody's Events are there. Herald reads its own, so as not to tell a thing twice.
    is(TypeId::of::<Event>()).then_some(OWN_EVENTS)
}

/// The key under which the object is kept.
pub(crate) fn normal_key<K: Object>(object: &K) -> Key {
    let key = Key::of(object);
    match (is_namespaced::<K>(), key.namespace.as_str()) {
        (true, "") => Key::new("default", &key.name),
        (false, namespace) if !namespace.is_empty() => Key::cluster_scoped(&key.name),
        _ => key,
    }
}

/// Kind and name, for messages.
pub(crate) fn describe<K: Object>(object: &K) -> String {
    format!("{} {}", K::kind(&()), normal_key(object))
}

/// What of an object is not used, although the rest of it is.
pub(crate) fn partly(object: &dyn Any) -> Vec<Problem> {
    let class = object.downcast_ref::<MetalLoadBalancerClass>().map(validate::class);
    let pool = || object.downcast_ref::<IPAddressPool>().map(validate::address_pool);
    let deckhouse = || object.downcast_ref::<MetalLoadBalancerPool>().map(validate::load_balancer_pool);
    let advertisement = || object.downcast_ref::<L2Advertisement>().map(validate::l2_advertisement);
    let community = || object.downcast_ref::<Community>().map(validate::community);
    let bgp = || {
        let peer = object.downcast_ref::<BGPPeer>().map(validate::bgp_peer);
        let advertisement = || object.downcast_ref::<BGPAdvertisement>().map(validate::bgp_advertisement);
        let profile = || object.downcast_ref::<BFDProfile>().map(validate::bfd_profile);
        peer.or_else(advertisement).or_else(profile)
    };
    class.or_else(pool).or_else(deckhouse).or_else(advertisement).or_else(community).or_else(bgp).unwrap_or_default()
}

fn check<K: Object>(document: &Document<'_>, mut value: Value, key: &Key) -> Result<Checked, Vec<Fault>> {
    // As an API server hands out one version, whichever was written.
    if let Some(version) = value.get_mut("apiVersion") {
        *version = Kind::of::<K>().api_version().into();
    }
    let mut object: K = document.decode(value).map_err(|fault| vec![fault])?;
    object.meta_mut().namespace = is_namespaced::<K>().then(|| key.namespace.clone());
    defaults::apply(&mut object);
    let located = |problems: Vec<Problem>| -> Vec<Fault> {
        problems.into_iter().map(|problem| document.fault_at(&problem.field, problem.message)).collect()
    };
    let problems = located(problems(&object));
    if !problems.is_empty() {
        return Err(problems);
    }
    let partly = located(partly(&object));
    let tree = serde_json::to_value(&object).map_err(|error| vec![document.fault_at("", error.to_string())])?;
    Ok(Checked { object: Box::new(object), tree, partly })
}

/// What a document's `apiVersion` and `kind` make of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An index into the kinds given.
    Known(usize),
    /// Not ours to read.
    Foreign,
    /// A field of the document, and what is wrong with it.
    Wrong(&'static str, String),
}

/// Judges a document by its `apiVersion` and `kind`.
pub(crate) fn judge(kinds: &[Kind], api_version: &str, kind: &str) -> Verdict {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let ours = || kinds.iter().filter(|known| known.group == group);
    if let Some(index) = kinds.iter().position(|known| known.group == group && known.kind == kind) {
        let right = kinds[index].api_version();
        return match right == api_version || OLDER.contains(&(kind, api_version)) {
            true => Verdict::Known(index),
            false => Verdict::Wrong("apiVersion", format!("`{api_version}` has no {kind}: write `{right}`")),
        };
    }
    if ours().next().is_none() || OTHERS.contains(&(group, kind)) {
        return Verdict::Foreign;
    }
    let names: Vec<_> = ours().map(|known| known.kind.as_str()).collect();
    let advice = if kind == "List" && group.is_empty() {
        "write its items as documents of their own, separated by `---`".to_owned()
    } else {
        format!("Herald reads {} of it", names.join(", "))
    };
    Verdict::Wrong("kind", format!("`{kind}` is no kind of `{api_version}` that is known here: {advice}"))
}

/// Kinds of the groups above that exist and that Herald does not read.
const OTHERS: [(&str, &str); 24] = [
    ("", "Binding"),
    ("", "ComponentStatus"),
    ("", "ConfigMap"),
    ("", "Endpoints"),
    ("", "Event"),
    ("", "LimitRange"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("", "Pod"),
    ("", "PodTemplate"),
    ("", "ReplicationController"),
    ("", "ResourceQuota"),
    ("", "ServiceAccount"),
    ("network.deckhouse.io", "ClusterIPAddress"),
    ("network.deckhouse.io", "EgressGateway"),
    ("network.deckhouse.io", "EgressGatewayPolicy"),
    ("network.deckhouse.io", "IPAddress"),
    ("network.deckhouse.io", "IPAddressLease"),
    ("network.deckhouse.io", "L2LoadBalancer"),
    ("network.deckhouse.io", "Network"),
    ("network.deckhouse.io", "NetworkInterface"),
    ("network.deckhouse.io", "NodeNetworkInterface"),
    ("network.deckhouse.io", "ClusterNetwork"),
    ("network.deckhouse.io", "IPAddressPool"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(api_version: &str, kind: &str) -> Verdict {
        judge(&known(), api_version, kind)
    }

    #[test]
    fn foreign_kinds_are_left_alone() {
        for (api_version, kind) in [("v1", "ConfigMap"), ("apps/v1", "Deployment"), ("apps/v1", "Servize")] {
            assert_eq!(verdict(api_version, kind), Verdict::Foreign, "{kind}");
        }
    }

    #[test]
    fn a_slip_in_our_groups_is_told() {
        for (api_version, kind, field, advice) in [
            ("v1", "Servize", "kind", "Service"),
            ("v1", "List", "kind", "---"),
            ("network.deckhouse.io/v1alpha1", "MetalLoadbalancerClass", "kind", "MetalLoadBalancerClass"),
            ("lb.herald.dev/v1", "VirtualIP", "apiVersion", "lb.herald.dev/v1alpha1"),
        ] {
            let Verdict::Wrong(at, message) = verdict(api_version, kind) else { panic!("{kind} passed") };
            assert_eq!(at, field);
            assert!(message.contains(advice), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_told_with_what_can() {
        let told = |problem: Option<Problem>| problem.map(|problem| problem.to_string()).unwrap_or_default();
        let (service, vip) = (Kind::of::<Service>(), Kind::of::<VirtualIP>());
        for (kind, key, message) in [
            (&vip, Key::cluster_scoped(""), "metadata.name: is missing: every object needs a name"),
            (
                &vip,
                Key::cluster_scoped("192.0.2.1/32"),
                "metadata.name: `192.0.2.1/32` is not a name: write lower-case letters, digits and `-`",
            ),
            (
                &service,
                Key::new("default", "web.page"),
                "metadata.name: `web.page` is not a name: write lower-case letters, digits and `-`",
            ),
            (
                &service,
                Key::new("Default", "web"),
                "metadata.namespace: `Default` is not a namespace: write lower-case letters, digits and `-`",
            ),
            (&service, Key::new("default", "web"), ""),
            (&vip, Key::cluster_scoped("192.0.2.1"), ""),
        ] {
            assert_eq!(told(kind.name_problem(&key)), message, "{key}");
        }
    }

    #[test]
    fn of_roles_only_those_of_herald_are_followed() {
        assert_eq!(selector::<Role>(), Some(format!("metadata.name={}", lb_api::names::BGP_SECRETS).as_str()));
        assert_eq!((selector::<RoleBinding>(), selector::<Service>()), (selector::<Role>(), None));
    }

    #[test]
    fn known_kinds_are_known() {
        assert!(matches!(verdict("v1", "Service"), Verdict::Known(0)));
        assert!(matches!(verdict("events.k8s.io/v1", "Event"), Verdict::Known(6)));
        for version in ["metallb.io/v1beta1", "metallb.io/v1beta2"] {
            assert!(matches!(verdict(version, "BGPPeer"), Verdict::Known(13)), "{version}");
        }
        assert!(matches!(verdict("metallb.io/v1beta1", "BGPAdvertisement"), Verdict::Known(14)));
        assert!(matches!(verdict("metallb.io/v1beta2", "BGPAdvertisement"), Verdict::Wrong("apiVersion", _)));
    }
}
