//! The kernel's half: loading the object, its maps, its links, its lease.
//!
//! Everything of value is pinned: it outlives the agent. A new agent opens the pinned maps, takes their content as
//! applied, and swaps its program into the pinned links.

pub(crate) mod attach;
pub(crate) mod convert;
mod detach;
pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod lease;
mod log;
pub(crate) mod maps;
pub(crate) mod object;
pub(crate) mod pins;
mod slots;
pub(crate) mod stations;
pub(crate) mod tables;
mod way;
