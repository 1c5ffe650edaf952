//! The controller: sees what there is, plans, writes.
//!
//! `args` says how it is started, `app` puts it together, `passes` is the loop, `inputs` and `announced` what it looks at,
//! `apply` what it writes, `grants` which passwords agents may read, `holders` what it says of who holds an address, `leader`
//! whether it may, `view` what it shows, `heap` what it costs, `admin` and `metrics` to whom, `webhook` what it says to who is
//! about to write.
//!
//! Must not: decide. Every decision is `lb_plan::controller`'s; this crate reads clocks, files and sockets for it.
//!
//! Invariant: nothing is planned before every kind has been read completely, and every write carries what it was
//! judged on, so the process can be killed between any two of them.
#![deny(unsafe_code)]

mod admin;
mod announced;
mod app;
mod apply;
mod args;
mod grants;
#[expect(unsafe_code, reason = "the C library's allocator is told so by calls")]
mod heap;
mod holders;
mod inputs;
mod leader;
mod listen;
mod metrics;
mod passes;
mod telemetry;
mod view;
mod webhook;

pub use app::main;
pub use args::{Args, LogFormat, Sources};
