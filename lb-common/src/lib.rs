//! What Herald's kernel program and its userspace agree on, and the pure packet code that both run.
//!
//! * [`abi`]: the maps; [`lease`]: the word that ends all answers; [`filter`]: a hint in front of the tables.
//! * [`sighting`]: somebody else speaks for one of our addresses; [`event`]: what the agent is told of it.
//! * [`respond`]: one frame in, one [`outcome`] out, by [`arp`], [`ndp`] and [`bfd::reflect`], over the traits [`frame::Frame`] and
//!   [`tables::Tables`]. `lb-ebpf` implements the traits with packet pointers and maps, `host` with vectors.
//!
//! Must not: allocate, panic, depend on anything (but aya's `Pod` behind feature `user`, std behind `host`).
//! Everything on the packet's path is `inline(always)`: the kernel's verifier sees one function, without calls.
#![cfg_attr(not(any(test, feature = "host")), no_std)]

pub mod abi;
pub mod arp;
pub mod bfd;
pub mod csum;
pub mod eth;
pub mod event;
pub mod filter;
pub mod frame;
#[cfg(any(test, feature = "host"))]
pub mod host;
pub mod lease;
pub mod ndp;
pub mod outcome;
pub mod respond;
pub mod sighting;
pub mod tables;
