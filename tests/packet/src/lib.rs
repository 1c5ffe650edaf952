//! The kernel program under test: loading it, filling its maps, running it on frames.
//!
//! Suites: `golden` (one table, host, kernel and veth), `agree` (random frames, host against kernel), `mutations`
//! (the golden table notices each of ten named faults). Bins: `verify` (the kernel's verifier, for `build-ebpf
//! --load`) and `bench-xdp`.
//!
//! Needs root and the objects that `cargo xtask build-ebpf` makes.

pub mod bench;
pub mod kernel;
pub mod need;
pub mod stream;
pub mod tap;
pub mod veth;
