//! What one node's agent wants: from what it sees to the whole wanted state, and from there to the difference.
//!
//! ```text
//! links ──► topology: stations, segments, attach points ─┐
//!                                                        ├─► plan: entries, groups, settings ──► table::diff
//! VirtualIPs, peers, what is heard ──► ownership::Machine ┘
//! VirtualIPs not listed any more ──► leave: how long they still count
//! newly held addresses ──► announce: when to send which copy ──► frame: the bytes
//! LoadBalancerNodes ──► peers: where the other nodes stand
//! held addresses, VirtualIPs ──► telling: the statuses that this node writes; pace: how often
//! kube-proxy's health port ──► proxy: whether packets reach the Pods
//! SIGTERM, Node, DaemonSet ──► departure: hand over, or let go
//! ```
//!
//! Pure: opens nothing, reads no clock. Level, not edge: the plan is always the whole state, and
//! [`table::diff`] alone knows what has to change.

pub mod announce;
pub mod departure;
pub mod frame;
pub mod leave;
pub mod pace;
pub mod peers;
pub mod plan;
pub mod proxy;
pub mod stopwatch;
pub mod table;
pub mod telling;
#[cfg(test)]
mod testing;
pub mod topology;

pub use departure::Departure;
pub use frame::Mac;
pub use leave::{Leaving, Presence};
pub use peers::Peer;
pub use plan::{Groups, Held, NodePlan, Ownership, Problem, Segments, Snapshot, addresses, plan};
pub use table::{Action, EntryKey, Operation, Role, Segment, SegmentId, SegmentKey, Table};
pub use telling::{Holding, Moment, Scene, Strangers, Teller, Telling, holdings};
pub use topology::{Config, Kind, Link, NamePatterns, Station, Topology};
