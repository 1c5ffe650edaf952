//! Ethernet II and VLAN tags (IEEE 802.1Q, 802.1ad): where the payload starts, and on which VLAN.

use crate::{frame::Frame, outcome::Pass};

/// A hardware address.
pub type Mac = [u8; 6];

/// Length of an untagged header.
pub const HEADER: usize = 14;
/// All stations.
pub const BROADCAST: Mac = [0xff; 6];

/// EtherType of ARP (RFC 826).
pub const ARP: u16 = 0x0806;
/// EtherType of IPv4 (RFC 894).
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6 (RFC 2464 §3).
pub const IPV6: u16 = 0x86dd;
const CUSTOMER_TAG: u16 = 0x8100;
const SERVICE_TAG: u16 = 0x88a8;
const VLAN_ID_MASK: u16 = 0x0fff;

/// The VLAN identifiers of a frame, 0 where there is no tag. A priority tag (identifier 0) is no VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vlans {
    /// Of the first tag.
    pub outer: u16,
    /// Of the second tag.
    pub inner: u16,
}

/// What follows the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The EtherType behind all tags.
    pub ethertype: u16,
    /// Where the payload starts: 14, 18 or 22.
    pub payload: usize,
    /// The VLAN the frame is on.
    pub vlans: Vlans,
}

impl Header {
    /// Reads the header behind up to two tags, one of which the kernel may have taken out. A frame too short to have one is
    /// [`Pass::Foreign`].
    #[inline(always)]
    pub fn parse<F: Frame>(frame: &mut F) -> Result<Self, Pass> {
        let mut header = Self { ethertype: ethertype_at(frame, 12)?, payload: HEADER, vlans: Vlans::default() };
        let stripped = frame.stripped_vlan();
        if !is_tag(header.ethertype) {
            header.vlans.outer = stripped.unwrap_or_default();
            return Ok(header);
        }
        let first = ethertype_at(frame, 14)? & VLAN_ID_MASK;
        header.ethertype = ethertype_at(frame, 16)?;
        header.payload = 18;
        if let Some(outer) = stripped {
            header.vlans = Vlans { outer, inner: first };
            return if is_tag(header.ethertype) { Err(Pass::TooManyTags) } else { Ok(header) };
        }
        header.vlans.outer = first;
        if !is_tag(header.ethertype) {
            return Ok(header);
        }
        header.vlans.inner = ethertype_at(frame, 18)? & VLAN_ID_MASK;
        header.ethertype = ethertype_at(frame, 20)?;
        header.payload = 22;
        if is_tag(header.ethertype) {
            return Err(Pass::TooManyTags);
        }
        Ok(header)
    }
}

/// The destination and source addresses at the start of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Whom the frame is for.
    pub destination: Mac,
    /// Who sent it.
    pub source: Mac,
}

impl Addresses {
    /// Reads both.
    #[inline(always)]
    pub fn parse<F: Frame>(frame: &mut F) -> Option<Self> {
        let &mut [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = frame.view::<12>(0)?;
        Some(Self { destination: [d0, d1, d2, d3, d4, d5], source: [s0, s1, s2, s3, s4, s5] })
    }

    /// Writes both.
    #[inline(always)]
    pub fn write<F: Frame>(self, frame: &mut F) -> Option<()> {
        let [d0, d1, d2, d3, d4, d5] = self.destination;
        let [s0, s1, s2, s3, s4, s5] = self.source;
        *frame.view::<12>(0)? = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5];
        Some(())
    }
}

/// Whether a station can have this address: not a group, not all zeros.
#[inline(always)]
pub fn is_station(mac: &Mac) -> bool {
    mac[0] & 1 == 0 && *mac != [0; 6]
}

#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    ethertype == CUSTOMER_TAG || ethertype == SERVICE_TAG
}

#[inline(always)]
fn ethertype_at<F: Frame>(frame: &mut F, offset: usize) -> Result<u16, Pass> {
    frame.view::<2>(offset).map(|bytes| u16::from_be_bytes(*bytes)).ok_or(Pass::Foreign)
}
