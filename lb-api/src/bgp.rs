//! What the objects of BGP say, as values that are checked once: a session's settings, BFD's, a password.
//!
//! Made by [`crate::validate`] from a `BGPPeer` or a `BFDProfile`, and by nobody else: a value here can be used as it
//! stands. Numbers are in the units that their names say; AS numbers are never 0.
//! Spec: RFC 4271 (BGP), RFC 2385 and RFC 5925 (authentication), RFC 5082 (GTSM), RFC 5880 (BFD).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The port that BGP speakers listen on (RFC 4271 §4.2).
pub const PORT: u16 = 179;

/// A password. Its `Debug` says nothing of it.
#[derive(Clone, Default, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// The most octets that the kernel takes for TCP MD5 (`TCP_MD5SIG_MAXKEYLEN`).
    pub const MAX: usize = 80;

    /// The password as a user wrote it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the kernel needs. Not for a log, a metric, an event or a status.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remote {
    /// At an address.
    Address(IpAddr),
    /// Unnumbered: whoever sends router advertisements on this interface (RFC 8950).
    Interface(String),
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Interface(name) => f.write_str(name),
        }
    }
}

/// Which AS a peer may say it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAs {
    /// This one; never 0.
    Exactly(u32),
    /// Ours.
    Internal,
    /// Any but ours.
    External,
}

/// How far away a peer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hops {
    /// On the link: packets leave with TTL 1.
    Direct,
    /// Packets leave with TTL 255, and only those of peers at most `hops` away are taken (RFC 5082 §3).
    Secured {
        /// 1 for a peer on the link; 1 to 254.
        hops: u8,
    },
    /// Behind routers, or within the AS: packets leave with this TTL.
    Multi {
        /// 2 to 255.
        ttl: u8,
    },
}

/// A set of address families, SAFI unicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Families {
    /// IPv4 unicast.
    pub ipv4: bool,
    /// IPv6 unicast.
    pub ipv6: bool,
}

impl Families {
    /// Whether prefixes with this address are told on a session of these families.
    pub const fn have(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.ipv4,
            IpAddr::V6(_) => self.ipv6,
        }
    }
}

/// How segments are to be authenticated once there is a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Signing {
    /// RFC 2385.
    #[default]
    Md5,
    /// RFC 5925.
    TcpAo {
        /// Both the SendID and the RecvID.
        key_id: u8,
    },
}

/// A session as one `BGPPeer` wants it. What is unset is the speaker's choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerSettings {
    /// Where the peer is.
    pub remote: Remote,
    /// Its port, not 0.
    pub port: u16,
    /// Our AS towards this peer: `localASN` if it is given, else `myASN`.
    pub local_as: u32,
    /// The peer's AS.
    pub peer_as: PeerAs,
    /// Our BGP Identifier; unset: an address of the node.
    pub router_id: Option<Ipv4Addr>,
    /// Our address; unset: the routing table decides.
    pub source: Option<IpAddr>,
    /// The VRF device that packets go through; unset: the default VRF.
    pub vrf: Option<String>,
    /// The hold time to offer, whole seconds: 0, or 3 and more (RFC 4271 §4.2).
    pub hold_time: Option<Duration>,
    /// Between two KEEPALIVEs, whole seconds: at least 1, at most a third of the hold time, as FRR caps it.
    pub keepalive: Option<Duration>,
    /// The longest wait between two attempts to connect, whole seconds, 1 to 65535.
    pub connect_retry: Option<Duration>,
    /// How far away the peer may be.
    pub hops: Hops,
    /// Whether we never connect and only accept.
    pub passive: bool,
    /// Whether the peer is asked to keep our routes while we restart (RFC 4724).
    pub graceful_restart: bool,
    /// The families offered, and of which routes are told.
    pub families: Families,
    /// How segments are signed, if there is a password.
    pub signing: Signing,
}

/// How BFD control packets are authenticated (RFC 5880 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BfdMethod {
    /// The password itself.
    SimplePassword,
    /// MD5; the sequence number moves when the contents do.
    KeyedMd5,
    /// MD5; every packet has its own sequence number.
    MeticulousMd5,
    /// SHA1; the sequence number moves when the contents do.
    KeyedSha1,
    /// SHA1; every packet has its own sequence number.
    MeticulousSha1,
}

impl BfdMethod {
    /// The most octets that a key has (RFC 5880 §4.2 to §4.4).
    pub const fn longest_key(self) -> usize {
        match self {
            Self::SimplePassword | Self::KeyedMd5 | Self::MeticulousMd5 => 16,
            Self::KeyedSha1 | Self::MeticulousSha1 => 20,
        }
    }
}

/// A BFD session as one `BFDProfile` wants it, with MetalLB's (FRR's) defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BfdSettings {
    /// Required Min RX.
    pub receive: Duration,
    /// Desired Min TX.
    pub transmit: Duration,
    /// Packets that may be missed; 2 and more.
    pub multiplier: u8,
    /// How often to send echo packets; unset: never.
    pub echo_transmit: Option<Duration>,
    /// Required Min Echo RX: how often the peer's echo packets are looped back.
    pub echo_receive: Duration,
    /// Whether the peer has to begin.
    pub passive: bool,
    /// The least TTL that packets of a multi-hop session arrive with (RFC 5883).
    pub minimum_ttl: u8,
    /// How packets are authenticated, if they are: method, key id, and the Secret that has the key.
    pub authentication: Option<BfdKey>,
}

/// Where the key of BFD packets is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BfdKey {
    /// The method.
    pub method: BfdMethod,
    /// What packets name the key by.
    pub id: u8,
    /// The name of the Secret, in the namespace of MetalLB's objects.
    pub secret: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let password: Password = serde_json::from_str("\"hunter2\"").expect("a text");
        assert_eq!(format!("{password:?} {:?}", Some(&password)), "Password(…) Some(Password(…))");
        assert_eq!((password.reveal(), password.is_empty()), ("hunter2", false));
    }
}
