//! The statuses of VirtualIPs: in batches, so that thousands of addresses that move at once do not press the store.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use lb_api::{LoadBalancerNode, VirtualIP, node::LeaseState};
use lb_bfd::initiator::Reading;
use lb_plan::agent::{Holding, Mac, Moment, Scene, Teller, Telling};
use lb_store::{Key, Listing, Reflector, Store, UpdateError};

use super::{Sources, Trouble, owner_ended};
use crate::{clock, liveness::Readings};

/// Statuses written between two looks at the store: each may wake every reader.
const BATCH: usize = 100;
/// Between two batches, and two looks.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn publish(store: Store, node: String, mut sources: Sources) -> anyhow::Result<()> {
    sources.virtual_ips.ready().await.context("read the first VirtualIPs")?;
    sources.view.wait_for(|view| view.passes > 0).await.context("wait for the first pass")?;
    let mut writer =
        Writer { store, teller: Teller::new(node.clone()), node, settled: None, begin: 0, trouble: Trouble::default() };
    loop {
        let view = sources.view.borrow_and_update().clone();
        let seen = Seen {
            held: view.held,
            strangers: view.strangers,
            peers: view.peers,
            virtual_ips: sources.virtual_ips.current(),
            nodes: sources.nodes.current(),
        };
        let more = writer.look(seen).await;
        tokio::time::sleep(writer.trouble.wait().unwrap_or(PAUSE)).await;
        if more || writer.trouble.wait().is_some() {
            continue;
        }
        tokio::select! {
            changed = sources.view.changed() => if changed.is_err() { return owner_ended().await },
            changed = sources.virtual_ips.changed() => changed.context("follow the VirtualIPs")?,
            changed = sources.nodes.changed() => changed.context("follow the LoadBalancerNodes")?,
        }
    }
}

/// What a look saw.
struct Seen {
    held: Arc<[Holding]>,
    strangers: Arc<BTreeMap<IpAddr, Mac>>,
    peers: Arc<Readings>,
    virtual_ips: Arc<Listing<VirtualIP>>,
    nodes: Arc<Listing<LoadBalancerNode>>,
}

impl Seen {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.held, &other.held)
            && Arc::ptr_eq(&self.strangers, &other.strangers)
            && Arc::ptr_eq(&self.peers, &other.peers)
            && Arc::ptr_eq(&self.virtual_ips, &other.virtual_ips)
            && Arc::ptr_eq(&self.nodes, &other.nodes)
    }

    /// Whether a node would take an address: its agent has told of itself, and nobody knows that it is down or leaves.
    fn stands_by(&self, node: &str) -> bool {
        let key = Key::cluster_scoped(node);
        let told = self.nodes.objects.get(&key).and_then(|node| node.status.as_ref());
        let mut sessions =
            self.peers.iter().filter(|((_, name), _)| name == node).map(|(_, reading)| reading).peekable();
        let unwatched = sessions.peek().is_none();
        let lives = sessions.any(|reading| matches!(reading, Reading::Up | Reading::Unknown { .. }));
        told.is_some_and(|told| told.lease.state == LeaseState::Held) && (unwatched || lives)
    }
}

struct Writer {
    store: Store,
    node: String,
    teller: Teller,
    /// What was looked at when nothing was left to write.
    settled: Option<Seen>,
    /// Where the next batch begins, so that one object that is always refused holds up no other.
    begin: usize,
    trouble: Trouble,
}

impl Writer {
    /// Writes what has changed; whether there is more to write.
    async fn look(&mut self, seen: Seen) -> bool {
        if self.settled.as_ref().is_some_and(|settled| settled.is(&seen)) {
            return false;
        }
        let scene = Scene {
            now: moment(),
            holdings: &seen.held,
            strangers: &seen.strangers,
            stands_by: &|node| seen.stands_by(node),
        };
        let due = self.teller.due(scene, seen.virtual_ips.objects.values());
        self.settled = (due.is_empty() && !self.teller.waits()).then_some(seen);
        let begin = if due.is_empty() { 0 } else { self.begin % due.len() };
        for telling in due.iter().cycle().skip(begin).take(BATCH.min(due.len())) {
            let written = VirtualIP { status: Some(telling.status.clone()), ..VirtualIP::clone(&telling.object) };
            match self.store.write_status(&written).await {
                Ok(_) => {
                    self.teller.written(clock::monotonic(), telling);
                    self.tell(telling).await;
                }
                // It has changed or gone since: the next look sees how.
                Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => {}
                Err(error) => {
                    self.begin = begin.wrapping_add(1);
                    self.trouble.failed(anyhow::Error::new(error));
                    return true;
                }
            }
        }
        (self.begin, self.trouble) = (0, Trouble::default());
        !due.is_empty()
    }

    /// What cannot be told to people stops nothing, and is not told again: the status says the same.
    async fn tell(&self, telling: &Telling) {
        for event in telling.events(&self.node, Timestamp::now()) {
            if let Err(error) = self.store.create(&event).await {
                tracing::debug!("{:#}", anyhow::Error::new(error));
            }
        }
    }
}

/// Takes this node's name out of every VirtualIP: it has let go.
pub(crate) async fn clear(store: &Store, node: &str, virtual_ips: &Reflector<VirtualIP>) {
    let nothing = BTreeMap::new();
    let scene = Scene { now: moment(), holdings: &[], strangers: &nothing, stands_by: &|_| false };
    for telling in Teller::new(node.to_owned()).due(scene, virtual_ips.current().objects.values()) {
        let written = VirtualIP { status: Some(telling.status), ..VirtualIP::clone(&telling.object) };
        if let Err(error) = store.write_status(&written).await {
            tracing::warn!("{:#}", anyhow::Error::new(error));
        }
    }
}

fn moment() -> Moment {
    Moment { monotonic: clock::monotonic(), wall: Timestamp::now() }
}
