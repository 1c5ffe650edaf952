//! From the plan's plain types to the speaker's: sessions, routes, BFD.
//!
//! Invariant: what the plan left as the same `Arc` stays the same `Arc` here, so that a change of one peer costs the others
//! nothing.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU8,
    sync::Arc,
    time::Duration,
};

use lb_bfd::{
    auth::{Key, KeyError, Keys, Method},
    session::{Role, Timers},
};
use lb_bgp::{
    Asn, Community, ConfigError, Families, HoldTime, LargeCommunity, NextHops, PathAttributes, PeerAs, PeerConfig,
    Prefix, RestartTime, RouterId, Routes,
};
use lb_plan::bgp::{self as plan, BfdMethod, PeerPlan, PeerSettings, Plan, Problem, Signing};

use super::{
    Authentication, Endpoint, Hops, PORT, Password, PasswordError, Remote, Session, Wanted, WantedPeer, local, socket,
};
use crate::bfd;

/// Why a session cannot be made of what the plan says.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("AS 0 belongs to nobody (RFC 7607)")]
    As,
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("BFD: {0}")]
    Key(#[from] KeyError),
}

/// What was made of a peer, and of what.
#[derive(Debug)]
struct Known {
    plan: PeerPlan,
    router_id: RouterId,
    made: WantedPeer,
}

/// Remembers what it made of the last plan.
#[derive(Debug)]
pub struct Translator {
    node: String,
    known: BTreeMap<String, Known>,
}

impl Translator {
    /// `node`: the name that a router id is made of where the node has no address for it.
    #[must_use]
    pub const fn new(node: String) -> Self {
        Self { node, known: BTreeMap::new() }
    }

    /// What the speaker should do, and which peers it cannot do.
    pub fn translate(&mut self, plan: &Plan, draining: bool) -> (Wanted, Vec<Problem>) {
        let mut problems = Vec::new();
        self.known.retain(|name, _| plan.peers.contains_key(name));
        for (name, peer) in &plan.peers {
            match self.peer(name, peer) {
                Ok(known) => drop(self.known.insert(name.clone(), known)),
                Err(error) => {
                    self.known.remove(name);
                    problems.push(Problem {
                        kind: "BGPPeer",
                        name: name.clone(),
                        field: "spec".to_owned(),
                        may_pass: false,
                        message: error.to_string(),
                    });
                }
            }
        }
        let is_passive = plan.peers.values().any(|peer| peer.peer.settings.passive);
        let peers = self.known.iter().map(|(name, known)| (name.clone(), known.made.clone())).collect();
        (Wanted { peers, listen: is_passive.then_some(PORT), draining }, problems)
    }

    fn peer(&self, name: &str, peer: &PeerPlan) -> Result<Known, Error> {
        let known = self.known.get(name);
        let is_same_session = known.filter(|known| known.plan.peer == peer.peer);
        // An address that this node got since is no reason for another session.
        let router_id = match known.filter(|known| same_place(&known.plan.peer.settings, &peer.peer.settings)) {
            Some(known) => known.router_id,
            None => self.router_id(&peer.peer.settings),
        };
        let (session, bfd) = match is_same_session {
            Some(known) => (Arc::clone(&known.made.session), known.made.bfd.clone()),
            None => (Arc::new(session(&peer.peer, router_id)?), peer.peer.bfd.as_ref().map(monitor).transpose()?),
        };
        let routes = match known.filter(|known| Arc::ptr_eq(&known.plan.routes, &peer.routes)) {
            Some(known) => known.made.routes.clone(),
            None => Some(Arc::new(routes(&peer.routes))),
        };
        Ok(Known { plan: peer.clone(), router_id, made: WantedPeer { session, bfd, routes } })
    }

    /// As MetalLB's native mode has it: the address that the session will have, else one of its interface, else a number
    /// made of the node's name.
    fn router_id(&self, settings: &PeerSettings) -> RouterId {
        let found = settings.router_id.or_else(|| match settings.source.or_else(|| route(settings))? {
            IpAddr::V4(address) => Some(address),
            address @ IpAddr::V6(_) => local::v4_beside(&local::addresses(), address),
        });
        let named = || Ipv4Addr::from(crc32(self.node.as_bytes()).to_le_bytes());
        let last = RouterId::new(Ipv4Addr::new(0, 0, 0, 1)).expect("not 0");
        found.and_then(RouterId::new).or_else(|| RouterId::new(named())).unwrap_or(last)
    }
}

fn route(settings: &PeerSettings) -> Option<IpAddr> {
    let plan::Remote::Address(address) = settings.remote else { return None };
    let device = settings.vrf.as_deref();
    socket::route_to(socket::at(address, settings.port, device).ok()?, device).ok()
}

