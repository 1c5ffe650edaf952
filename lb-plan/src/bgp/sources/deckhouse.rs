//! Deckhouse's pools, peers and configurations as what MetalLB's objects would say.
//!
//! A peer that a configuration names becomes `<peer>-node-<node>` for each node with a source address of its own, and
//! `<peer>-<configuration>` for the other nodes of the configuration. Advertisements are `<configuration>-adv-<index>`, BFD
//! profiles `bfd-<peer>`. Where an object of MetalLB has the name already, that one is used.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use lb_api::{
    BFDProfile, BGPAdvertisement, BGPPeer, IPAddressPool, MetalLoadBalancerBGPPeer, MetalLoadBalancerConfiguration,
    deckhouse::PoolAdvertisementBgp,
    metallb::{BFDProfileSpec, BGPAdvertisementSpec, BGPPeerSpec, IPAddressPoolSpec},
};

use super::{AdvertisementSource, Origin, PeerSource, PoolSource, ProfileSource, Sources};
use crate::bgp::{Problem, SecretName, snapshot::Deckhouse};

const POOL: &str = "MetalLoadBalancerPool";
const PEER: &str = "MetalLoadBalancerBGPPeer";
const CONFIGURATION: &str = "MetalLoadBalancerConfiguration";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Communities that Deckhouse has words for (RFC 1997).
const WORDS: [(&str, &str); 3] =
    [("no-export", "65535:65281"), ("no-advertise", "65535:65282"), ("local-as", "65535:65283")];

pub(super) fn add(sources: &mut Sources, deckhouse: &Deckhouse, namespace: &str) {
    for pool in &deckhouse.pools {
        let Some(name) = pool.metadata.name.clone() else { continue };
        sources.pools.entry(name.clone()).or_insert_with(|| {
            let spec = IPAddressPoolSpec {
                addresses: pool.spec.addresses.clone(),
                auto_assign: pool.spec.auto_assign,
                avoid_buggy_ips: pool.spec.avoid_buggy_ips,
                service_allocation: None,
            };
            let mut object = IPAddressPool::new(&name, spec);
            object.metadata.namespace = Some(namespace.to_owned());
            PoolSource { kind: POOL, object: Arc::new(object) }
        });
    }
    let peers: BTreeMap<&str, &MetalLoadBalancerBGPPeer> =
        deckhouse.peers.iter().filter_map(|peer| Some((peer.metadata.name.as_deref()?, peer.as_ref()))).collect();
    let mut configurations: Vec<&MetalLoadBalancerConfiguration> =
        deckhouse.configurations.iter().map(AsRef::as_ref).collect();
    configurations.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    for configuration in configurations {
        configure(sources, configuration, &peers);
    }
}

fn configure(
    sources: &mut Sources,
    configuration: &MetalLoadBalancerConfiguration,
    peers: &BTreeMap<&str, &MetalLoadBalancerBGPPeer>,
) {
    let name = configuration.metadata.name.clone().unwrap_or_default();
    let mut tell = |field: String, message: String| sources.problems.push(problem(&name, field, message));
    if configuration.spec.mode != "BGP" {
        tell("spec.mode".into(), format!("`{}` is unknown: write `BGP`", configuration.spec.mode));
        return;
    }
    let listed = configuration.spec.bgp.as_ref().map(|bgp| bgp.peer_names.as_slice()).unwrap_or_default();
    if listed.is_empty() {
        tell("spec.bgp.peerNames".into(), format!("is empty: name the {PEER} objects to announce to"));
        return;
    }
    let mut named = Vec::new();
    for (index, peer) in listed.iter().enumerate() {
        match peers.get(peer.as_str()) {
            Some(object) => named.push((peer.as_str(), *object)),
            None => tell(format!("spec.bgp.peerNames[{index}]"), format!("there is no {PEER} `{peer}`")),
        }
    }
    let (mut names, mut explicit) = (Vec::new(), Vec::new());
    for (peer, object) in named {
        sessions(sources, configuration, peer, object, &mut names, &mut explicit);
    }
    explicit.sort();
    explicit.dedup();
    advertise(sources, configuration, &names, &explicit);
}

/// The sessions with one peer: from nodes with a source of their own, and from the rest.
fn sessions(
    sources: &mut Sources,
    configuration: &MetalLoadBalancerConfiguration,
    peer: &str,
    object: &MetalLoadBalancerBGPPeer,
    names: &mut Vec<String>,
    explicit: &mut Vec<String>,
) {
    let nodes: Vec<String> = object.spec.source_addresses.iter().map(|source| source.node_name.clone()).collect();
    for source in &object.spec.source_addresses {
        let spec = BGPPeerSpec {
            source_address: Some(source.address.clone()),
            node_selectors: vec![hosts("In", std::slice::from_ref(&source.node_name))],
            ..spec(sources, peer, object)
        };
        push(sources, format!("{peer}-node-{}", source.node_name), peer, object, spec, names);
    }
    let selector = LabelSelector {
        match_labels: Some(configuration.spec.node_selector.clone()),
        match_expressions: (!nodes.is_empty()).then(|| vec![hostname("NotIn", &nodes)]),
    };
    let spec = BGPPeerSpec { node_selectors: vec![selector], ..spec(sources, peer, object) };
    let name = format!("{peer}-{}", configuration.metadata.name.as_deref().unwrap_or_default());
    push(sources, name, peer, object, spec, names);
    explicit.extend(nodes);
}

