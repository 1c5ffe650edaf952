//! Who answers ARP and NDP for an address on one segment, seen from a client: while the agent runs, is stopped, is
//! killed, is replaced, is gone. No controller: the tests write the VirtualIPs.
#![expect(clippy::print_stdout, reason = "a run shows its figures")]

mod answer;
mod cleanup;
mod failover;
mod lease;
mod planned;
mod proxy;
mod scene;
mod telling;
