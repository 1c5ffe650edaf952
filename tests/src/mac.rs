//! A hardware address as the tools print it.

use std::{fmt, num::ParseIntError, str::FromStr};

/// Six bytes, printed as `02:00:00:00:00:01`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Ethernet's broadcast address.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// Not six parts.
    #[error("a hardware address has 6 parts between colons, this has {0}")]
    Parts(usize),
    /// A part that is no byte.
    #[error("a part of the hardware address is not a hexadecimal byte")]
    Byte(#[from] ParseIntError),
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let bytes: Result<Vec<u8>, _> = text.split(':').map(|part| u8::from_str_radix(part, 16)).collect();
        let bytes: [u8; 6] = bytes?.try_into().map_err(|bytes: Vec<u8>| MacError::Parts(bytes.len()))?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let mac = Mac([2, 0x48, 0, 0, 0xab, 1]);
        assert_eq!(mac.to_string(), "02:48:00:00:ab:01");
        assert_eq!("02:48:00:00:AB:01".parse(), Ok(mac));
        assert_eq!("02:48:00".parse::<Mac>(), Err(MacError::Parts(3)));
    }
}
