//! A BGPPeer: whose session it is, where the peer is, and how the session is made.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use k8s_openapi::api::core::v1::SecretReference;

use super::{Findings, Problem, number, unread};
use crate::{
    bgp::{Families, Hops, PORT, Password, PeerAs, PeerSettings, Remote, Signing},
    metallb::{BGPPeer, BGPPeerSpec},
    names::bgp_annotation,
    selector,
};

mod timers;

use timers::Timers;

/// What a number of four octets is called towards a speaker that knows only two (RFC 6793 §9).
const AS_TRANS: u32 = 23456;

/// MetalLB's schema knows no higher port.
const HIGHEST_PORT: u16 = 16384;

/// What packets of sessions within the AS and through routers leave with, as FRR does it.
const FAR: u8 = 255;

/// What is wrong with a peer, seen alone.
pub fn bgp_peer(object: &BGPPeer) -> Vec<Problem> {
    bgp_peer_settings(object).1
}

/// The session that a peer is for, if it can be used, and what is wrong with it.
pub fn bgp_peer_settings(object: &BGPPeer) -> (Option<PeerSettings>, Vec<Problem>) {
    let (spec, mut found) = (&object.spec, Findings::default());
    let none = BTreeMap::new();
    let settings = read(&mut found, spec, object.metadata.annotations.as_ref().unwrap_or(&none));
    if let Some(secret) = &spec.password_secret {
        elsewhere(&mut found, secret, object.metadata.namespace.as_deref());
    }
    found.problems.extend(selector::problems("spec.nodeSelectors", &spec.node_selectors));
    superfluous(&mut found, spec);
    let known = [bgp_annotation::PASSIVE, bgp_annotation::TCP_AO_KEY_ID, bgp_annotation::TTL_SECURITY];
    found.problems.extend(unread("BGPPeer", object.metadata.annotations.as_ref(), &known));
    found.finish(settings)
}

fn read(found: &mut Findings, spec: &BGPPeerSpec, annotations: &BTreeMap<String, String>) -> Option<PeerSettings> {
    let local_as = local_as(found, spec);
    let peer_as = peer_as(found, spec);
    let remote = remote(found, spec);
    let port = port(found, spec.peer_port);
    let router_id = router_id(found, spec.router_id.as_deref());
    let source = source(found, spec, remote.as_ref());
    let vrf = text(spec.vrf.as_ref());
    interface_name(found, "spec.vrf", vrf.as_deref());
    let Timers { hold_time, keepalive, connect_retry } = timers::read(found, spec);
    password(found, spec);
    let security = number(found, bgp_annotation::TTL_SECURITY, annotations.get(bgp_annotation::TTL_SECURITY), 1, 254);
    let passive = passive(found, annotations);
    let signing = signing(found, spec, annotations);
    let (peer_as, remote) = (peer_as?, remote?);
    let hops = match security {
        Some(hops) => Hops::Secured { hops },
        None if is_internal(local_as, peer_as) || spec.ebgp_multi_hop => Hops::Multi { ttl: FAR },
        None => Hops::Direct,
    };
    let families = families(&remote, spec.dual_stack_address_family);
    Some(PeerSettings {
        remote,
        port,
        local_as,
        peer_as,
        router_id,
        source,
        vrf,
        hold_time,
        keepalive,
        connect_retry,
        hops,
        passive,
        graceful_restart: spec.enable_graceful_restart,
        families,
        signing,
    })
}

