//! What is announced: prefixes with the attributes a user can choose, and the next hop they are told with.
//!
//! Must not: know the session's side (AS_PATH, ORIGIN and NEXT_HOP are added by the session that tells the route).
//! Spec: RFC 1997 and RFC 8092 (communities), RFC 8326 (graceful shutdown), RFC 2545 and RFC 8950 (next hops).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use crate::types::{Family, Prefix};

#[cfg(test)]
mod tests;

/// The routes a peer should know: the whole set, each time (level, not edge).
pub type Routes = BTreeMap<Prefix, Arc<PathAttributes>>;

/// A community of two 16-bit halves (RFC 1997).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(u32);

impl Community {
    /// Asks the receiver to prefer every other path: the route is about to go (RFC 8326 §3).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xFFFF_0000);
    /// Not to be told outside of the receiver's AS (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xFFFF_FF01);
    /// Not to be told to anyone (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xFFFF_FF02);

    /// From its value on the wire.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Its value on the wire.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xFFFF)
    }
}

/// Why a text is no community.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommunityError {
    /// Not a community of RFC 1997.
    #[error("{0:?} is not a community: write two numbers of 0 to 65535, as in 64512:100")]
    Plain(String),
    /// Not a large community of RFC 8092.
    #[error("{0:?} is not a large community: write three numbers of 0 to 4294967295, as in 64512:1:2")]
    Large(String),
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let halves = text.split_once(':').and_then(|(high, low)| Some((number(high)?, number(low)?)));
        let (high, low): (u16, u16) = halves.ok_or_else(|| CommunityError::Plain(text.into()))?;
        Ok(Self(u32::from(high) << 16 | u32::from(low)))
    }
}

/// A community of three 32-bit parts (RFC 8092).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    /// The AS that gives the rest its meaning.
    pub global: u32,
    /// First part of that AS's own.
    pub local1: u32,
    /// Second part of that AS's own.
    pub local2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for LargeCommunity {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Option<Vec<u32>> = text.split(':').map(number).collect();
        match parts.as_deref() {
            Some(&[global, local1, local2]) => Ok(Self { global, local1, local2 }),
            Some(_) | None => Err(CommunityError::Large(text.into())),
        }
    }
}

/// Digits only: `parse` alone would take a sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The attributes of a route that its owner chooses. Equal attributes travel in one message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PathAttributes {
    /// LOCAL_PREF, told to internal peers only (RFC 4271 §5.1.5); unset is 100 there.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC (RFC 4271 §5.1.4).
    pub med: Option<u32>,
    /// Plain communities.
    pub communities: BTreeSet<Community>,
    /// Large communities.
    pub large_communities: BTreeSet<LargeCommunity>,
}

/// Why routes of a peer's wanted set cannot be told to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Untellable {
    /// The peer did not agree to the family.
    #[error("the peer does not speak the route's address family")]
    Family,
    /// There is no address of the right family that the peer could send packets to.
    #[error("there is no next hop of the route's address family on this session")]
    NextHop,
    /// Beyond the largest message.
    #[error("the attributes do not fit into one message: fewer communities would")]
    TooLong,
}

/// Where a route points, as told on one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// NEXT_HOP of IPv4 routes (RFC 4271 §5.1.3).
    V4(Ipv4Addr),
    /// Of IPv6 routes (RFC 2545 §3), and of IPv4 routes where both sides know RFC 8950.
    V6 {
        /// A global address, or the link-local one again where there is no global one.
        global: Ipv6Addr,
        /// The address on the shared link, if the peer is on it.
        link_local: Option<Ipv6Addr>,
    },
}

/// Addresses of this node towards one peer, which next hops are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NextHops {
    /// For IPv4 routes, where it is not the session's own address.
    pub v4: Option<Ipv4Addr>,
    /// For IPv6 routes, where it is not the session's own address.
    pub v6: Option<Ipv6Addr>,
    /// Told beside the global address when the peer is on the same link (RFC 2545 §3).
    pub link_local: Option<Ipv6Addr>,
}

impl NextHops {
    /// The next hop of a family's routes on a session whose local address is `local`; `None`: nothing can be told.
    ///
    /// `extended`: both sides know IPv6 next hops for IPv4 routes (RFC 8950 §4).
    #[must_use]
    pub fn choose(&self, family: Family, local: IpAddr, extended: bool) -> Option<NextHop> {
        match (family, local) {
            (Family::V4, _) if self.v4.is_some() => self.v4.map(NextHop::V4),
            (Family::V4, IpAddr::V4(local)) => Some(NextHop::V4(local)),
            (Family::V4, IpAddr::V6(local)) if extended => Some(self.over(local)),
            (Family::V6, IpAddr::V6(local)) => Some(self.over(local)),
            (Family::V6, IpAddr::V4(_)) => self.v6.map(|global| self.beside(global)),
            (Family::V4, IpAddr::V6(_)) => None,
        }
    }

    fn over(&self, local: Ipv6Addr) -> NextHop {
        match (self.v6, local.is_unicast_link_local()) {
            (Some(global), true) => NextHop::V6 { global, link_local: Some(local) },
            // No global address: the link-local one stands in both places, as FRR has it.
            (None, true) => NextHop::V6 { global: local, link_local: Some(local) },
            (global, false) => self.beside(global.unwrap_or(local)),
        }
    }

    fn beside(&self, global: Ipv6Addr) -> NextHop {
        NextHop::V6 { global, link_local: self.link_local.filter(Ipv6Addr::is_unicast_link_local) }
    }
}
