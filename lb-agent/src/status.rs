//! Writes what the agent knows into the store: its LoadBalancerNode, and the status of VirtualIPs it holds.
//!
//! A VirtualIP's status is written on this node's own transition only, and names only this node. The
//! LoadBalancerNode is written on change, at most once in ten seconds. Neither is on the way of an answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lb_api::{
    LoadBalancerNode, LoadBalancerNodeSpec, LoadBalancerNodeStatus, VirtualIP, VirtualIPStatus, node::LeaseStatus,
    virtual_ip::name_of,
};
use lb_plan::agent::{Held, peers};
use lb_store::{CreateError, Listing, Reflector, Store, UpdateError};
use tokio::{sync::watch, time::Instant};

use crate::{args::Run, bgp::SpeakerStatus, routing, view::View};

/// Between two writes of the LoadBalancerNode.
const NODE_INTERVAL: Duration = Duration::from_secs(10);
/// Statuses written between two looks at the store: each may wake every reader.
const BATCH: usize = 100;
/// Between two batches.
const PAUSE: Duration = Duration::from_millis(200);

/// Publishes until the store stops.
pub(crate) async fn publish(
    store: Store,
    args: Run,
    mut virtual_ips: Reflector<VirtualIP>,
    mut view: watch::Receiver<View>,
    sessions: Option<watch::Receiver<SpeakerStatus>>,
) -> anyhow::Result<()> {
    virtual_ips.ready().await.context("read the first VirtualIPs")?;
    // The others have to know this node before it holds anything.
    view.wait_for(|view| view.passes > 0).await.context("wait for the first pass")?;
    let mut writer =
        Writer { store, node: args.node, sessions, last: None, settled: None, trouble: Trouble::default() };
    let mut node_due = Instant::now();
    loop {
        let now = view.borrow_and_update().clone();
        let more = if now.passes > 0 { writer.virtual_ips(&now.held, &virtual_ips.current()).await } else { false };
        if now.passes > 0 && Instant::now() >= node_due && writer.node(&now).await {
            node_due = Instant::now() + NODE_INTERVAL;
        }
        let pause = if more { PAUSE } else { PAUSE * 5 };
        tokio::time::sleep(writer.trouble.wait().unwrap_or(pause)).await;
    }
}

/// What a look saw.
type Seen = (Arc<[Held]>, Arc<Listing<VirtualIP>>);

struct Writer {
    store: Store,
    node: String,
    sessions: Option<watch::Receiver<SpeakerStatus>>,
    last: Option<LoadBalancerNodeStatus>,
    /// What was looked at when nothing was left to write.
    settled: Option<Seen>,
    trouble: Trouble,
}

/// Writes that the store refuses in a row. Many agents must not press a server that is weak already.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    told: String,
    /// Where the next batch begins, so that one object that is always refused holds up no other.
    begin: usize,
}

impl Trouble {
    const LONGEST: Duration = Duration::from_secs(60);

    /// How long to leave the store alone; `None` if the last writes went well.
    fn wait(&self) -> Option<Duration> {
        let doubled = PAUSE * 5 * 2_u32.saturating_pow(self.failures.saturating_sub(1).min(16));
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

impl Writer {
    /// Writes what has changed of the VirtualIPs; whether there is more to write.
    async fn virtual_ips(&mut self, held: &Arc<[Held]>, listing: &Arc<Listing<VirtualIP>>) -> bool {
        let same = |(old, seen): &Seen| Arc::ptr_eq(old, held) && Arc::ptr_eq(seen, listing);
        if self.settled.as_ref().is_some_and(same) {
            return false;
        }
        let due = transitions(&self.node, held, listing);
        self.settled = due.is_empty().then(|| (Arc::clone(held), Arc::clone(listing)));
        let begin = if due.is_empty() { 0 } else { self.trouble.begin % due.len() };
        for (object, status) in due.iter().cycle().skip(begin).take(BATCH.min(due.len())) {
            let written = VirtualIP { status: Some(status.clone()), ..VirtualIP::clone(object) };
            match self.store.write_status(&written).await {
                // It has changed or gone since: the next look sees how.
                Ok(_) | Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => {}
                Err(error) => {
                    self.trouble.begin = begin.wrapping_add(1);
                    self.trouble.failed(anyhow::Error::new(error));
                    return true;
                }
            }
        }
        self.trouble = Trouble::default();
        due.len() > BATCH
    }

    /// Writes the LoadBalancerNode if it has changed; whether it was written.
    async fn node(&mut self, view: &View) -> bool {
        let status = LoadBalancerNodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            discriminator: peers::discriminator(&self.node).get(),
            interfaces: view.interfaces.to_vec(),
            lease: LeaseStatus {
                duration_seconds: u32::try_from(view.lease.duration_millis / 1_000).unwrap_or(u32::MAX),
                state: view.lease.state,
            },
            sessions: routing::shown(self.sessions.as_ref()),
            ..LoadBalancerNodeStatus::default()
        };
        if self.last.as_ref() == Some(&status) {
            return false;
        }
        match self.write_node(&status).await {
            Ok(()) => self.last = Some(status),
            Err(error) => tracing::warn!("publish LoadBalancerNode {}: {error:#}", self.node),
        }
        true
    }

    async fn write_node(&self, status: &LoadBalancerNodeStatus) -> anyhow::Result<()> {
        let mut node = LoadBalancerNode::new(&self.node, LoadBalancerNodeSpec {});
        match self.store.create(&node).await {
            Ok(_) | Err(CreateError::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        node.status = Some(LoadBalancerNodeStatus { updated_at: Some(Time(Timestamp::now())), ..status.clone() });
        self.store.write_status(&node).await?;
        Ok(())
    }
}

/// Takes this node's name out of every VirtualIP: it has let go.
pub(crate) async fn clear(store: &Store, node: &str, virtual_ips: &Reflector<VirtualIP>) {
    for (object, status) in transitions(node, &[], &virtual_ips.current()) {
        let written = VirtualIP { status: Some(status), ..VirtualIP::clone(&object) };
        if let Err(error) = store.write_status(&written).await {
            tracing::warn!("{:#}", anyhow::Error::new(error));
        }
    }
}

/// The statuses that this node has to write: it holds and is not named, or is named and does not hold.
fn transitions(node: &str, held: &[Held], listing: &Listing<VirtualIP>) -> Vec<(Arc<VirtualIP>, VirtualIPStatus)> {
    let held: BTreeMap<String, &Held> = held.iter().map(|held| (name_of(held.address), held)).collect();
    let mut due = Vec::new();
    for (key, object) in &listing.objects {
        let named = object.status.as_ref().and_then(|status| status.holder.as_deref()) == Some(node);
        let status = || object.status.clone().unwrap_or_default();
        let next = match held.get(&key.name) {
            Some(held) if !named => VirtualIPStatus {
                holder: Some(node.to_owned()),
                since: Some(Time(Timestamp::now())),
                why: Some(held.why.word().to_owned()),
                ..status()
            },
            None if named => VirtualIPStatus { holder: None, since: None, why: None, ..status() },
            Some(_) | None => continue,
        };
        due.push((Arc::clone(object), next));
    }
    due
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
