//! The manifests as a user writes them.

use super::{
    class::Class,
    world::{Families, NodeState, Service},
};

/// A document that breaks off: no object can be read from it.
pub(super) const BROKEN: &str = "apiVersion: v1\nkind: [Service\nmetadata: {name: \"";

pub(super) fn service(name: &str, service: &Service) -> String {
    let families = match service.families {
        Families::V4 => "ipFamilyPolicy: SingleStack\n  ipFamilies: [IPv4]",
        Families::V6 => "ipFamilyPolicy: SingleStack\n  ipFamilies: [IPv6]",
        Families::Both => "ipFamilyPolicy: RequireDualStack\n  ipFamilies: [IPv4, IPv6]",
    };
    let class = match service.annotation {
        Some(class) => format!("    network.deckhouse.io/metal-load-balancer-class: {class}\n"),
        None => String::new(),
    };
    let count = service.count;
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: default\n  annotations:\n{class}    \
         network.deckhouse.io/l2-load-balancer-external-ips-count: \"{count}\"\nspec:\n  type: LoadBalancer\n  \
         {families}\n  ports:\n  - port: 80\n"
    )
}

pub(super) fn class(name: &str, class: &Class) -> String {
    let pool: String = class.ranges().iter().map(|(first, last)| format!("  - {first}-{last}\n")).collect();
    let default = class.default;
    format!(
        "apiVersion: network.deckhouse.io/v1alpha1\nkind: MetalLoadBalancerClass\nmetadata:\n  name: {name}\nspec:\n  \
         isDefault: {default}\n  type: L2\n  addressPool:\n{pool}"
    )
}

pub(super) fn node(name: &str, state: NodeState) -> String {
    let labels = match state.excluded {
        true => "  labels:\n    node.kubernetes.io/exclude-from-external-load-balancers: \"\"\n",
        false => "",
    };
    let cordoned = state.cordoned;
    format!("apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n{labels}spec:\n  unschedulable: {cordoned}\n")
}
