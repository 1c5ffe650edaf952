//! BFD without I/O: sessions with routers (RFC 5880, RFC 5881, RFC 5883) and probes of other nodes (RFC 7880, RFC 7881).
//!
//! * [`session`]: a session with a router, with [`auth`] if it is wanted.
//! * [`initiator`]: an S-BFD initiator. Whether another node lives; its answers come from the reflector in
//!   `lb_common::bfd::reflect`.
//!
//! Must not: open a socket, read a clock, spawn, or draw a random number that was not seeded by its caller. Packets and
//! moments come in, packets and deadlines go out: `handle_packet` for all that has arrived, then `handle_timeout`, then
//! `poll_transmit` until `None`, then sleep until `poll_timeout`, in that order.
#![forbid(unsafe_code)]

pub mod auth;
pub mod initiator;
mod jitter;
pub mod session;
