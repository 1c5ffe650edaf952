//! A class of the model: its pool, and whether its file can be read.

use std::net::IpAddr;

#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) default: bool,
    /// Last bytes of the first and the last address, in both families.
    pub(super) span: (u8, u8),
    pub(super) prefix: (&'static str, &'static str),
    pub(super) health: Health,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Fine,
    Broken,
    Gone,
}

impl Class {
    /// First and last address of each range.
    pub(super) fn ranges(&self) -> [(IpAddr, IpAddr); 2] {
        let address = |prefix: &str, last| format!("{prefix}{last}").parse().expect("a prefix and a number");
        let range = |prefix| (address(prefix, self.span.0), address(prefix, self.span.1));
        [range(self.prefix.0), range(self.prefix.1)]
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.ranges().iter().any(|(first, last)| *first <= address && address <= *last)
    }
}
