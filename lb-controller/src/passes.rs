//! The loop: look at everything, plan, write, show; then wait for a change, a deadline, or the next try.
//!
//! Level-triggered: a change that comes while a pass runs is seen by the next one. A write that fails stops no other;
//! after a pass with failures or conflicts the next comes by itself, later each time.
//!
//! What changed since a pass that went well is planned by itself ([`Planner`]): one Service among ten thousand need not
//! wait until all of them have been looked at.
//!
//! Nothing is written outside a term ([`crate::leader`]). A standby follows everything and plans nothing. A term begins
//! with a quorum read of the VirtualIPs, because the former leader's last ones may not have arrived here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use lb_api::VirtualIP;
use lb_plan::controller::{Configuration, Plan, Planner};
use lb_store::{GetError, Listing, Rejection, Stopped, Store};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use crate::{
    heap,
    inputs::{Inputs, Seen},
    leader::Leadership,
    metrics::Metrics,
    view::View,
};

mod counters;
mod write;

use counters::Counters;
use write::{Writes, Written};

/// The first wait after a pass that could not write all it wanted; doubles up to [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How long an address is avoided that could not be created and is not listed either: somebody's unreadable file.
const REFUSED: Duration = Duration::from_secs(60);

/// The whole is planned at least this often, whatever was planned in parts.
const WHOLE: Duration = Duration::from_secs(600);

/// Wall clocks jump: a deadline is looked at again after this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The state of the loop.
pub(crate) struct Passes {
    store: Store,
    inputs: Inputs,
    metrics: Metrics,
    show: watch::Sender<View>,
    quarantine: Duration,
    rejections: watch::Receiver<Arc<Vec<Rejection>>>,
    refused: BTreeMap<IpAddr, Instant>,
    /// Passes in a row that left something undone.
    tries: u32,
    leadership: Leadership,
    /// The term in which the VirtualIPs have been read by quorum.
    confirmed: Option<u64>,
    planner: Planner,
    /// What the planner remembers, and the term in which it was planned.
    planned: Option<(u64, Seen)>,
    planned_whole: Option<Instant>,
    /// The heap has what the plan of the whole needed for a moment.
    is_swollen: bool,
    counters: Counters,
}

/// How a pass went.
#[derive(Debug, Default)]
struct Pass {
    written: Written,
    deadline: Option<Timestamp>,
    /// Something is to be written later.
    held_back: bool,
}

impl Pass {
    /// Whether another pass would find what this one found.
    fn is_settled(&self) -> bool {
        self.written.done == 0 && self.written.conflicts == 0 && !self.written.interrupted && !self.held_back
    }

    fn is_complete(&self) -> bool {
        self.written.conflicts == 0 && self.written.failures.is_empty() && !self.written.interrupted
    }
}

impl Passes {
    pub(crate) fn new(
        store: Store,
        metrics: Metrics,
        show: watch::Sender<View>,
        quarantine: Duration,
        configuration: Configuration,
        leadership: Leadership,
    ) -> Self {
        Self {
            inputs: Inputs::new(&store, configuration),
            rejections: store.rejections(),
            store,
            metrics,
            show,
            quarantine,
            refused: BTreeMap::new(),
            tries: 0,
            leadership,
            confirmed: None,
            planner: Planner::default(),
            planned: None,
            planned_whole: None,
            is_swollen: true,
            counters: Counters::default(),
        }
    }

