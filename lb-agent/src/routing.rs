//! From the objects of BGP to the speaker: watch, plan, translate, apply.
//!
//! On a thread of its own: a plan of ten thousand Services must not keep the owner of the tables waiting, nor the other
//! way round. Nothing is handed to the speaker before everything has been read, so that a restart withdraws nothing.
//!
//! Must not: decide who is announced where: that is `lb_plan::bgp`'s.

mod inputs;
mod secrets;
mod sessions;
mod statuses;

use std::{collections::BTreeSet, sync::Arc, thread, time::Duration};

use anyhow::Context;
use k8s_openapi::api::core::v1::Node;
use lb_api::node::BgpSession;
use lb_plan::bgp::{Planner, Problem, Told, summary};
use lb_store::Store;
use tokio::sync::{oneshot, watch};

pub(crate) use self::sessions::sessions;
use self::{
    inputs::Inputs,
    statuses::{Report, Statuses},
};
use crate::{
    args::{Bgp, Run},
    bfd::Remains,
    bgp::{Leave, Speaker, SpeakerMetrics, SpeakerStatus, Translator},
};

/// How long leaving the peers may take before the process ends without them.
const LEAVE: Duration = Duration::from_secs(6);

/// BGP of this node. Dropped, it leaves the peers as for a restart.
#[derive(Debug)]
pub(crate) struct Routing {
    status: watch::Receiver<SpeakerStatus>,
    problems: watch::Receiver<Arc<Vec<Problem>>>,
    metrics: Option<SpeakerMetrics>,
    leave: Option<oneshot::Sender<Leave>>,
    left: oneshot::Receiver<()>,
}

impl Routing {
    /// Starts the speaker and the thread that tells it what to do; `None` if the arguments want no BGP.
    pub(crate) fn start(store: &Store, args: &Run) -> anyhow::Result<Option<Self>> {
        if args.bgp == Bgp::Off {
            return Ok(None);
        }
        let remains = Remains { dir: args.places.run_dir.clone(), bpffs: args.places.bpffs.clone() };
        let speaker = Speaker::start_with(Some(&remains)).context("start the BGP speaker")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        let (leave, leaving) = oneshot::channel();
        let (done, left) = oneshot::channel();
        let (published, problems) = watch::channel(Arc::default());
        let status = speaker.status();
        let metrics = Some(SpeakerMetrics::new(&speaker).context("describe the metrics of BGP")?);
        let inputs = Inputs::new(store, args);
        let translator = Translator::new(args.node.clone());
        let (report, reports) = watch::channel(None);
        let statuses = Statuses::new(store, args);
        let (cleared, clear_args) = (store.clone(), args.clone());
        let spawned = thread::Builder::new().name("bgp-plan".to_owned()).spawn(move || {
            runtime.block_on(async {
                let writing = statuses.map(|statuses| tokio::spawn(statuses.run(reports)));
                let shown = Shown { problems: published, report };
                let how = tokio::select! {
                    how = leaving => how.unwrap_or(Leave::Restart),
                    never = follow(inputs, translator, &speaker, &shown) => match never {},
                };
                if let Some(writing) = writing {
                    writing.abort();
                }
                let stays = how == Leave::Restart;
                speaker.leave(how).await;
                if !stays {
                    // Whoever waits has a limit.
                    statuses::clear(&cleared, &clear_args).await;
                }
            });
            // Its end is the answer.
            drop(done);
        });
        spawned.context("start the thread that plans BGP")?;
        Ok(Some(Self { status, problems, metrics, leave: Some(leave), left }))
    }

    /// What the speaker shows.
    pub(crate) fn status(&self) -> watch::Receiver<SpeakerStatus> {
        self.status.clone()
    }

    /// What keeps this node from doing what was asked.
    pub(crate) fn problems(&self) -> watch::Receiver<Arc<Vec<Problem>>> {
        self.problems.clone()
    }

    /// The collector of MetalLB's metrics, once.
    pub(crate) const fn take_metrics(&mut self) -> Option<SpeakerMetrics> {
        self.metrics.take()
    }

    /// Leaves every peer, and waits until they are told.
    pub(crate) async fn leave(mut self, how: Leave) {
        if let Some(leave) = self.leave.take()
            && leave.send(how).is_ok()
            && tokio::time::timeout(LEAVE, &mut self.left).await.is_err()
        {
            tracing::warn!("the BGP speaker did not end within {LEAVE:?}");
        }
    }
}

/// Where a plan is shown.
struct Shown {
    problems: watch::Sender<Arc<Vec<Problem>>>,
    report: watch::Sender<Option<Report>>,
}

/// Plans on every change, for ever. When the store has stopped, the last plan stays.
async fn follow(
    mut inputs: Inputs,
    mut translator: Translator,
    speaker: &Speaker,
    shown: &Shown,
) -> std::convert::Infallible {
    let mut planner = Planner::new();
    let mut told = BTreeSet::new();
    if let Err(error) = inputs.ready().await {
        tracing::error!("{:#}", anyhow::Error::new(error).context("read the objects of BGP"));
        return std::future::pending().await;
    }
    loop {
        let snapshot = inputs.snapshot().await;
        let plan = planner.plan(&snapshot);
        let (wanted, refused) = translator.translate(&plan, plan.is_draining);
        speaker.apply(Arc::new(wanted));
        let problems: Vec<Problem> = plan.problems.iter().cloned().chain(refused).collect();
        report(&mut told, &problems);
        shown.report(&plan.services, summary(&snapshot, &problems), snapshot.node_object.as_ref());
        shown.problems.send_if_modified(|shown| {
            let is_news = **shown != problems;
            if is_news {
                *shown = Arc::new(problems);
            }
            is_news
        });
        if let Err(error) = inputs.changed().await {
            tracing::error!("{:#}", anyhow::Error::new(error).context("follow the objects of BGP"));
            return std::future::pending().await;
        }
    }
}

impl Shown {
    /// What a plan tells peers and finds wrong, if it is another than before.
    fn report(&self, told: &Arc<Told>, summary: Option<String>, node: Option<&Arc<Node>>) {
        self.report.send_if_modified(|shown| {
            let is_same = |shown: &Report| Arc::ptr_eq(&shown.told, told) && shown.summary == summary;
            let is_news = !shown.as_ref().is_some_and(is_same);
            *shown = Some(Report { told: Arc::clone(told), summary, node: node.map(Arc::clone) });
            is_news
        });
    }
}

/// Logs each problem once as long as it lasts.
fn report(told: &mut BTreeSet<Problem>, problems: &[Problem]) {
    told.retain(|problem| problems.contains(problem));
    for problem in problems {
        if told.insert(problem.clone()) {
            tracing::warn!("{} {}: {}: {}", problem.kind, problem.name, problem.field, problem.message);
        }
    }
}

/// The sessions as the LoadBalancerNode has them.
pub(crate) fn shown(status: Option<&watch::Receiver<SpeakerStatus>>) -> Vec<BgpSession> {
    status.map(|status| sessions(&status.borrow())).unwrap_or_default()
}
