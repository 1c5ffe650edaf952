//! Every name Herald shares with users and other programs: groups, annotations, condition types and reasons.
//!
//! The names under `network.deckhouse.io` are Deckhouse's; a Service written for it means the same here.

/// The group of Herald's own kinds and annotations. One constant, additive only.
pub const GROUP: &str = "lb.herald.dev";

/// The Role and the RoleBinding, in each namespace of one, that let agents read the Secrets which BGP needs.
pub const BGP_SECRETS: &str = "herald-bgp-secrets";

/// Annotations on a user's Service.
pub mod annotation {
    /// How many addresses the Service gets: a decimal number of at least 1, or `auto` (one per eligible node).
    pub const IP_COUNT: &str = "lb.herald.dev/ip-count";
    /// Deckhouse's spelling of [`IP_COUNT`].
    pub const DECKHOUSE_IP_COUNT: &str = "network.deckhouse.io/l2-load-balancer-external-ips-count";
    /// The MetalLoadBalancerClass by name, where `spec.loadBalancerClass` cannot be changed any more.
    pub const DECKHOUSE_CLASS: &str = "network.deckhouse.io/metal-load-balancer-class";
    /// The pool by name, a MetalLoadBalancerPool as a rule. Wins over [`METALLB_POOL`].
    pub const DECKHOUSE_POOL: &str = "network.deckhouse.io/load-balancer-pool";
    /// Requested addresses, separated by commas; entry *i* of a family goes to index *i*.
    pub const DECKHOUSE_IPS: &str = "network.deckhouse.io/load-balancer-ips";
    /// Services with equal keys may share an address.
    pub const DECKHOUSE_SHARED_IP_KEY: &str = "network.deckhouse.io/load-balancer-shared-ip-key";
    /// The 1.67-era spelling of [`DECKHOUSE_SHARED_IP_KEY`].
    pub const DECKHOUSE_ALLOW_SHARED_IP: &str = "network.deckhouse.io/load-balancer-allow-shared-ip";
    /// MetalLB: the IPAddressPool by name.
    pub const METALLB_POOL: [&str; 2] = ["metallb.io/address-pool", "metallb.universe.tf/address-pool"];
    /// MetalLB: requested addresses, separated by commas. The newer spelling wins wherever it is present.
    pub const METALLB_IPS: [&str; 2] = ["metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"];
    /// MetalLB: Services with equal keys may share an address.
    pub const METALLB_SHARED_IP: [&str; 2] = ["metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"];
    /// MetalLB: the IPAddressPool that the addresses are from. Written, under the newer prefix only.
    pub const METALLB_FROM_POOL: [&str; 2] =
        ["metallb.io/ip-allocated-from-pool", "metallb.universe.tf/ip-allocated-from-pool"];
}

/// Annotations on a MetalLoadBalancerClass or an L2Advertisement: how its addresses move.
pub mod l2_annotation {
    /// When a node takes an address from a living one below it: `never`, or `after` and a time. Unset: at once.
    pub const FAILBACK: &str = "lb.herald.dev/failback";
    /// What a holder does about a station that is no node and uses the address: `defend` (unset too) or `retreat`.
    pub const CONFLICT: &str = "lb.herald.dev/conflict";
}

/// Labels of a `ServiceBGPStatus`, which are MetalLB's.
pub mod bgp_status {
    /// The node that announces.
    pub const NODE: &str = "metallb.io/node";
    /// The Service's name.
    pub const SERVICE_NAME: &str = "metallb.io/service-name";
    /// The Service's namespace.
    pub const SERVICE_NAMESPACE: &str = "metallb.io/service-namespace";
}

/// Names and labels of a `ConfigurationState`, which are MetalLB's.
pub mod configuration_state {
    /// Which component has judged: `controller` or `speaker`.
    pub const COMPONENT: &str = "metallb.io/component-type";
    /// The node of a speaker.
    pub const NODE: &str = "metallb.io/node-name";
    /// The name of the controller's object.
    pub const CONTROLLER: &str = "controller";
    /// What the name of a speaker's object begins with; its node follows.
    pub const SPEAKER: &str = "speaker-";
}

