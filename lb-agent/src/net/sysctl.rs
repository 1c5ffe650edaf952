//! `arp_announce` per interface.
//!
//! With 2 the node never names a VIP on `lo` as the sender of its own ARP requests, so a flow that it opens from a
//! VIP does not move the clients' caches (RFC 5227 §1.2 calls the alternative a conflict).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The value that uses the best local address for the target, whatever the flow's source is.
pub(crate) const BEST_LOCAL_ADDRESS: u8 = 2;

/// Where the kernel's network settings can be written. In a container without privileges `/proc/sys` is read-only, and
/// a second way to it is mounted elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Sysctls(PathBuf);

impl Sysctls {
    pub(crate) fn at(proc_sys_net: &Path) -> Self {
        Self(proc_sys_net.to_owned())
    }

    /// Reads the setting of an interface.
    pub(crate) fn arp_announce(&self, interface: &str) -> io::Result<u8> {
        let text = fs::read_to_string(self.path(interface))?;
        text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Writes the setting of an interface.
    pub(crate) fn set_arp_announce(&self, interface: &str, value: u8) -> io::Result<()> {
        fs::write(self.path(interface), value.to_string())
    }

    /// Through the calling thread's own network namespace, as everything under `/proc/sys/net`.
    fn path(&self, interface: &str) -> PathBuf {
        self.0.join("ipv4/conf").join(interface).join("arp_announce")
    }
}
