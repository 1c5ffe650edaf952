//! Two connections with one peer: one stays.
//!
//! By RFC 4271 §6.8 both sides choose, the one made by the side of the higher identifier, unless one is Established. They
//! may choose at different moments, one of them when a connection is Established on its side only, and then close one
//! each. So here the side of the higher identifier chooses alone, as soon as an OPEN says who the other one is, and the
//! other side waits to be told. Towards a speaker that also chooses on the lower side the choice is the same.
//!
//! Spec: RFC 4271 §6.8, RFC 6286 §2.3 (equal identifiers), RFC 4724 §5 (a restarted peer connects anew).

use std::time::{Duration, Instant};

use super::{Action, ConnId, Dial, Link, Peer};
use crate::{config::PeerConfig, notification::Notification, open::Negotiated};

/// A second connection this soon after the first was made at the same time, not by a peer that has restarted.
const SAME_TIME: Duration = Duration::from_secs(10);

impl Peer {
    /// The OPEN of `conn` was taken: if we choose, one of two connections is closed now.
    pub(super) fn resolve(&mut self, now: Instant, conn: ConnId) {
        // The peer has not seen our OPEN on a connection that is still being made, so it does not choose it.
        self.hang_up();
        let Some(agreed) = self.link_mut(conn).and_then(|link| link.session.agreed().cloned()) else { return };
        let Some(incoming) = self.incoming.as_ref().map(|link| link.conn) else { return };
        if self.outgoing.is_none() || !chooses(&self.config, &agreed) {
            return;
        }
        let loser = if self.established_conn().is_some() { conn } else { incoming };
        self.lose(now, loser);
    }

    /// `conn` is Established.
    pub(super) fn settle_collision(&mut self, now: Instant, conn: ConnId) {
        self.hang_up();
        let agreed = self.link_mut(conn).and_then(|link| link.session.agreed()).cloned();
        let ours = agreed.is_some_and(|agreed| chooses(&self.config, &agreed));
        let loses = |link: &&Link| link.conn != conn && (ours || link.session.established().is_some());
        let losers: Vec<ConnId> = self.links().filter(loses).map(|link| link.conn).collect();
        losers.into_iter().for_each(|loser| self.lose(now, loser));
    }

    /// Gives up a connection that is being made.
    fn hang_up(&mut self) {
        if let Dial::Connecting { conn, .. } = self.dial {
            self.actions.push_back(Action::Close { conn, last_words: Vec::new() });
        }
        if self.dial != Dial::Stopped {
            self.dial = Dial::Rest;
        }
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

/// Whether ours is the higher identifier; equal ones are told apart by AS.
fn chooses(config: &PeerConfig, agreed: &Negotiated) -> bool {
    (config.router_id, config.local_as) > (agreed.peer_router_id, agreed.peer_as)
}
