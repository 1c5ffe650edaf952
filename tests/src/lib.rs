//! The lab (network namespaces on one machine), the tools that ask and answer in it, and handles on Herald's programs.
//!
//! The suites are in `tests/*.rs`, the demo and the lab's own command in `src/bin`. Everything needs root, and nothing
//! here touches an interface or a namespace that it did not make.

pub mod asker;
pub mod bounds;
pub mod edits;
pub mod faults;
pub mod flow;
pub mod frames;
pub mod herald;
pub mod http;
pub mod lab;
pub mod mac;
pub mod need;
pub mod overhear;
pub mod packet_socket;
mod random;
pub mod responder;
pub mod spread;
pub mod urgent;
pub mod usage;
pub mod wait;
