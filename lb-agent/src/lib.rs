//! The agent: makes one node answer for its addresses.
//!
//! ```text
//!  store (VirtualIPs)   kernel (links, addresses)      SIGTERM
//!          \                 |                           /
//!           +----------- owner: one loop, one pass ------
//!                            |  plan (lb-plan, pure) -> diff -> apply
//!        +-------------+-----+------+--------------+----------------+
//!        |             |            |              |                |
//!   xdp::tables   xdp::attach   xdp::lease    host (groups,    announce
//!   (BPF maps)    (links)       (latch)       arp_announce)    (GARP, NA)
//!                            |
//!                    view (a snapshot) ──► admin (/metrics /healthz /readyz /state), status (the store)
//! ```
//!
//! One owner per piece of state: the `owner` alone writes maps, links and host settings; everybody else reads the
//! view it publishes. A pass that ends vouches for the table: only then is the lease renewed.

mod admin;
mod announce;
mod app;
mod args;
pub mod bfd;
pub mod bgp;
mod cleanup;
mod clock;
mod departure;
mod host;
mod liveness;
mod metrics;
mod net;
mod owner;
mod proxy;
mod routing;
mod status;
mod telemetry;
mod undo;
mod view;
mod xdp;

pub use app::main;
pub use args::{Cli, Command, Duration};
