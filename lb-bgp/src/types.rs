//! The names that BGP gives to speakers, families and prefixes, each checked once when it is made.
//!
//! Must not: parse or build messages; nothing here knows a wire format.
//! Spec: RFC 4271 §4, RFC 6286 (router id), RFC 6793 (AS numbers), RFC 7607 (AS 0), RFC 4760 (families).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

#[cfg(test)]
mod tests;

/// An autonomous system number of four octets; never 0 (RFC 7607).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(u32);

impl Asn {
    /// What a number of more than two octets is called towards a speaker that knows only two (RFC 6793 §9).
    pub const TRANS: Self = Self(23456);

    /// `None` for 0, which no speaker may use (RFC 7607).
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

/// A BGP Identifier: any four octets but 0, unique within the AS (RFC 6286 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(u32);

impl RouterId {
    /// `None` for 0.0.0.0.
    #[must_use]
    pub const fn new(address: Ipv4Addr) -> Option<Self> {
        let bits = address.to_bits();
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// As a dotted quad, which is how it is configured and shown.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.0)
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

/// An address family with SAFI unicast, the only SAFI spoken here (RFC 4760 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 unicast, AFI 1.
    V4,
    /// IPv6 unicast, AFI 2.
    V6,
}

impl Family {
    /// Every family there is.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The longest prefix of the family, in bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4 unicast",
            Self::V6 => "IPv6 unicast",
        })
    }
}

/// One value for each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PerFamily<T> {
    /// The value of [`Family::V4`].
    pub v4: T,
    /// The value of [`Family::V6`].
    pub v6: T,
}

impl<T> PerFamily<T> {
    /// A value for each family from a function of the family.
    pub fn from_fn(mut value: impl FnMut(Family) -> T) -> Self {
        Self { v4: value(Family::V4), v6: value(Family::V6) }
    }

    /// The value of a family.
    pub const fn get(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// The value of a family, to be changed.
    pub const fn get_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// A set of families.
pub type Families = PerFamily<bool>;

impl Families {
    /// Both families.
    pub const BOTH: Self = Self { v4: true, v6: true };
    /// No family.
    pub const NONE: Self = Self { v4: false, v6: false };

    /// The set of one.
    #[must_use]
    pub const fn only(family: Family) -> Self {
        match family {
            Family::V4 => Self { v4: true, v6: false },
            Family::V6 => Self { v4: false, v6: true },
        }
    }

    /// Whether the family is in the set.
    #[must_use]
    pub const fn contains(self, family: Family) -> bool {
        *self.get(family)
    }

    /// Whether no family is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !self.v4 && !self.v6
    }

    /// The families in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self { v4: self.v4 && other.v4, v6: self.v6 && other.v6 }
    }

    /// The families of the set.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| self.contains(*family))
    }
}

/// An address block. Host bits are always 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The block of `length` bits that holds `address`; `None` when the family has fewer bits.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(address) => {
                let host = 32_u32.checked_sub(u32::from(length))?;
                let mask = u32::MAX.checked_shl(host).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let host = 128_u32.checked_sub(u32::from(length))?;
                let mask = u128::MAX.checked_shl(host).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Some(Self { address, length })
    }

    /// The block of one address.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self { address, length: Family::of(address).bits() }
    }

    /// The first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits are fixed.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// The family.
    #[must_use]
    pub const fn family(self) -> Family {
        Family::of(self.address)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}
