//! The sender filter: a bitmap that says which (segment, address) *may* be in a table.
//!
//! Every ARP request and advertisement on the segment is looked up by its sender; almost no sender is one of our
//! addresses. One bit in an array answers that for less than a hash look-up. A set bit is only a hint.

use crate::abi::{FILTER_WORDS, Key4, Key6};

const BITS_LOG2: u32 = FILTER_WORDS.ilog2() + 6;

/// A bit of the filter: the word it is in, and its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bit {
    /// Index into [`crate::abi::name::FILTER`].
    pub word: u32,
    /// One bit.
    pub mask: u64,
}

/// The bit of an IPv4 entry.
#[inline(always)]
pub fn bit4(key: &Key4) -> Bit {
    bit(fold(key.segment, u32::from_ne_bytes(key.address)))
}

/// The bit of an IPv6 entry.
#[inline(always)]
pub fn bit6(key: &Key6) -> Bit {
    let [a, b, c, d] = words(&key.address);
    bit(fold(key.segment, a) ^ fold(b, c).rotate_left(17) ^ (d as u64).wrapping_mul(MULTIPLIER))
}

/// 2^64 divided by the golden ratio: Fibonacci hashing, whose top bits are well mixed.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline(always)]
fn fold(high: u32, low: u32) -> u64 {
    (((high as u64) << 32) | low as u64).wrapping_mul(MULTIPLIER)
}

#[inline(always)]
fn words(address: &[u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    let mut index = 0;
    while index < 4 {
        let at = index * 4;
        words[index] = u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]]);
        index += 1;
    }
    words
}

#[inline(always)]
fn bit(hash: u64) -> Bit {
    let index = (hash >> (64 - BITS_LOG2)) as u32;
    Bit { word: index / 64, mask: 1 << (index % 64) }
}
