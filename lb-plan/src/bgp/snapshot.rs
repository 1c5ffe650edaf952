//! What the agent of one node knows when it plans BGP.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{Node, Secret, Service};
use lb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, EndpointSlice, IPAddressPool, MetalLoadBalancerBGPPeer,
    MetalLoadBalancerConfiguration, MetalLoadBalancerPool, VirtualIP, bgp::Password,
};

use super::SecretName;

/// Everything that the plan of one node depends on. Feed the `Arc`s of the store as they are, in one order: an object
/// whose `Arc` is the one of the plan before is not looked at again.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The name of this node.
    pub node: String,
    /// Its Node. Without one it has no labels, and nothing keeps it from announcing.
    pub node_object: Option<Arc<Node>>,
    /// Where MetalLB's objects are read from.
    pub namespace: String,
    /// Whether the label that excludes a node from load balancers is ignored (MetalLB: `--ignore-exclude-lb`).
    pub ignores_exclude_label: bool,
    /// All BGPPeers.
    pub peers: Vec<Arc<BGPPeer>>,
    /// All BGPAdvertisements.
    pub advertisements: Vec<Arc<BGPAdvertisement>>,
    /// All BFDProfiles.
    pub profiles: Vec<Arc<BFDProfile>>,
    /// All Communities.
    pub communities: Vec<Arc<Community>>,
    /// All IPAddressPools.
    pub pools: Vec<Arc<IPAddressPool>>,
    /// Deckhouse's kinds.
    pub deckhouse: Deckhouse,
    /// What [`Snapshot::needed_secrets`] names, as far as it was found.
    pub secrets: BTreeMap<SecretName, SecretContent>,
    /// All Services.
    pub services: Vec<Arc<Service>>,
    /// All VirtualIPs that count, those included that merely disappeared a moment ago.
    pub virtual_ips: Vec<Arc<VirtualIP>>,
    /// All EndpointSlices. None at all means that nothing is known of endpoints.
    pub endpoint_slices: Vec<Arc<EndpointSlice>>,
}

/// Deckhouse's kinds for BGP.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deckhouse {
    /// All MetalLoadBalancerPools.
    pub pools: Vec<Arc<MetalLoadBalancerPool>>,
    /// All MetalLoadBalancerBGPPeers.
    pub peers: Vec<Arc<MetalLoadBalancerBGPPeer>>,
    /// All MetalLoadBalancerConfigurations.
    pub configurations: Vec<Arc<MetalLoadBalancerConfiguration>>,
}

/// What a Secret was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretContent {
    /// It has a password.
    Password(Password),
    /// It cannot be used; why, and what would be right.
    Unusable(String),
}

impl SecretContent {
    /// Reads a Secret: type `kubernetes.io/basic-auth`, key `password`, as in MetalLB. Nothing of it is printed.
    pub fn of(secret: &Secret) -> Self {
        const TYPE: &str = "kubernetes.io/basic-auth";
        let type_ = secret.type_.as_deref().unwrap_or("Opaque");
        if type_ != TYPE {
            let message = format!("secret type mismatch: it is of type `{type_}`, and `{TYPE}` is expected");
            return Self::Unusable(message);
        }
        let written = secret.data.as_ref().and_then(|data| data.get("password"));
        let plain = secret.string_data.as_ref().and_then(|data| data.get("password"));
        let text = match (plain, written) {
            (Some(plain), _) => Ok(plain.clone()),
            (None, Some(written)) => String::from_utf8(written.0.clone()).map_err(|_not_text| "is not text"),
            (None, None) => Err("is not specified in the secret"),
        };
        let text = text.and_then(|text| match text.len() {
            0 => Err("is empty"),
            1..=Password::MAX => Ok(text),
            _ => Err("is longer than the 80 octets that TCP MD5 takes"),
        });
        match text {
            Ok(text) => Self::Password(Password::new(text)),
            Err(why) => Self::Unusable(format!("password {why}: write it under the key `password`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(type_: &str, key: &str, password: &str) -> Secret {
        let data = BTreeMap::from([(key.to_owned(), ByteString(password.as_bytes().to_vec()))]);
        Secret { type_: Some(type_.into()), data: Some(data), ..Secret::default() }
    }

    #[test]
    fn a_secret_gives_its_password_or_says_why_not() {
        let good = "kubernetes.io/basic-auth";
        assert_eq!(SecretContent::of(&secret(good, "password", "pw")), SecretContent::Password(Password::new("pw")));
        for (secret, message) in [
            (secret("Opaque", "password", "pw"), "secret type mismatch: it is of type `Opaque`"),
            (secret(good, "pass", "pw"), "password is not specified in the secret: write it under"),
            (secret(good, "password", ""), "password is empty"),
            (secret(good, "password", &"x".repeat(81)), "password is longer than the 80 octets"),
        ] {
            let SecretContent::Unusable(told) = SecretContent::of(&secret) else { panic!("{secret:?}") };
            assert!(told.starts_with(message), "{told}");
        }
    }
}
