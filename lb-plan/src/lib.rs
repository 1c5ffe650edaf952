//! Every decision of Herald, pure: class choice, allocation, ranking, the agent's plan, who holds an address.
//!
//! Must not: do I/O, read a clock, or depend on anything that does. Time is an argument.
#![forbid(unsafe_code)]

pub mod agent;
pub mod bgp;
mod configuration_state;
pub mod controller;
pub mod election;
pub mod holders;
pub mod l2_statuses;
pub mod ownership;
