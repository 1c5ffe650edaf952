//! The LoadBalancerNode: others reach and know this node by it, so what they need is written at once, and an object
//! that somebody deleted is made again at once.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lb_api::{
    LoadBalancerNode, LoadBalancerNodeSpec, LoadBalancerNodeStatus,
    node::{LeaseStatus, PeerSession, PeerState},
};
use lb_bfd::initiator::Reading;
use lb_plan::agent::{
    pace::{Pace, Urgency},
    peers,
};
use lb_store::{CreateError, Key, Store};

use super::{Sources, Trouble, owner_ended};
use crate::{
    clock,
    liveness::{Readings, Whom},
    routing,
    view::View,
};

/// Between two looks at what may have changed without a sign.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn publish(store: Store, node: String, mut sources: Sources) -> anyhow::Result<()> {
    // The others have to know this node before it holds anything.
    if sources.view.wait_for(|view| view.passes > 0).await.is_err() {
        return owner_ended().await;
    }
    sources.nodes.ready().await.context("read the first LoadBalancerNodes")?;
    let mut writer =
        Writer { store, node, last: None, peers: BTreeMap::new(), pace: Pace::default(), trouble: Trouble::default() };
    loop {
        let wait = writer.look(&mut sources).await;
        tokio::select! {
            () = tokio::time::sleep(wait.unwrap_or(LOOK)) => {}
            changed = sources.view.changed(), if wait.is_none() => if changed.is_err() { return owner_ended().await },
            changed = sources.nodes.changed(), if wait.is_none() => changed.context("follow the LoadBalancerNodes")?,
        }
    }
}

struct Writer {
    store: Store,
    node: String,
    /// What stands in the store.
    last: Option<LoadBalancerNodeStatus>,
    /// What is known of whom, and since when.
    peers: BTreeMap<Whom, (PeerState, Timestamp)>,
    pace: Pace,
    trouble: Trouble,
}

impl Writer {
    /// Writes what is due; how long to wait before anything may be written, if something waits.
    async fn look(&mut self, sources: &mut Sources) -> Option<Duration> {
        let view = sources.view.borrow_and_update().clone();
        self.notice(&view.peers);
        let status = self.status(&view, sources);
        let urgency = match &self.last {
            _ if self.is_gone(sources).await => Urgency::Needed,
            None => Urgency::Needed,
            Some(last) if *last == status => return None,
            Some(last) => urgency(last, &status),
        };
        let now = clock::monotonic();
        let due = self.pace.due(urgency);
        if due > now {
            // Something more urgent may come meanwhile.
            return Some((due - now).min(LOOK));
        }
        self.pace.wrote(now);
        match self.write(&status).await {
            Ok(()) => {
                self.last = Some(status);
                self.trouble = Trouble::default();
            }
            Err(error) => self.trouble.failed(error.context(format!("publish LoadBalancerNode {}", self.node))),
        }
        self.trouble.wait()
    }

    /// Keeps since when each session is as it is.
    fn notice(&mut self, readings: &Readings) {
        self.peers.retain(|whom, _| readings.contains_key(whom));
        for (whom, reading) in readings {
            let state = state(*reading);
            if self.peers.get(whom).is_none_or(|(before, _)| *before != state) {
                self.peers.insert(whom.clone(), (state, Timestamp::now()));
            }
        }
    }

    fn status(&self, view: &View, sources: &Sources) -> LoadBalancerNodeStatus {
        LoadBalancerNodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            discriminator: peers::discriminator(&self.node).get(),
            interfaces: view.interfaces.to_vec(),
            lease: LeaseStatus {
                duration_seconds: u32::try_from(view.lease.duration_millis / 1_000).unwrap_or(u32::MAX),
                state: view.lease.state,
            },
            sessions: routing::shown(sources.sessions.as_ref()),
            peers: self.peers.iter().map(|(whom, seen)| session(view, whom, *seen)).collect(),
            proxy: view.proxy,
            ..LoadBalancerNodeStatus::default()
        }
    }

    /// Whether what was written is there no more. A listing may be older than the write.
    async fn is_gone(&self, sources: &mut Sources) -> bool {
        let key = Key::cluster_scoped(&self.node);
        let is_gone = |sources: &mut Sources| sources.nodes.current().is_gone(&key);
        self.last.is_some() && is_gone(sources) && self.store.sync().await.is_ok() && is_gone(sources)
    }

    async fn write(&self, status: &LoadBalancerNodeStatus) -> anyhow::Result<()> {
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

/// Segments are named by the interface of this node that stands for them.
fn session(view: &View, (segment, node): &Whom, (state, since): (PeerState, Timestamp)) -> PeerSession {
    let named = view.interfaces.iter().find(|interface| interface.index == *segment);
    PeerSession {
        node: node.clone(),
        interface: named.map_or_else(|| segment.to_string(), |interface| interface.name.clone()),
        state,
        since: Some(Time(since)),
    }
}

const fn state(reading: Reading) -> PeerState {
    match reading {
        Reading::Unknown { .. } => PeerState::Unknown,
        Reading::Up => PeerState::Up,
        Reading::AdminDown => PeerState::AdminDown,
        Reading::Down => PeerState::Down,
    }
}

/// What others know and reach this node by, and judge themselves by, cannot wait; what it says of its sessions can.
fn urgency(last: &LoadBalancerNodeStatus, status: &LoadBalancerNodeStatus) -> Urgency {
    let needed = |status: &LoadBalancerNodeStatus| {
        (status.version.clone(), status.discriminator, status.interfaces.clone(), status.lease.clone(), status.proxy)
    };
    if needed(last) == needed(status) { Urgency::News } else { Urgency::Needed }
}

#[cfg(test)]
mod tests {
    use lb_api::node::{BgpSession, Interface};

    use super::*;

    #[test]
    fn a_changed_hardware_address_is_needed_and_a_session_is_news() {
        let of = |mac: &str| LoadBalancerNodeStatus {
            interfaces: vec![Interface { mac: mac.into(), ..Interface::default() }],
            ..LoadBalancerNodeStatus::default()
        };
        let before = of("02:00:00:00:00:01");
        let session = LoadBalancerNodeStatus { sessions: vec![BgpSession::default()], ..before.clone() };

        assert_eq!(urgency(&before, &of("02:00:00:00:00:02")), Urgency::Needed);
        assert_eq!(urgency(&before, &session), Urgency::News);
    }
}
