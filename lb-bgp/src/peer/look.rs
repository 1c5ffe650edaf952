//! What a peer looks like from outside.

use super::{Dial, Peer};
use crate::{
    config::PeerConfig,
    session::Session,
    status::{PeerState, Status},
};

impl Peer {
    /// A look at the peer, for status and metrics.
    #[must_use]
    pub fn status(&self) -> Status {
        let furthest = self.links().map(|link| &link.session).max_by_key(|session| progress(session));
        let up = furthest.and_then(Session::established);
        let mut counters = self.past;
        self.links().for_each(|link| counters += link.session.counters());
        Status {
            state: furthest.map_or_else(|| self.dial_state(), state),
            established_since: up.map(|up| up.since),
            negotiated: furthest.and_then(Session::agreed).cloned(),
            last_down: self.last_down.clone(),
            last_malformed: furthest
                .and_then(Session::last_malformed)
                .map(str::to_owned)
                .or_else(|| self.last_malformed.clone()),
            wanted: self.wanted.as_ref().map_or(0, |wanted| u64::try_from(wanted.len()).unwrap_or(u64::MAX)),
            told: up.map_or(0, |up| up.rib.told()),
            settled: up.is_some_and(|up| up.rib.is_settled()),
            untellable: up.map(|up| up.rib.untellable().clone()).unwrap_or_default(),
            counters,
        }
    }

    /// What it was made with.
    #[must_use]
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// Whether it was stopped and everything about it is over.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.dial == Dial::Stopped && self.links().next().is_none()
    }

    const fn dial_state(&self) -> PeerState {
        match self.dial {
            Dial::Stopped => PeerState::Stopped,
            Dial::Rest | Dial::Wait { .. } => PeerState::Active,
            Dial::Connecting { .. } => PeerState::Connect,
        }
    }
}

fn state(session: &Session) -> PeerState {
    match (session.agreed(), session.established()) {
        (_, Some(_)) => PeerState::Established,
        (Some(_), None) => PeerState::OpenConfirm,
        (None, None) => PeerState::OpenSent,
    }
}

/// How far a session has come.
fn progress(session: &Session) -> u8 {
    match (session.agreed(), session.established()) {
        (_, Some(_)) => 2,
        (Some(_), None) => 1,
        (None, None) => 0,
    }
}
