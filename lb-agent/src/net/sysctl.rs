//! `arp_announce` per interface.
//!
//! With 2 the node never names a VIP on `lo` as the sender of its own ARP requests, so a flow that it opens from a
//! VIP does not move the clients' caches (RFC 5227 §1.2 calls the alternative a conflict).

use std::{fs, io, path::PathBuf};

/// The value that uses the best local address for the target, whatever the flow's source is.
pub(crate) const BEST_LOCAL_ADDRESS: u8 = 2;

/// Reads the setting of an interface.
pub(crate) fn arp_announce(interface: &str) -> io::Result<u8> {
    let text = fs::read_to_string(path(interface))?;
    text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes the setting of an interface.
pub(crate) fn set_arp_announce(interface: &str, value: u8) -> io::Result<()> {
    fs::write(path(interface), value.to_string())
}

/// Through the calling thread's own network namespace, as everything under `/proc/sys/net`.
fn path(interface: &str) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/ipv4/conf/{interface}/arp_announce"))
}
