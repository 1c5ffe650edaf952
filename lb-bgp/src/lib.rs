//! Herald's BGP speaker: it announces routes to a peer, and accepts none.
//!
//! Must not: open a socket, read a clock, spawn a task, or touch a route of the kernel. Everything is a value: events and
//! time go into a [`Peer`], [`Action`]s, octets and a deadline come out. The driver in `lb-agent` does the rest.
//!
//! Nobody outside of `wire/` sees the codec library, so it can be replaced.
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
