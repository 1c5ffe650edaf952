//! The owner's thread. What the agent writes, serves or asks elsewhere must not delay what this node answers: with
//! 10,000 addresses one look for statuses to write takes 5 ms.

use std::thread;

use anyhow::Context;
use lb_api::{LoadBalancerNode, VirtualIP};
use lb_plan::agent::Departure;
use lb_store::Reflector;
use tokio::sync::{oneshot, watch};

use super::Owner;
use crate::{args::Run, undo::Undo, view::View, xdp::pins::Pins};

/// Starts the owner on a thread and a runtime of its own. Returns once the kernel program is loaded and its maps are
/// pinned; the future that it gives ends with the owner, which ends as `stop` says.
pub(crate) async fn start(
    args: Run,
    pins: Pins,
    undo: Undo,
    virtual_ips: Reflector<VirtualIP>,
    nodes: Reflector<LoadBalancerNode>,
    published: watch::Sender<View>,
    stop: oneshot::Receiver<Departure>,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let (started, has_started) = oneshot::channel();
    let (ended, has_ended) = oneshot::channel();
    let work = move || {
        let result = run(started, stop, || Owner::start(args, pins, undo, virtual_ips, nodes, published));
        // Nobody listens when the agent has failed elsewhere.
        drop(ended.send(result));
    };
    thread::Builder::new().name("owner".into()).spawn(work).context("start the owner's thread")?;
    let ended = async { has_ended.await.context("the owner's thread has died")? };
    match has_started.await {
        Ok(()) => Ok(ended),
        Err(_failed) => Err(ended.await.err().unwrap_or_else(|| anyhow::anyhow!("the owner has ended at once"))),
    }
}

fn run(
    started: oneshot::Sender<()>,
    stop: oneshot::Receiver<Departure>,
    make: impl FnOnce() -> anyhow::Result<Owner>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(async {
        let owner = make()?;
        _ = started.send(());
        let departure = async {
            match stop.await {
                Ok(departure) => departure,
                // The agent has failed elsewhere: the process is about to end, and the lease is what it leaves.
                Err(_dropped) => std::future::pending().await,
            }
        };
        Box::pin(owner.run(departure)).await
    })
}