/// Annotations on a BGPPeer or a BFDProfile, for what MetalLB's schema has no field.
pub mod bgp_annotation {
    /// On a BGPPeer, `true`: never connect, only accept. The agent then listens.
    pub const PASSIVE: &str = "lb.herald.dev/bgp-passive";
    /// On a BGPPeer: how many hops away the peer is at most, 1 to 254 (GTSM, RFC 5082).
    pub const TTL_SECURITY: &str = "lb.herald.dev/bgp-ttl-security";
    /// On a BGPPeer: sign with TCP-AO (RFC 5925) in the place of TCP MD5, with this key id.
    pub const TCP_AO_KEY_ID: &str = "lb.herald.dev/bgp-tcp-ao-key-id";
    /// On a BFDProfile: how packets are authenticated (RFC 5880 §6.7).
    pub const BFD_AUTHENTICATION: &str = "lb.herald.dev/bfd-authentication";
    /// On a BFDProfile: the id of the key; unset: 1.
    pub const BFD_KEY_ID: &str = "lb.herald.dev/bfd-key-id";
    /// On a BFDProfile: the Secret that has the key under `password`.
    pub const BFD_SECRET: &str = "lb.herald.dev/bfd-secret";
}

/// Condition types and reasons on a VirtualIP.
pub mod vip_condition {
    /// A station that is no node uses the address too: `True` while it is heard.
    pub const STRANGER: &str = "Stranger";
    /// Reason of [`STRANGER`] `True`.
    pub const IN_USE: &str = "AddressInUse";
    /// Reason of [`STRANGER`] `False`.
    pub const GONE: &str = "NotHeard";
}

/// Annotations on Nodes.
pub mod node_annotation {
    /// The node is to give away what it holds, whatever the value is: it is ranked last, as a cordoned one.
    pub const DRAIN: &str = "lb.herald.dev/drain";
}

/// Labels on Nodes.
pub mod label {
    /// Kubernetes: the node is kept out of external load balancers whatever the value is.
    pub const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
    /// Kubernetes: the zone of the node.
    pub const ZONE: &str = "topology.kubernetes.io/zone";
}

/// Condition types and reasons on a user's Service.
pub mod condition {
    /// The class the Service is bound to; its *message* is the class name, which makes the binding sticky
    /// (Deckhouse).
    pub const CLASS: &str = "network.deckhouse.io/load-balancer-class";
    /// Reason of [`CLASS`] when bound.
    pub const CLASS_BOUND: &str = "LoadBalancerClassBound";
    /// Whether every wanted address was assigned (Deckhouse).
    pub const ALL_ASSIGNED: &str = "AllPublicIPsAssigned";
    /// Reason of [`ALL_ASSIGNED`] `True`.
    pub const ALL_IPS_ASSIGNED: &str = "AllIPsAssigned";
    /// Reason of [`ALL_ASSIGNED`] `False`.
    pub const NOT_ALL_IPS_ASSIGNED: &str = "NotAllIPsAssigned";
    /// What a user wrote on the Service and Herald cannot honour as written: `True` while there is such a thing.
    pub const INVALID: &str = "lb.herald.dev/Invalid";
    /// Reason of [`INVALID`] `True`.
    pub const INVALID_VALUE: &str = "InvalidValue";
    /// The Service has an address against the rules because it had it before Herald came: `True` while it does.
    pub const ADOPTED: &str = "lb.herald.dev/Adopted";
    /// Reason of [`ADOPTED`]: no pool that the Service may use contains the address.
    pub const OUTSIDE_POOLS: &str = "OutsidePools";
    /// Reason of [`ADOPTED`]: the address is shared with a Service that it could not be shared with today.
    pub const SHARED_AGAINST_RULES: &str = "SharedAgainstRules";
}