/// A text that says something.
fn text(value: Option<&String>) -> Option<String> {
    value.map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn is_internal(local_as: u32, peer_as: PeerAs) -> bool {
    match peer_as {
        PeerAs::Exactly(asn) => asn == local_as,
        PeerAs::Internal => true,
        PeerAs::External => false,
    }
}

/// Towards this peer, which may be another than the AS of the node.
fn local_as(found: &mut Findings, spec: &BGPPeerSpec) -> u32 {
    if spec.my_asn == 0 {
        found.wrong("spec.myASN", "is missing: write the AS number of this side, 1 to 4294967295");
    }
    reserved(found, "spec.myASN", spec.my_asn);
    let Some(local) = spec.local_asn else { return spec.my_asn };
    let internal = spec.dynamic_asn.as_deref() == Some("internal");
    let wrong = if local == 0 {
        "is 0: write the AS number that this peer is shown, or leave it out"
    } else if local == spec.my_asn {
        "is myASN: leave it out"
    } else if internal || spec.peer_asn == Some(spec.my_asn) {
        "is for peers of another AS than myASN: leave it out for an internal peer"
    } else if spec.peer_asn == Some(local) {
        "is peerASN: the peer would be of our own AS; write it as myASN instead"
    } else {
        reserved(found, "spec.localASN", local);
        return local;
    };
    found.wrong("spec.localASN", wrong);
    local
}

fn reserved(found: &mut Findings, field: &str, asn: u32) {
    if asn == AS_TRANS {
        found.wrong(field, "23456 stands for numbers of four octets (RFC 6793): write the AS number itself");
    }
}

fn peer_as(found: &mut Findings, spec: &BGPPeerSpec) -> Option<PeerAs> {
    let asn = spec.peer_asn.filter(|&asn| asn != 0);
    let mode = text(spec.dynamic_asn.as_ref());
    match (asn, mode.as_deref()) {
        (None, None) => {
            let message = "missing peer ASN and dynamicASN: write the peer's AS number, or dynamicASN `internal` or \
                `external`";
            found.wrong("spec.peerASN", message);
            None
        }
        (Some(_), Some(_)) => {
            found.wrong("spec.dynamicASN", "both peer ASN and dynamicASN specified: leave one of them out");
            None
        }
        (Some(asn), None) => {
            reserved(found, "spec.peerASN", asn);
            Some(PeerAs::Exactly(asn))
        }
        (None, Some("internal")) => Some(PeerAs::Internal),
        (None, Some("external")) => Some(PeerAs::External),
        (None, Some(other)) => {
            found.wrong("spec.dynamicASN", format!("invalid dynamicASN `{other}`: write `internal` or `external`"));
            None
        }
    }
}

fn remote(found: &mut Findings, spec: &BGPPeerSpec) -> Option<Remote> {
    match (text(spec.peer_address.as_ref()), text(spec.interface.as_ref())) {
        (None, None) => {
            let message = "peer has no Address or Interface specified: write the peer's address, or `interface` for \
                unnumbered BGP";
            found.wrong("spec.peerAddress", message);
            None
        }
        (Some(_), Some(_)) => {
            found.wrong("spec.interface", "peer has both Address and Interface specified: leave one of them out");
            None
        }
        (Some(address), None) => peer_address(found, &address).map(Remote::Address),
        (None, Some(name)) => {
            interface_name(found, "spec.interface", Some(&name));
            Some(Remote::Interface(name))
        }
    }
}

fn peer_address(found: &mut Findings, text: &str) -> Option<IpAddr> {
    let why = match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Err(_) => "write an IPv4 or IPv6 address",
        Ok(IpAddr::V6(address)) if address.is_unicast_link_local() => {
            "it is link-local, and the link is not said: write `interface` instead"
        }
        Ok(address) if address.is_unspecified() || address.is_multicast() || is_broadcast(address) => {
            "it is the address of no router"
        }
        Ok(address) => return Some(address),
    };
    found.wrong("spec.peerAddress", format!("invalid BGPPeer address `{text}`: {why}"));
    None
}

fn is_broadcast(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Linux: at most 15 octets, no white space and no slash.
fn interface_name(found: &mut Findings, field: &str, name: Option<&str>) {
    let is_bad = |name: &&str| name.len() > 15 || name.contains(['/', ':']) || name.contains(char::is_whitespace);
    if let Some(name) = name.filter(is_bad) {
        let message = format!(
            "`{name}` is not the name of an interface: write at most 15 characters without `/`, `:` \
            and white space"
        );
        found.wrong(field, message);
    }
}

fn port(found: &mut Findings, port: Option<u16>) -> u16 {
    match port {
        None | Some(0) => PORT,
        Some(port) => {
            if port > HIGHEST_PORT {
                found.wrong("spec.peerPort", format!("{port} is out of range: write 1 to {HIGHEST_PORT}"));
            }
            port
        }
    }
}

/// RFC 6286 §2.1: four octets, not 0.
fn router_id(found: &mut Findings, text: Option<&str>) -> Option<Ipv4Addr> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    let id = text.parse::<Ipv4Addr>().ok().filter(|id| !id.is_unspecified());
    if id.is_none() {
        let message = format!("invalid router ID `{text}`: write four numbers as 192.0.2.1, not all of them 0");
        found.wrong("spec.routerID", message);
    }
    id
}

