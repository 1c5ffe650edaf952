//! Where a peer is, and what its sockets are made with.
//!
//! Must not: know sessions or routes. A password never reaches a log: its `Debug` hides it.

use std::{fmt, net::IpAddr};

/// The port that BGP speakers listen on (RFC 4271 §4.2).
pub const PORT: u16 = 179;

/// A TCP MD5 key (RFC 2385): 1 to [`Password::MAX`] octets.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

/// Why a text is no [`Password`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a BGP password has 1 to 80 octets, and this one {0}")]
pub struct PasswordError(usize);

impl Password {
    /// What the kernel takes (TCP_MD5SIG_MAXKEYLEN).
    pub const MAX: usize = 80;

    /// # Errors
    /// When it is empty or too long for the kernel.
    pub fn new(octets: impl Into<Vec<u8>>) -> Result<Self, PasswordError> {
        let octets = octets.into();
        if (1..=Self::MAX).contains(&octets.len()) { Ok(Self(octets)) } else { Err(PasswordError(octets.len())) }
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How segments are authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// Not at all.
    #[default]
    None,
    /// RFC 2385.
    Md5(Password),
    /// RFC 5925: asked for, and refused.
    TcpAo,
}

/// How far away the peer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hops {
    /// On the link: packets leave with TTL 1, so that no router carries them further.
    Direct,
    /// Packets leave with TTL 255, and only those of peers at most `hops` away are taken (GTSM, RFC 5082).
    Secured {
        /// 1 for a peer on the link.
        hops: u8,
    },
    /// Behind routers, or within the AS: packets leave with this TTL.
    Multi {
        /// 1 to 255.
        ttl: u8,
    },
}

impl Hops {
    /// What packets leave with.
    pub(super) const fn ttl(self) -> u8 {
        match self {
            Self::Direct => 1,
            Self::Secured { .. } => 255,
            Self::Multi { ttl } => ttl,
        }
    }

    /// The least that packets may arrive with; 0: anything.
    pub(super) const fn least(self) -> u8 {
        match self {
            Self::Secured { hops } => 255 - hops.saturating_sub(1),
            Self::Direct | Self::Multi { .. } => 0,
        }
    }
}

/// Where the peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// At an address.
    Address(IpAddr),
    /// Unnumbered: whoever sends router advertisements on this interface.
    Interface(String),
}

/// Where a peer is, and how its sockets are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where the peer is.
    pub remote: Remote,
    /// Its port.
    pub port: u16,
    /// Our address; unset: the kernel chooses.
    pub source: Option<IpAddr>,
    /// The interface or VRF that packets go through; unset: the routing table decides.
    pub device: Option<String>,
    /// How segments are authenticated.
    pub authentication: Authentication,
    /// How far away it may be.
    pub hops: Hops,
}

impl Endpoint {
    /// A peer at an address, on the link, and nothing else asked for.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self {
            remote: Remote::Address(address),
            port: PORT,
            source: None,
            device: None,
            authentication: Authentication::None,
            hops: Hops::Direct,
        }
    }

    /// The device its sockets are bound to.
    pub(super) fn bound_to(&self) -> Option<&str> {
        match &self.remote {
            Remote::Interface(name) => Some(name),
            Remote::Address(_) => self.device.as_deref(),
        }
    }
}

impl fmt::Display for Endpoint {
    /// As the `peer` label of metrics has it: `192.0.2.1:179`, `[2001:db8::1]:179`, `eth1:179`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remote {
            Remote::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Remote::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Remote::Interface(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown_and_has_its_bounds() {
        let password = Password::new("secret").unwrap();
        assert!(!format!("{password:?}").contains("secret"));
        assert_eq!(Password::new("").unwrap_err().to_string(), "a BGP password has 1 to 80 octets, and this one 0");
        assert!(Password::new([b'x'; 80]).is_ok() && Password::new([b'x'; 81]).is_err());
    }

    #[test]
    fn gtsm_lets_in_what_is_near_enough() {
        // RFC 5082 §3: for directly connected peers only 255.
        for (hops, ttl, least) in [
            (Hops::Direct, 1, 0),
            (Hops::Secured { hops: 1 }, 255, 255),
            (Hops::Secured { hops: 3 }, 255, 253),
            (Hops::Secured { hops: 255 }, 255, 1),
            (Hops::Multi { ttl: 64 }, 64, 0),
        ] {
            assert_eq!((hops.ttl(), hops.least()), (ttl, least), "{hops:?}");
        }
    }
}
