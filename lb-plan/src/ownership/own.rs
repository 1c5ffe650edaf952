//! This node itself: whether it may hold anything (rule 10), and what its reflector says.

use std::time::Duration;

use super::{
    input::{Health, Proxy, SelfTest},
    output::Reflect,
    rules::{Rule, Rules},
    timing::Timing,
};

/// How far this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Nothing it wrote counts.
    LeaseLost,
    /// Not ready to hold anything.
    WarmingUp,
    /// Holds what is its own, since it was ready.
    Ready { since: Duration },
    /// Holds what nobody has taken yet, and takes nothing.
    Draining,
}

/// What is known of this node.
#[derive(Debug, Clone, Hash)]
pub(super) struct Own {
    pub(super) lease: bool,
    pub(super) drain: bool,
    pub(super) health: Health,
    warm_since: Option<Duration>,
    unhealthy_since: Option<Duration>,
    stage: Stage,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            lease: false,
            drain: false,
            health: Health::default(),
            warm_since: None,
            unhealthy_since: None,
            stage: Stage::LeaseLost,
        }
    }
}

impl Own {
    pub(super) const fn stage(&self) -> Stage {
        self.stage
    }

    /// Skips the warm-up: the table stands in a lease that never ended.
    pub(super) const fn resume(&mut self, now: Duration) {
        self.warm_since = Some(now);
    }

    /// Works out the stage anew. Whether it changed.
    pub(super) fn update(&mut self, now: Duration, timing: &Timing, rules: Rules) -> bool {
        let before = self.stage;
        self.stage = self.work_out(now, timing, rules);
        before != self.stage
    }

    fn work_out(&mut self, now: Duration, timing: &Timing, rules: Rules) -> Stage {
        if !self.lease {
            self.warm_since = None;
            return Stage::LeaseLost;
        }
        let unhealthy = matches!(self.health.proxy, Proxy::Unhealthy { everywhere: false });
        self.unhealthy_since = unhealthy.then(|| self.unhealthy_since.unwrap_or(now));
        if self.warm_since.is_none() && (self.is_warm(now) || !rules.has(Rule::WarmUp)) {
            self.warm_since = Some(now);
        }
        let ill = self.unhealthy_since.is_some_and(|since| now >= since + timing.proxy_patience);
        match self.warm_since {
            _ if self.drain => Stage::Draining,
            Some(_) if ill && rules.has(Rule::WarmUp) => Stage::Draining,
            Some(since) => Stage::Ready { since },
            None => Stage::WarmingUp,
        }
    }

    fn is_warm(&self, now: Duration) -> bool {
        let proxy = matches!(self.health.proxy, Proxy::Synced);
        let tested = matches!(self.health.self_test, SelfTest::Passed | SelfTest::Alone);
        proxy && tested && now >= self.health.hold_down_until
    }

    /// When the stage may change by itself.
    pub(super) fn next(&self, now: Duration, timing: &Timing) -> Option<Duration> {
        let warm = Some(self.health.hold_down_until).filter(|_| self.warm_since.is_none());
        let ill = self.unhealthy_since.map(|since| since + timing.proxy_patience);
        [warm, ill].into_iter().flatten().filter(|due| *due > now).min()
    }

    pub(super) const fn reflects(&self) -> Reflect {
        match self.stage {
            Stage::Ready { .. } => Reflect::Up,
            Stage::LeaseLost | Stage::WarmingUp | Stage::Draining => Reflect::AdminDown,
        }
    }
}
