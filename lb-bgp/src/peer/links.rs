//! The connections of a peer: found, made, ended, and what follows from their end.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Action, ConnId, Dial, Direction, Link, Peer};
use crate::{
    session::{Over, Session},
    status::Down,
};

/// A session that was up for so long was a success: the next attempt follows soon.
const STABLE: Duration = Duration::from_secs(30);

impl Peer {
    /// A session has come to its end by itself: the connection is closed behind its last words.
    pub(super) fn over(&mut self, now: Instant, conn: ConnId, over: Over) {
        let Some(direction) = self.direction(conn) else { return };
        self.actions.push_back(Action::Close { conn, last_words: over.last_words });
        self.forget(now, direction, over.down);
    }

    /// Ends a connection without a word.
    pub(super) fn drop_link(&mut self, now: Instant, conn: ConnId, down: Down) {
        if let Some(over) = self.link_mut(conn).map(|link| link.session.closed(down)) {
            self.over(now, conn, over);
        }
    }

    /// A connection is gone: keeps what it leaves behind, and plans the next one.
    pub(super) fn forget(&mut self, now: Instant, direction: Direction, down: Down) {
        let Some(link) = self.slot(direction).take() else { return };
        self.past += link.session.counters();
        self.last_malformed = link.session.last_malformed().map(str::to_owned).or(self.last_malformed.take());
        let up_for = link.session.established().map(|up| now.saturating_duration_since(up.since));
        if up_for.is_none() && self.links().next().is_some() {
            return; // The other one of a collision goes on.
        }
        self.last_down = Some(down.clone());
        self.actions.push_back(if up_for.is_some() { Action::Down(down) } else { Action::Failed(down) });
        if self.dial == Dial::Rest && self.links().next().is_none() {
            self.retry(now, up_for.unwrap_or_default());
        }
    }

    /// An attempt to connect has failed.
    pub(super) fn failed(&mut self, now: Instant, down: Down) {
        self.last_down = Some(down.clone());
        self.actions.push_back(Action::Failed(down));
        self.retry(now, Duration::ZERO);
    }

    /// Plans the next attempt. `up_for`: how long the session before it was up.
    pub(super) fn retry(&mut self, now: Instant, up_for: Duration) {
        if up_for >= STABLE {
            self.backoff.reset();
        }
        self.dial = match self.config.passive {
            true => Dial::Rest,
            false => Dial::Wait { until: now + self.backoff.next(&mut self.jitter) },
        };
    }

    pub(super) fn link(&mut self, now: Instant, conn: ConnId, local: IpAddr) -> Link {
        let session = Session::new(now, Arc::clone(&self.config), local, self.restarted, self.jitter.fork());
        Link { conn, session }
    }

    pub(super) const fn conn_id(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    pub(super) fn is_connecting(&self, conn: ConnId) -> bool {
        matches!(self.dial, Dial::Connecting { conn: of, .. } if of == conn)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.outgoing.iter().chain(&self.incoming)
    }

    pub(super) fn links_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.outgoing.iter_mut().chain(&mut self.incoming)
    }

    pub(super) fn link_mut(&mut self, conn: ConnId) -> Option<&mut Link> {
        self.links_mut().find(|link| link.conn == conn)
    }

    pub(super) const fn slot(&mut self, direction: Direction) -> &mut Option<Link> {
        match direction {
            Direction::Outgoing => &mut self.outgoing,
            Direction::Incoming => &mut self.incoming,
        }
    }

    pub(super) fn direction(&self, conn: ConnId) -> Option<Direction> {
        let holds = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.conn == conn);
        if holds(&self.outgoing) {
            return Some(Direction::Outgoing);
        }
        holds(&self.incoming).then_some(Direction::Incoming)
    }
}
