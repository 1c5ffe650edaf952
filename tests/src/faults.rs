//! Fault tests of who holds an address: what is done to a lab, what its clients saw, and whether the one explains the
//! other.
//!
//! [`plan`] says what is to be done, from a seed; [`Stage`] does it, and [`log`] has what was done and what that
//! excuses; [`account`] holds the answers of every question against it. The first, the third and the last are pure.

pub mod account;
mod clock;
pub mod holder;
pub mod log;
pub mod loss;
pub mod plan;
pub mod scenes;
mod stage;
pub mod starvation;
mod wall;

pub use stage::{NODES, Seen, Stage};