fn push(
    sources: &mut Sources,
    name: String,
    peer: &str,
    object: &MetalLoadBalancerBGPPeer,
    spec: BGPPeerSpec,
    names: &mut Vec<String>,
) {
    names.push(name.clone());
    if sources.peers.iter().any(|known| known.name == name) {
        return;
    }
    let secret = object.spec.password_secret_ref.as_ref();
    let secret = secret.map(|secret| SecretName::new(&secret.namespace, &secret.name));
    let origin = Origin::new(PEER, peer);
    let object_of = Arc::new(BGPPeer::new(&name, spec));
    sources.peers.push(PeerSource { name, origin, object: object_of, port: object.spec.peer_port, secret });
}

fn spec(sources: &mut Sources, peer: &str, object: &MetalLoadBalancerBGPPeer) -> BGPPeerSpec {
    let spec = &object.spec;
    let profile = spec.bfd.as_ref().map(|bfd| {
        let name = format!("bfd-{peer}");
        sources.profiles.entry(name.clone()).or_insert_with(|| {
            let spec = BFDProfileSpec {
                receive_interval: bfd.receive_interval,
                transmit_interval: bfd.transmit_interval,
                detect_multiplier: bfd.detect_multiplier,
                echo_interval: bfd.echo_interval,
                echo_mode: bfd.echo_mode,
                passive_mode: bfd.passive_mode,
                minimum_ttl: bfd.minimum_ttl,
            };
            let origin = Origin { part: Some("spec.bfd".into()), ..Origin::new(PEER, peer) };
            ProfileSource { origin, object: Arc::new(BFDProfile::new(&name, spec)) }
        });
        name
    });
    BGPPeerSpec {
        my_asn: spec.my_asn,
        peer_asn: Some(spec.peer_asn),
        peer_address: Some(spec.peer_address.clone()),
        hold_time: spec.hold_time.clone(),
        router_id: spec.router_id.clone(),
        bfd_profile: profile,
        // Deckhouse runs MetalLB's native speaker, which is bound to no TTL.
        ebgp_multi_hop: spec.my_asn != spec.peer_asn,
        ..BGPPeerSpec::default()
    }
}

/// What is announced from the nodes of the configuration, and from those that a peer names.
fn advertise(
    sources: &mut Sources,
    configuration: &MetalLoadBalancerConfiguration,
    names: &[String],
    explicit: &[String],
) {
    let name = configuration.metadata.name.clone().unwrap_or_default();
    let selector =
        LabelSelector { match_labels: Some(configuration.spec.node_selector.clone()), match_expressions: None };
    let mut node_selectors = vec![selector];
    node_selectors.extend((!explicit.is_empty()).then(|| hosts("In", explicit)));
    for (index, advertisement) in configuration.spec.advertisements.iter().enumerate() {
        if advertisement.pool_names.is_empty() {
            let field = format!("spec.advertisements[{index}].poolNames");
            let message = format!("is empty: name the {POOL}s to announce");
            sources.problems.push(problem(&name, field, message));
            continue;
        }
        let none = PoolAdvertisementBgp::default();
        let bgp = advertisement.bgp.as_ref().unwrap_or(&none);
        let communities = bgp.communities.iter().filter(|word| *word != "none").map(|word| {
            WORDS.iter().find(|(known, _)| known == word).map_or_else(|| word.clone(), |(_, value)| (*value).to_owned())
        });
        let spec = BGPAdvertisementSpec {
            aggregation_length: bgp.aggregation_length,
            local_pref: bgp.local_pref,
            communities: communities.collect(),
            ip_address_pools: advertisement.pool_names.clone(),
            node_selectors: node_selectors.clone(),
            peers: names.to_vec(),
            ..BGPAdvertisementSpec::default()
        };
        let own = format!("{name}-adv-{index}");
        if sources.advertisements.iter().any(|known| known.name == own) {
            continue;
        }
        let part = Some(format!("spec.advertisements[{index}].bgp"));
        let origin = Origin { part, ..Origin::new(CONFIGURATION, &name) };
        let object = Arc::new(BGPAdvertisement::new(&own, spec));
        sources.advertisements.push(AdvertisementSource { name: own, origin, object });
    }
}

fn problem(name: &str, field: String, message: String) -> Problem {
    Problem { kind: CONFIGURATION, name: name.to_owned(), field, message, may_pass: false }
}

fn hosts(operator: &str, nodes: &[String]) -> LabelSelector {
    LabelSelector { match_labels: None, match_expressions: Some(vec![hostname(operator, nodes)]) }
}

fn hostname(operator: &str, nodes: &[String]) -> LabelSelectorRequirement {
    LabelSelectorRequirement { key: HOSTNAME.into(), operator: operator.into(), values: Some(nodes.to_vec()) }
}