fn same_place(a: &PeerSettings, b: &PeerSettings) -> bool {
    let place =
        |settings: &PeerSettings| (settings.remote.clone(), settings.source, settings.vrf.clone(), settings.router_id);
    place(a) == place(b)
}

fn session(peer: &plan::Peer, router_id: RouterId) -> Result<Session, Error> {
    let settings = &peer.settings;
    let asn = |number| Asn::new(number).ok_or(Error::As);
    let config = PeerConfig {
        local_as: asn(settings.local_as)?,
        peer_as: match settings.peer_as {
            plan::PeerAs::Exactly(number) => PeerAs::Exactly(asn(number)?),
            plan::PeerAs::Internal => PeerAs::Internal,
            plan::PeerAs::External => PeerAs::External,
        },
        router_id,
        families: Families { v4: settings.families.ipv4, v6: settings.families.ipv6 },
        hold_time: settings.hold_time.map_or(Ok(HoldTime::DEFAULT), HoldTime::new)?,
        keepalive: settings.keepalive,
        connect_retry: settings.connect_retry.unwrap_or(PeerConfig::CONNECT_RETRY),
        passive: settings.passive,
        graceful_restart: settings.graceful_restart.then_some(RestartTime::MAX),
        extended_next_hop: matches!(settings.remote, plan::Remote::Interface(_)),
        next_hops: NextHops::default(),
    };
    let authentication = match (&peer.password, settings.signing) {
        (None, _) => Authentication::None,
        (Some(password), Signing::Md5) => Authentication::Md5(Password::new(password.reveal())?),
        (Some(_), Signing::TcpAo { .. }) => Authentication::TcpAo,
    };
    let endpoint = Endpoint {
        remote: match &settings.remote {
            plan::Remote::Address(address) => Remote::Address(*address),
            plan::Remote::Interface(name) => Remote::Interface(name.clone()),
        },
        port: settings.port,
        source: settings.source,
        device: settings.vrf.clone(),
        authentication,
        hops: match settings.hops {
            plan::Hops::Direct => Hops::Direct,
            plan::Hops::Secured { hops } => Hops::Secured { hops },
            plan::Hops::Multi { ttl } => Hops::Multi { ttl },
        },
    };
    Ok(Session { config, endpoint })
}

fn monitor(settings: &plan::Bfd) -> Result<bfd::Wanted, Error> {
    let profile = &settings.settings;
    let micros = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    let key = settings.key.as_ref().map(|key| {
        let method = match key.method {
            BfdMethod::SimplePassword => Method::SimplePassword,
            BfdMethod::KeyedMd5 => Method::KeyedMd5,
            BfdMethod::MeticulousMd5 => Method::MeticulousMd5,
            BfdMethod::KeyedSha1 => Method::KeyedSha1,
            BfdMethod::MeticulousSha1 => Method::MeticulousSha1,
        };
        Keys::new(method, vec![Key { id: key.id, secret: key.secret.reveal().into() }])
    });
    Ok(bfd::Wanted {
        timers: Timers {
            desired_min_tx: micros(profile.transmit),
            required_min_rx: micros(profile.receive),
            detect_mult: NonZeroU8::new(profile.multiplier).unwrap_or(NonZeroU8::MIN),
            // Echo packets are looped back, and none are sent: what they would notice, control packets notice.
            echo_tx: None,
            required_min_echo_rx: micros(profile.echo_receive),
        },
        role: if profile.passive { Role::Passive } else { Role::Active },
        min_ttl: profile.minimum_ttl,
        authentication: key.transpose()?,
    })
}

/// Attributes that many routes share are made once.
fn routes(planned: &plan::Routes) -> Routes {
    let mut made: BTreeMap<*const plan::Attributes, Arc<PathAttributes>> = BTreeMap::new();
    let attributes = |attributes: &plan::Attributes| {
        Arc::new(PathAttributes {
            local_pref: attributes.local_pref,
            med: None,
            communities: attributes.communities.iter().copied().map(Community::from_bits).collect(),
            large_communities: attributes.large_communities.iter().copied().map(large).collect(),
        })
    };
    let mut routes = Routes::new();
    for (prefix, planned) in planned {
        let shared = made.entry(Arc::as_ptr(planned)).or_insert_with(|| attributes(planned));
        // Every length that the plan can hold fits its family.
        if let Some(prefix) = Prefix::new(prefix.address(), prefix.length()) {
            routes.insert(prefix, Arc::clone(shared));
        }
    }
    routes
}

const fn large([global, local1, local2]: [u32; 3]) -> LargeCommunity {
    LargeCommunity { global, local1, local2 }
}

/// CRC-32 as IEEE 802.3 has it.
fn crc32(octets: &[u8]) -> u32 {
    !octets.iter().fold(u32::MAX, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests;
