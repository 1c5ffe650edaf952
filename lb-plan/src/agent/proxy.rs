//! Whether kube-proxy, or what replaces it, carries packets from this node to the Pods (rule 10 of ownership).
//!
//! Its health port is asked; what that says is published, because a node gains nothing by leaving when no other is
//! better off. Pure.

use std::time::Duration;

use lb_api::node::ProxyState;

use crate::ownership::Proxy;

/// A proxy that has not been healthy since this agent's start may still be starting.
const START: Duration = Duration::from_secs(10);

/// What the health port said so far.
#[derive(Debug, Clone)]
pub struct ProxyHealth {
    began: Duration,
    was_healthy: bool,
    now: ProxyState,
}

impl ProxyHealth {
    /// Nothing yet.
    pub const fn new(now: Duration) -> Self {
        Self { began: now, was_healthy: false, now: ProxyState::Unhealthy }
    }

    /// It was asked: it said that it is healthy, or anything else, or nothing.
    pub fn answered(&mut self, healthy: bool) {
        self.was_healthy |= healthy;
        self.now = if healthy { ProxyState::Healthy } else { ProxyState::Unhealthy };
    }

    /// What this node publishes.
    pub const fn state(&self) -> ProxyState {
        self.now
    }

    /// What counts, given what the other nodes publish; those that do not ask theirs say nothing.
    pub fn judge(&self, now: Duration, mut others: impl Iterator<Item = ProxyState>) -> Proxy {
        if self.now == ProxyState::Healthy {
            return Proxy::Synced;
        }
        if !self.was_healthy && now < self.began + START {
            return Proxy::Pending;
        }
        let everywhere = others.all(|state| state == ProxyState::Unhealthy);
        // Where no node has one, nothing can be waited for.
        if everywhere && !self.was_healthy { Proxy::Synced } else { Proxy::Unhealthy { everywhere } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: ProxyState = ProxyState::Healthy;
    const UNHEALTHY: ProxyState = ProxyState::Unhealthy;

    /// After these answers, so many seconds after the start, among such nodes.
    fn judged(answers: &[bool], seconds: u64, others: &[ProxyState]) -> Proxy {
        let mut health = ProxyHealth::new(Duration::from_secs(100));
        answers.iter().for_each(|healthy| health.answered(*healthy));
        health.judge(Duration::from_secs(100 + seconds), others.iter().copied())
    }

    #[test]
    fn nothing_is_claimed_before_it_was_healthy() {
        assert_eq!(judged(&[], 0, &[HEALTHY]), Proxy::Pending);
        assert_eq!(judged(&[false], 9, &[UNHEALTHY]), Proxy::Pending);
        assert_eq!(judged(&[false, true], 9, &[UNHEALTHY]), Proxy::Synced);
        assert_eq!(judged(&[false], 60, &[UNHEALTHY, HEALTHY]), Proxy::Unhealthy { everywhere: false });
    }

    #[test]
    fn where_no_node_has_one_nobody_waits_for_it() {
        assert_eq!(judged(&[false], 10, &[UNHEALTHY, UNHEALTHY]), Proxy::Synced);
        assert_eq!(judged(&[false], 10, &[]), Proxy::Synced);
    }

    #[test]
    fn one_that_fell_ill_is_told_from_one_that_is_ill_on_every_node() {
        assert_eq!(judged(&[true, false], 60, &[HEALTHY, UNHEALTHY]), Proxy::Unhealthy { everywhere: false });
        assert_eq!(judged(&[true, false], 60, &[UNHEALTHY]), Proxy::Unhealthy { everywhere: true });
        assert_eq!(judged(&[true, false, true], 60, &[UNHEALTHY]), Proxy::Synced);
    }
}
