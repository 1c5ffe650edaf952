//! Writes what the agent knows into the store: its LoadBalancerNode, and the statuses of VirtualIPs it holds.
//!
//! Neither is on the way of an answer, and neither waits for the other: each has its own back-off. What is due is
//! decided purely ([`lb_plan::agent::telling`], [`lb_plan::agent::pace`]).

use std::time::Duration;

use lb_api::{LoadBalancerNode, VirtualIP};
use lb_store::{Reflector, Store};
use tokio::sync::watch;

use crate::{bgp::SpeakerStatus, view::View};

mod addresses;
mod node;

pub(crate) use addresses::clear;

/// What the writers read.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) view: watch::Receiver<View>,
    pub(crate) virtual_ips: Reflector<VirtualIP>,
    pub(crate) nodes: Reflector<LoadBalancerNode>,
    pub(crate) sessions: Option<watch::Receiver<SpeakerStatus>>,
}

/// Publishes until the store stops.
pub(crate) async fn publish(store: Store, node: String, sources: Sources) -> anyhow::Result<()> {
    tokio::try_join!(
        addresses::publish(store.clone(), node.clone(), sources.clone()),
        node::publish(store, node, sources)
    )?;
    Ok(())
}

/// Nothing more is shown: the owner has ended, and how is for its own future to say.
async fn owner_ended() -> anyhow::Result<()> {
    std::future::pending().await
}

/// Writes that the store refuses in a row. Many agents must not press a server that is weak already.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    told: String,
}

impl Trouble {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);

    /// How long to leave the store alone; `None` if the last writes went well.
    fn wait(&self) -> Option<Duration> {
        let doubled = Self::FIRST * 2_u32.saturating_pow(self.failures.saturating_sub(1).min(16));
        (self.failures > 0).then(|| doubled.min(Self::LONGEST))
    }

    /// Told once as long as it stays the same.
    fn failed(&mut self, error: anyhow::Error) {
        self.failures = self.failures.saturating_add(1);
        let text = format!("{error:#}");
        if self.told != text {
            tracing::warn!("{text}");
            self.told = text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_refuses_is_left_alone_for_longer_each_time() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.wait(), None);
        let mut waits = Vec::new();
        for _ in 0..40 {
            trouble.failed(anyhow::anyhow!("refused"));
            waits.extend(trouble.wait());
        }
        assert_eq!(waits[..3], [1, 2, 4].map(Duration::from_secs));
        assert_eq!(waits.last(), Some(&Trouble::LONGEST));
    }
}
