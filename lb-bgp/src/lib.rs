//! Herald's BGP speaker: it announces routes to a peer, and accepts none.
//!
//! Must not: open a socket, read a clock, spawn a task, or touch a route of the kernel. Everything is a value: events and
//! time go into a [`Peer`]; [`Action`]s, octets and a deadline come out. The driver in `lb-agent` does the rest.
//!
//! # Parts
//!
//! | Module | What it is |
//! |---|---|
//! | `peer` | one peer: dials, retries with back-off, resolves collisions, leaves in good order |
//! | `session` | one connection, from TCP up to its end: the states of RFC 4271 §8 and their deadlines |
//! | `rib` | Adj-RIB-Out: what the peer was told, and the difference to what is wanted |
//! | `open` | what both sides can do, and what follows from it |
//! | `frame`, `output` | octets in and out, in bounds |
//! | `wire` | the codec library behind our own types; nobody else names it, so it can be replaced |
//!
//! # What it speaks
//!
//! BGP-4 (RFC 4271) with AS numbers of four octets (RFC 6793), revised errors (RFC 7606), IPv4 and IPv6 unicast over either
//! transport (RFC 4760, RFC 2545), IPv6 next hops for IPv4 routes (RFC 8950), communities (RFC 1997, RFC 8092), extended
//! messages (RFC 8654), route refresh with its marks (RFC 2918, RFC 7313), graceful restart as the side that restarts
//! (RFC 4724), NOTIFICATIONs that keep routes and hard resets that do not (RFC 8538), graceful shutdown (RFC 8326),
//! shutdown texts (RFC 9003), the send hold timer (RFC 9687), BFD as a reason (RFC 9384).
//!
//! # What does not happen
//!
//! - A peer that does not read makes nothing grow: at most a window of octets waits for it, and the difference is computed
//!   anew when there is room.
//! - A peer that sends much, or anything, makes nothing grow: less than one message is kept, and no route.
//! - A route that did not change is not sent. A change is sent at once; nothing waits for more changes.
//! - Nothing is told before the wanted routes are known, not even that they are complete: a peer that kept routes through
//!   a restart would drop them.
//!
//! # How it is driven
//!
//! One task per peer owns a [`Peer`] and its sockets. It waits for whatever comes first: a socket that can be read or
//! written, [`Peer::poll_timeout`], other routes. Then, in this order:
//!
//! 1. [`Peer::handle`] what happened: what was read, before [`Event::Timer`]. A read takes a few ten thousand octets, then
//!    the task yields, so that a peer that floods shares the thread.
//! 2. Carry out each [`Peer::poll_action`]. [`Action::Connect`]: a socket with password, TTL, source and device as
//!    configured, in a task that ends in [`Event::Connected`] or [`Event::ConnectFailed`]. [`Action::Close`]: hand the
//!    connection and its last words to a task of half a second, and forget it.
//! 3. Write [`Peer::output`] of each connection until the socket takes no more, each time followed by [`Event::Written`],
//!    until it is empty.
//! 4. Publish [`Peer::status`].
//!
//! A listener is shared: it finds the peer by the address that calls, and asks [`Peer::accept`].
//!
//! ```
//! use std::{net::IpAddr, sync::Arc, time::{Duration, Instant}};
//! use lb_bgp::{Action, Asn, Event, Peer, PeerAs, PeerConfig, PeerState, Prefix, RouterId, Routes};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ours, theirs) = (Asn::new(64512).ok_or("AS 0")?, Asn::new(64513).ok_or("AS 0")?);
//! let id = RouterId::new("192.0.2.1".parse()?).ok_or("identifier 0")?;
//! let config = PeerConfig::new(ours, PeerAs::Exactly(theirs), id);
//!
//! let now = Instant::now();
//! let mut peer = Peer::new(now, config, false, 7)?;
//! let address: IpAddr = "198.51.100.1".parse()?;
//! peer.set_routes(Arc::new(Routes::from([(Prefix::host(address), Arc::default())])));
//!
//! assert_eq!(peer.poll_timeout(), Some(now));
//! peer.handle(now, Event::Timer);
//! let Some(Action::Connect(conn)) = peer.poll_action() else { panic!("it dials") };
//! peer.handle(now, Event::Connected { conn, local: "192.0.2.1".parse()? });
//! let open = peer.output(now, conn).len();
//! peer.handle(now, Event::Written { conn, count: open });
//! assert_eq!(peer.status().state, PeerState::OpenSent);
//!
//! // The peer never answers.
//! let now = now + Duration::from_secs(240);
//! peer.handle(now, Event::Timer);
//! assert!(matches!(peer.poll_action(), Some(Action::Close { .. })));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod config;
mod frame;
mod jitter;
mod notification;
mod open;
mod output;
mod peer;
mod rib;
mod route;
mod session;
mod status;
mod types;
mod wire;

pub use self::{
    config::{ConfigError, HoldTime, PeerAs, PeerConfig, RestartTime},
    notification::Notification,
    open::{GracefulRestart, Negotiated},
    peer::{Action, ConnId, Event, Peer, Stop},
    route::{Community, CommunityError, LargeCommunity, NextHop, NextHops, PathAttributes, Routes, Untellable},
    status::{Counters, Down, Messages, PeerState, Status},
    types::{Asn, Families, Family, PerFamily, Prefix, RouterId},
};
