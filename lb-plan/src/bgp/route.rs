//! What a peer is told: prefixes, each with the attributes that advertisements give it.
//!
//! Must not: know sessions. The next hop is always the session's own address; ORIGIN and AS_PATH belong to the session.
//! Spec: RFC 1997 and RFC 8092 (communities), RFC 4271 §5.1.5 (LOCAL_PREF).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// The routes that a peer should know: the whole set, each time (level, not edge).
pub type Routes = BTreeMap<Prefix, Arc<Attributes>>;

/// An address block. Host bits are always 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The block of `length` bits that holds `address`; a longer length than the family has is the address alone.
    pub fn new(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(address) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv4Addr::from_bits(address.to_bits() & mask).into(), length }
            }
            IpAddr::V6(address) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv6Addr::from_bits(address.to_bits() & mask).into(), length }
            }
        }
    }

    /// The first address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits are fixed.
    pub const fn length(self) -> u8 {
        self.length
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The attributes of a route that advertisements choose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Attributes {
    /// LOCAL_PREF, for internal peers only; unset: the speaker's default of 100.
    pub local_pref: Option<u32>,
    /// Plain communities, as 32 bits.
    pub communities: BTreeSet<u32>,
    /// Large communities, as their three parts.
    pub large_communities: BTreeSet<[u32; 3]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_go_and_lengths_end_at_the_family() {
        for (address, length, wanted) in [
            ("192.0.2.77", 32, "192.0.2.77/32"),
            ("192.0.2.77", 24, "192.0.2.0/24"),
            ("192.0.2.77", 0, "0.0.0.0/0"),
            ("192.0.2.77", 200, "192.0.2.77/32"),
            ("2001:db8::ff", 124, "2001:db8::f0/124"),
            ("2001:db8::ff", 0, "::/0"),
        ] {
            let prefix = Prefix::new(address.parse().expect("test data"), length);
            assert_eq!(prefix.to_string(), wanted);
        }
    }
}