fn source(found: &mut Findings, spec: &BGPPeerSpec, remote: Option<&Remote>) -> Option<IpAddr> {
    let text = text(spec.source_address.as_ref())?;
    let field = "spec.sourceAddress";
    let address = text.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let usable = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast() && !is_broadcast(*address);
    let Some(address) = address.filter(usable) else {
        found.wrong(field, format!("invalid source IP `{text}`: write an address of the node"));
        return None;
    };
    match remote {
        Some(Remote::Interface(_)) => {
            found.wrong(
                field,
                "is set, and interface as well: unnumbered sessions use link-local addresses; leave it out",
            );
        }
        Some(Remote::Address(peer)) if peer.is_ipv4() != address.is_ipv4() => {
            found
                .wrong(field, format!("{address} is of another family than peerAddress {peer}: write one of the same"));
        }
        Some(Remote::Address(_)) | None => {}
    }
    Some(address)
}

fn password(found: &mut Findings, spec: &BGPPeerSpec) {
    if !spec.password.is_empty() && text(secret_name(spec)).is_some() {
        found.wrong("spec.passwordSecret", "can not have both password and secret ref set: leave one of them out");
    }
    let length = spec.password.reveal().len();
    if length > Password::MAX {
        let message = format!("has {length} octets: TCP MD5 takes at most {}", Password::MAX);
        found.wrong("spec.password", message);
    }
}

fn secret_name(spec: &BGPPeerSpec) -> Option<&String> {
    spec.password_secret.as_ref()?.name.as_ref()
}

/// MetalLB ignores the namespace in silence.
fn elsewhere(found: &mut Findings, secret: &SecretReference, namespace: Option<&str>) {
    if text(secret.name.as_ref()).is_none() {
        if secret.namespace.is_some() {
            found.wrong("spec.passwordSecret.name", "is missing: write the name of a Secret");
        }
        return;
    }
    let other = secret.namespace.as_deref().filter(|other| !other.is_empty() && Some(*other) != namespace);
    if let (Some(other), Some(namespace)) = (other, namespace) {
        let message = format!("`{other}` is not looked at: the Secret is read from `{namespace}`, as in MetalLB");
        found.note("spec.passwordSecret.namespace", message);
    }
}

fn passive(found: &mut Findings, annotations: &BTreeMap<String, String>) -> bool {
    match annotations.get(bgp_annotation::PASSIVE).map(|value| value.trim()) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            let field = format!("metadata.annotations[{}]", bgp_annotation::PASSIVE);
            found.wrong(field, format!("`{other}` is neither `true` nor `false`"));
            false
        }
    }
}

fn signing(found: &mut Findings, spec: &BGPPeerSpec, annotations: &BTreeMap<String, String>) -> Signing {
    let name = bgp_annotation::TCP_AO_KEY_ID;
    let Some(key_id) = number(found, name, annotations.get(name), 0, 255) else { return Signing::Md5 };
    if spec.password.is_empty() && text(secret_name(spec)).is_none() {
        let message = "TCP-AO needs a key: write `password` or `passwordSecret`";
        found.wrong(format!("metadata.annotations[{name}]"), message);
    }
    Signing::TcpAo { key_id }
}

/// As FRR activates them: both on an unnumbered session, else that of the transport unless both are asked for.
const fn families(remote: &Remote, dual: bool) -> Families {
    match remote {
        Remote::Address(IpAddr::V4(_)) => Families { ipv4: true, ipv6: dual },
        Remote::Address(IpAddr::V6(_)) => Families { ipv4: dual, ipv6: true },
        Remote::Interface(_) => Families { ipv4: true, ipv6: true },
    }
}

/// What changes nothing. The session is made all the same.
fn superfluous(found: &mut Findings, spec: &BGPPeerSpec) {
    let internal = spec.peer_asn.is_some_and(|asn| asn != 0 && asn == spec.my_asn)
        || spec.dynamic_asn.as_deref() == Some("internal");
    if spec.ebgp_multi_hop && internal {
        let message = "invalid ebgp-multihop parameter set for an ibgp peer: an internal peer may be any number of hops \
            away; leave it out";
        found.note("spec.ebgpMultiHop", message);
    }
    if spec.disable_mp {
        let message = "is deprecated and changes nothing: each session tells the family of its addresses; set \
            dualStackAddressFamily for both";
        found.note("spec.disableMP", message);
    }
}
