//! The Internet checksum (RFC 1071) over units of 8 bytes.
//!
//! Units are read in native order and the sum is folded in native order: the one's complement sum does not care
//! (RFC 1071 §2 B), and no byte has to be swapped.

/// A sum under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds 8 bytes.
    #[inline(always)]
    pub fn plus(self, bytes: [u8; 8]) -> Self {
        let word = u64::from_ne_bytes(bytes);
        Self(self.0 + (word & 0xffff_ffff) + (word >> 32))
    }

    /// The sum as 16 bits, in native order. Over bytes that carry their own right checksum it is `0xffff`.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits before")]
    pub fn fold(self) -> u16 {
        let once = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let twice = (once & 0xffff) + ((once >> 16) & 0xffff) + (once >> 32);
        let thrice = (twice & 0xffff) + (twice >> 16);
        ((thrice & 0xffff) + (thrice >> 16)) as u16
    }

    /// The checksum field that makes the bytes right, as it stands on the wire.
    #[inline(always)]
    pub fn checksum(self) -> [u8; 2] {
        (!self.fold()).to_ne_bytes()
    }
}