    /// Until `stop` becomes true, or the store is gone.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), Stopped> {
        tokio::select! {
            ready = self.inputs.ready() => ready?,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        self.note_rejections();
        loop {
            let term = self.leadership.term();
            let pass = match term {
                Some(term) => self.lead(term, &stop).await?,
                None => self.stand_by(),
            };
            if *stop.borrow() {
                info!("the controller stops");
                return Ok(());
            }
            self.tries = if pass.is_complete() { 0 } else { self.tries.saturating_add(1) };
            if pass.is_settled() && std::mem::take(&mut self.is_swollen) {
                // Nobody waits for it.
                drop(tokio::task::spawn_blocking(heap::give_back));
            }
            let wait = self.wait(pass.deadline);
            tokio::select! {
                changed = self.inputs.changed() => changed?,
                changed = self.rejections.changed() => match changed {
                    Ok(()) => self.note_rejections(),
                    Err(_closed) => return Err(Stopped),
                },
                () = self.leadership.changed(term) => {}
                () = sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Everything has been read, and is kept up to date for the day when this replica leads.
    fn stand_by(&mut self) -> Pass {
        self.confirmed = None;
        self.show.send_if_modified(|view| {
            let changed = !view.synced || !view.failures.is_empty();
            view.synced = true;
            view.failures.clear();
            changed
        });
        Pass::default()
    }

    async fn lead(&mut self, term: u64, stop: &watch::Receiver<bool>) -> Result<Pass, Stopped> {
        // Term 0 is the only one of a process that is alone.
        if term != 0 && self.confirmed != Some(term) {
            match self.store.confirm::<VirtualIP>().await {
                Ok(()) => self.confirmed = Some(term),
                Err(GetError::Stopped(stopped)) => return Err(stopped),
                Err(error @ GetError::Server { .. }) => {
                    warn!("before the first write of a term: {error}");
                    self.show.send_modify(|view| view.synced = true);
                    let written = Written { interrupted: true, ..Written::default() };
                    return Ok(Pass { written, ..Pass::default() });
                }
            }
        }
        self.pass(term, stop).await
    }

    async fn pass(&mut self, term: u64, stop: &watch::Receiver<bool>) -> Result<Pass, Stopped> {
        // First the digest: the listings are at least as new. While some are older, a change is on its way.
        let digest = self.inputs.digest();
        let seen = self.inputs.now();
        let mut plan = self.plan(&seen, term).await?;
        let held_back = self.counters.hold_back(&mut plan, Timestamp::now());
        let services = Arc::clone(&seen.services);
        self.planned = None;
        let pass = Pass { held_back, ..self.write(&plan, &services, term, stop).await? };
        // Only what was planned and written can be built upon.
        self.planned = pass.is_complete().then_some((term, seen));
        self.store.sync().await?;
        self.metrics.passed();
        self.show.send_modify(|view| {
            view.passes += 1;
            view.synced = true;
            view.figures = plan.figures;
            view.failures.clone_from(&pass.written.failures);
            if let Some(digest) = digest.filter(|_| pass.is_settled()) {
                view.manifests = digest;
            }
        });
        Ok(pass)
    }

    /// Plans what changed since the last pass, or the whole.
    async fn plan(&mut self, seen: &Seen, term: u64) -> Result<Plan, Stopped> {
        let (started, now) = (Instant::now(), Timestamp::now());
        self.refused.retain(|_, since| since.elapsed() < REFUSED);
        let is_due = self.planned_whole.is_none_or(|planned| planned.elapsed() >= WHOLE);
        let before = self.planned.take().filter(|(of, _)| *of == term && self.refused.is_empty() && !is_due);
        let changes = before.and_then(|(_, before)| seen.since(&before));
        if let Some(plan) = changes.and_then(|changes| self.planner.near(changes, now)) {
            self.metrics.planned("part", started.elapsed(), plan.figures);
            return Ok(plan);
        }
        let refused: BTreeSet<IpAddr> = self.refused.keys().copied().collect();
        let snapshot = self.inputs.snapshot(seen, refused, now, self.quarantine);
        let mut planner = std::mem::take(&mut self.planner);
        // A large plan must not keep the admin endpoint waiting. It panics only by a defect, and then all should end.
        let planned = tokio::task::spawn_blocking(move || {
            let plan = planner.whole(snapshot);
            (planner, plan)
        });
        let (planner, plan) = planned.await.map_err(|_panicked| Stopped)?;
        self.planner = planner;
        self.planned_whole = Some(started);
        self.is_swollen = true;
        self.metrics.planned("whole", started.elapsed(), plan.figures);
        Ok(plan)
    }

    async fn write(
        &mut self,
        plan: &Plan,
        services: &Listing<Service>,
        term: u64,
        stop: &watch::Receiver<bool>,
    ) -> Result<Pass, Stopped> {
        let (store, metrics, leadership) = (&self.store, &self.metrics, &self.leadership);
        let written = Writes { store, metrics, leadership, term, stop, services }.all(plan).await?;
        self.refused.extend(written.taken.iter().map(|&address| (address, Instant::now())));
        let known = self.show.borrow().failures.clone();
        for failure in written.failures.iter().filter(|failure| !known.contains(failure)) {
            warn!("{failure}");
        }
        Ok(Pass { written, deadline: plan.deadline, held_back: false })
    }

    /// Each rejection is logged once, when it appears.
    fn note_rejections(&mut self) {
        let rejections = Arc::clone(&self.rejections.borrow_and_update());
        let known = Arc::clone(&self.show.borrow().rejections);
        for rejection in rejections.iter().filter(|rejection| !known.contains(rejection)) {
            warn!("{rejection}");
        }
        self.metrics.rejected(&rejections);
        self.show.send_modify(|view| view.rejections = rejections);
    }

    /// How long to wait if nothing changes.
    fn wait(&self, deadline: Option<Timestamp>) -> Duration {
        let retry = match self.tries {
            0 => LONGEST_WAIT,
            tries => FIRST_RETRY.saturating_mul(2_u32.saturating_pow(tries - 1)).min(LAST_RETRY),
        };
        let left = deadline.map(|deadline| Duration::try_from(deadline.duration_since(Timestamp::now())));
        // A deadline that has passed meanwhile is due now.
        left.map_or(retry, |left| left.unwrap_or_default().min(retry))
    }
}
