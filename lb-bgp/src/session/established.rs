//! The session that is up: what is told, refreshed, and how it is left.
//!
//! Spec: RFC 4271 §8.2.2 (Established), RFC 2918 §4 (refresh), RFC 8538 §4 (which ends are final).

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{Over, Session, State, clock::Clock};
use crate::{
    config::PeerConfig,
    notification::Notification,
    open::Negotiated,
    output::Output,
    rib::{AdjRibOut, Export},
    route::Routes,
    types::PerFamily,
    wire,
};

/// How long a peer that is left may take to read the withdrawals.
const LEAVE: Duration = Duration::from_secs(2);

/// The routes of a peer that is being left.
const NO_ROUTES: &Routes = &Routes::new();

/// A session that is up.
#[derive(Debug)]
pub(crate) struct Established {
    pub(super) agreed: Negotiated,
    pub(super) clock: Clock,
    pub(crate) since: Instant,
    pub(crate) rib: AdjRibOut,
    export: Export,
    leaving: Option<Leaving>,
}

/// Everything is withdrawn, then the session ends.
#[derive(Debug)]
struct Leaving {
    until: Instant,
    notification: Notification,
}

impl Established {
    pub(super) fn new(now: Instant, config: &PeerConfig, local: IpAddr, agreed: Negotiated, clock: Clock) -> Self {
        let next_hop = |family| config.next_hops.choose(family, local, agreed.extended_next_hop);
        let export = Export {
            local_as: config.local_as,
            internal: agreed.internal,
            families: agreed.families,
            next_hops: PerFamily::from_fn(next_hop),
            four_octet_as: agreed.four_octet_as,
            extended_message: agreed.extended_message,
            enhanced_refresh: agreed.enhanced_refresh,
            draining: false,
        };
        Self { agreed, clock, since: now, rib: AdjRibOut::default(), export, leaving: None }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.clock.heard(now, &self.agreed);
    }

    pub(super) fn take_refresh(&mut self, octets: &[u8]) -> Result<(), Notification> {
        match wire::decode_refresh(octets, self.agreed.enhanced_refresh)? {
            wire::Refresh::Asked(family) if self.agreed.families.contains(family) => self.rib.refresh(family),
            wire::Refresh::Asked(_) | wire::Refresh::Ignored => {}
        }
        Ok(())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaving.as_ref().map(|leaving| leaving.until)
    }

    /// The time to leave in good order is over.
    pub(super) fn must_go(&self, now: Instant) -> Option<Notification> {
        self.leaving.as_ref().filter(|leaving| now >= leaving.until).map(|leaving| leaving.notification.clone())
    }

    /// Every withdrawal is written: the last word can follow.
    pub(super) fn has_left(&self, output: &Output) -> Option<Notification> {
        let leaving = self.leaving.as_ref().filter(|_| self.rib.is_settled() && output.is_empty())?;
        Some(leaving.notification.clone())
    }
}

impl Session {
    /// What to write next: whatever waits, and as many routes as there is room for.
    ///
    /// `wanted`: `None` while nobody knows; nothing is told then, and End-of-RIB waits (RFC 4724 §4.1).
    pub(crate) fn output(&mut self, now: Instant, wanted: Option<&Routes>, draining: bool) -> &[u8] {
        self.fill(wanted, draining);
        self.watch_output(now);
        self.output.pending()
    }

    fn fill(&mut self, wanted: Option<&Routes>, draining: bool) {
        let State::Established(up) = &mut self.state else { return };
        let wanted = if up.leaving.is_some() { Some(NO_ROUTES) } else { wanted };
        let Some(wanted) = wanted else { return };
        if up.export.draining != draining {
            up.export.draining = draining;
            up.rib.unsettle();
        }
        while !up.rib.is_settled() && !self.output.is_full() {
            self.counters.sent.update += up.rib.fill(&up.export, wanted, &mut self.output);
        }
    }

    /// The wanted routes have changed.
    pub(crate) fn unsettle(&mut self) {
        if let State::Established(up) = &mut self.state {
            up.rib.unsettle();
        }
    }

    /// Withdraws everything and ends the session: at once if there is nothing to withdraw.
    pub(crate) fn leave(&mut self, now: Instant, notification: Notification) -> Option<Over> {
        let State::Established(up) = &mut self.state else { return Some(self.fail(notification)) };
        // A peer that restarts gracefully on NOTIFICATION would keep what is withdrawn too late (RFC 8538 §4).
        let notification = if up.agreed.hard_reset { notification.into_hard_reset() } else { notification };
        up.leaving = Some(Leaving { until: now + LEAVE, notification });
        up.rib.unsettle();
        let draining = up.export.draining;
        self.fill(None, draining);
        self.written(now, 0)
    }
}
