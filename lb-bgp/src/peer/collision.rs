//! Two connections with one peer: one stays.
//!
//! Both sides come to the same choice, because both compare the same two numbers.
//! Spec: RFC 4271 §6.8, RFC 6286 §2.3 (equal identifiers), RFC 4724 §5 (a restarted peer connects anew).

use std::time::{Duration, Instant};

use super::{Action, ConnId, Dial, Direction, Peer};
use crate::{config::PeerConfig, notification::Notification, open::Negotiated};

/// A second connection this soon after the first was made at the same time, not by a peer that has restarted.
const SAME_TIME: Duration = Duration::from_secs(10);

impl Peer {
    /// The OPEN of `conn` was taken: closes it or the other one, if the other one has come as far (§6.8).
    pub(super) fn resolve(&mut self, now: Instant, conn: ConnId) {
        let Some(direction) = self.direction(conn) else { return };
        let other = match direction {
            Direction::Outgoing => Direction::Incoming,
            Direction::Incoming => Direction::Outgoing,
        };
        let config = std::sync::Arc::clone(&self.config);
        let Some(other_link) = self.slot(other) else { return };
        let other_conn = other_link.conn;
        let loser = match other_link.session.agreed() {
            None => return, // Still in OpenSent: its OPEN decides.
            Some(_) if other_link.session.established().is_some() => conn,
            Some(agreed) => match (kept(&config, agreed), direction) {
                (Direction::Outgoing, Direction::Outgoing) | (Direction::Incoming, Direction::Incoming) => other_conn,
                (Direction::Outgoing, Direction::Incoming) | (Direction::Incoming, Direction::Outgoing) => conn,
            },
        };
        self.lose(now, loser);
    }

    /// `conn` is Established: nothing else is needed.
    pub(super) fn settle_collision(&mut self, now: Instant, conn: ConnId) {
        if let Dial::Connecting { conn: dialled, .. } = self.dial {
            self.actions.push_back(Action::Close { conn: dialled, last_words: Vec::new() });
        }
        if self.dial != Dial::Stopped {
            self.dial = Dial::Rest;
        }
        let others: Vec<ConnId> = self.links().map(|link| link.conn).filter(|other| *other != conn).collect();
        others.into_iter().for_each(|other| self.lose(now, other));
    }

    /// The connection that is Established.
    pub(super) fn established_conn(&self) -> Option<ConnId> {
        self.links().find(|link| link.session.established().is_some()).map(|link| link.conn)
    }

    /// Whether a peer that connects anew has restarted: both know graceful restart, and the session is not brand new.
    pub(super) fn may_replace(&self, now: Instant) -> bool {
        self.links().filter_map(|link| Some((link.session.established()?, link.session.agreed()?))).any(
            |(up, agreed)| {
                self.config.graceful_restart.is_some()
                    && agreed.graceful_restart.is_some()
                    && now.saturating_duration_since(up.since) >= SAME_TIME
            },
        )
    }

    fn lose(&mut self, now: Instant, conn: ConnId) {
        if let Some(over) = self.link_mut(conn).map(|link| link.session.fail(Notification::COLLISION)) {
            self.over(now, conn, over);
        }
    }
}

/// Of two connections the one made by the side with the higher identifier stays; equal ones are told apart by AS.
fn kept(config: &PeerConfig, agreed: &Negotiated) -> Direction {
    match (config.router_id, config.local_as) > (agreed.peer_router_id, agreed.peer_as) {
        true => Direction::Outgoing,
        false => Direction::Incoming,
    }
}
