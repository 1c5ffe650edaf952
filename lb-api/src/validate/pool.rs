//! One entry of an address pool: a CIDR block or a range `first-last`.
//!
//! As in MetalLB and Deckhouse a CIDR block is all of its addresses, the first and the last included. What is clearly
//! meant is accepted (white space, compressed or long spellings of one address); what could mean two things is not.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// Addresses from `first` to `last`, both included, of one family, never IPv4-mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address.
    pub last: IpAddr,
}

impl AddressRange {
    /// Whether `address` lies within.
    pub fn contains(&self, address: IpAddr) -> bool {
        // `IpAddr` orders IPv4 before IPv6, so an address of the other family is outside.
        self.first <= address && address <= self.last
    }
}

/// Why an entry of a pool cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Nothing there.
    #[error("is empty: write a CIDR block as 192.0.2.0/24 or a range as 192.0.2.100-192.0.2.150")]
    Empty,
    /// Neither form.
    #[error(
        "`{0}` is neither a CIDR block (192.0.2.0/24) nor a range (192.0.2.100-192.0.2.150); one address is `{0}/32` or `{0}/128`"
    )]
    Form(String),
    /// Not an address.
    #[error("`{0}` is not an IP address")]
    Address(String),
    /// `fe80::1%eth0`.
    #[error("`{0}` has a zone: write the address without `%` and what follows")]
    Zone(String),
    /// `::ffff:192.0.2.1`.
    #[error("`{entry}` is an IPv4-mapped IPv6 address: write `{right}`")]
    Mapped {
        /// The entry.
        entry: String,
        /// The IPv4 spelling of it.
        right: String,
    },
    /// Not a prefix length.
    #[error("`{length}` is not a prefix length of {address}: write a number from 0 to {max}")]
    Prefix {
        /// What follows the slash.
        length: String,
        /// What stands before it.
        address: IpAddr,
        /// The longest prefix of the family.
        max: u8,
    },
    /// `192.0.2.1/24`.
    #[error("`{entry}` has host bits set: write `{right}` for the block")]
    HostBits {
        /// The entry.
        entry: String,
        /// The block it lies in.
        right: IpNet,
    },
    /// `192.0.2.1-2001:db8::1`.
    #[error("`{0}` mixes IPv4 and IPv6: write one range per family")]
    Families(String),
    /// `192.0.2.150-192.0.2.100`.
    #[error("`{first}-{last}` is reversed: write `{last}-{first}`")]
    Reversed {
        /// What stands first.
        first: IpAddr,
        /// What stands last.
        last: IpAddr,
    },
}

/// Reads one entry.
pub fn parse_entry(entry: &str) -> Result<AddressRange, RangeError> {
    let entry = entry.trim();
    if entry.is_empty() {
        return Err(RangeError::Empty);
    }
    if let Some((address, length)) = entry.split_once('/') {
        return block(address.trim(), length.trim());
    }
    match entry.split_once('-') {
        Some((first, last)) => range(entry, first.trim(), last.trim()),
        None => Err(RangeError::Form(entry.to_owned())),
    }
}

fn block(address: &str, length: &str) -> Result<AddressRange, RangeError> {
    let address = plain(address)?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    // `u8::from_str` would take `+24`.
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let net = digits.then(|| u8::from_str(length).ok()).flatten().and_then(|bits| IpNet::new(address, bits).ok());
    let Some(net) = net else { return Err(RangeError::Prefix { length: length.to_owned(), address, max }) };
    if net.network() != address {
        return Err(RangeError::HostBits { entry: net.to_string(), right: net.trunc() });
    }
    Ok(AddressRange { first: net.network(), last: net.broadcast() })
}

fn range(entry: &str, first: &str, last: &str) -> Result<AddressRange, RangeError> {
    let (first, last) = (plain(first)?, plain(last)?);
    if first.is_ipv4() != last.is_ipv4() {
        return Err(RangeError::Families(entry.to_owned()));
    }
    if first > last {
        return Err(RangeError::Reversed { first, last });
    }
    Ok(AddressRange { first, last })
}

/// An address that can mean only one thing.
fn plain(text: &str) -> Result<IpAddr, RangeError> {
    if text.contains('%') {
        return Err(RangeError::Zone(text.to_owned()));
    }
    let address: IpAddr =
        text.parse().map_err(|_unsaid: std::net::AddrParseError| RangeError::Address(text.to_owned()))?;
    match address.to_canonical() {
        canonical if canonical == address => Ok(address),
        canonical => Err(RangeError::Mapped { entry: text.to_owned(), right: canonical.to_string() }),
    }
}
