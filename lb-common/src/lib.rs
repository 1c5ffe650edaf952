//! What Herald's kernel program and its userspace agree on, and the pure packet code that both run.
#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod filter;
pub mod lease;
