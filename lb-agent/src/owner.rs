//! The owner task: the one place where maps, links, host settings and announcements change.
//!
//! A pass recomputes the whole wanted state if anything it depends on has changed (what changes in single objects goes
//! into the table at once, and into the whole at most ten times a second), applies the difference, and only then
//! vouches for the table by renewing the lease. It runs on every change and at least once a second. An error of
//! one object or interface is recorded and tried again with the next pass; it neither stops nor fails the pass.

mod lease;
mod leave;
mod listening;
mod ownership;
mod pass;
mod rounds;
mod sightings;
mod stop;
pub(crate) mod thread;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use lb_api::{LoadBalancerNode, VirtualIP};
use lb_plan::agent::{Config, Departure, Leaving, NodePlan, Topology, announce::Schedule};
use lb_store::{Listing, Reflector};
use tokio::{sync::watch, time::Instant};

use ownership::Deciding;

use crate::{
    announce::Announcer,
    args::Run,
    clock,
    host::HostSettings,
    net::{Requests, events::Events, links, links::Observed, sysctl::Sysctls},
    undo::Undo,
    view::{Counters, View},
    xdp::{attach::Attachments, events, lease::Keeper, object::Object, pins::Pins, stations::Stations, tables::Tables},
};

/// A pass runs at least this often: the lease is renewed with it.
const PASS: Duration = Duration::from_secs(1);
/// Between two rounds of announcements; what is newly held goes at once, with its own pass.
const COPIES: Duration = Duration::from_millis(5);
/// Between two attempts to take a lease that could not be taken.
const TAKE: Duration = Duration::from_millis(100);
/// Links and addresses are read again at least this often: an event may have been lost.
const AUDIT: Duration = Duration::from_secs(10);

/// The task's state.
pub(crate) struct Owner {
    args: Run,
    config: Config,
    pins: Pins,
    object: Object,
    tables: Tables,
    stations: Stations,
    told: events::Events,
    keeper: Keeper,
    attachments: Attachments,
    host: HostSettings,
    announcer: Announcer,
    schedule: Schedule,
    requests: Requests,
    events: Events,
    virtual_ips: Reflector<VirtualIP>,
    deciding: Deciding,
    seen: Seen,
    view: View,
    published: watch::Sender<View>,
}

/// What the last plan was made of, and the plan.
#[derive(Default)]
struct Seen {
    listing: Option<Arc<Listing<VirtualIP>>>,
    observed: BTreeMap<u32, Observed>,
    topology: Topology,
    plan: NodePlan,
    /// What is not listed any more and still counts.
    leaving: Leaving,
    /// What an earlier agent left in the table has been taken up.
    took_standing: bool,
    /// Links and addresses have been read at least once: before that nothing may be taken away.
    looked: bool,
    /// The links must be read again.
    stale: bool,
    /// Single objects have changed since all was planned, and when that was.
    unplanned: bool,
    planned_at: Duration,
    /// Something failed, or must be done again although nothing has changed.
    retry: bool,
    /// The lease was just lost: the next pass must not wait.
    lost: bool,
    audited_at: Duration,
    counters: Counters,
    /// What has been logged and still fails.
    reported: BTreeSet<String>,
}

/// What a look at links and addresses found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    /// It was not due, or failed.
    NotRead,
    /// What was known already: the plan stands.
    Same,
    /// Something else, or the first of all.
    Changed,
}

impl Owner {
    /// Loads the kernel program, takes up what an earlier agent left, and connects to the kernel.
    pub(crate) fn start(
        args: Run,
        pins: Pins,
        undo: Undo,
        virtual_ips: Reflector<VirtualIP>,
        nodes: Reflector<LoadBalancerNode>,
        published: watch::Sender<View>,
    ) -> anyhow::Result<Self> {
        let (mut object, maps) = Object::load(&pins, args.object.as_deref(), args.ebpf_log)?;
        let standing = lease::standing(&maps)?;
        let keeper = Keeper::found(standing, clock::nanos(clock::monotonic()));
        tracing::info!(
            epoch = keeper.epoch(),
            "{}",
            if keeper.is_held() { "taking up the table of an earlier agent" } else { "starting with a new epoch" }
        );
        Ok(Self {
            config: Config { exclude: args.exclude_interfaces.clone() },
            tables: Tables::read(maps, keeper.epoch())?,
            stations: object.stations()?,
            told: object.events()?,
            attachments: Attachments::new(pins.clone(), args.mode),
            host: HostSettings::new(undo, Sysctls::at(&args.places.proc_sys_net)),
            announcer: Announcer::open().context("open the packet socket for announcements")?,
            schedule: Schedule::default(),
            requests: Requests::connect().context("connect to the kernel's routing socket")?,
            events: Events::connect().context("subscribe to link and address events")?,
            seen: Seen { stale: true, ..Seen::default() },
            view: View::default(),
            deciding: Deciding::new(&args.node, nodes, &args.proxy_health)
                .context("start the thread that watches other nodes")?,
            args,
            pins,
            object,
            keeper,
            virtual_ips,
            published,
        })
    }

    /// Runs until `stop` is done; then hands over or releases, as it says. Fails only if the agent can no longer do its
    /// work.
    pub(crate) async fn run(mut self, stop: impl Future<Output = Departure>) -> anyhow::Result<()> {
        let mut stop = std::pin::pin!(stop);
        let mut first = self.virtual_ips.clone();
        loop {
            // A predecessor's table is as good as it was while it ran: nobody here may need the API server to answer.
            if self.keeper.is_held() {
                self.vouch(self.args.lease.millis());
            }
            tokio::select! {
                biased;
                departure = &mut stop => return Box::pin(self.stop(departure)).await,
                ready = first.ready() => {
                    ready.context("read the first VirtualIPs")?;
                    break;
                }
                () = tokio::time::sleep(PASS) => {}
            }
        }
        loop {
            self.pass().await;
            let wake = Instant::now() + self.idle();
            tokio::select! {
                biased;
                departure = &mut stop => return Box::pin(self.stop(departure)).await,
                event = self.told.next() => {
                    let event = event.context("read the kernel program's events")?;
                    self.sighted(clock::monotonic(), &event);
                }
                changed = self.deciding.liveness.changed() => changed.context("watch the other nodes")?,
                changed = self.virtual_ips.changed() => changed.context("follow the VirtualIPs")?,
                changed = self.deciding.nodes.changed() => changed.context("follow the LoadBalancerNodes")?,
                event = self.events.changed() => self.link_event(event)?,
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// How long nothing is due.
    fn idle(&self) -> Duration {
        let now = clock::monotonic();
        let renewal = self.view.completed_at + PASS;
        // Several copies at a wake-up, not one.
        let copies = self.schedule.next().map(|due| due.max(self.view.completed_at + COPIES));
        let decision = self.deciding.machine.next();
        let listen = Some(self.deciding.listening.next()).filter(|_| self.seen.looked);
        let yields = Some(self.deciding.rounds.next());
        let ours = [self.host.next(), self.seen.leaving.next(), self.plan_due()];
        let due = [yields, copies, decision, listen, Some(renewal)].into_iter().chain(ours);
        let due = due.flatten().min();
        if self.seen.lost || self.seen.stale {
            return Duration::ZERO;
        }
        let soon = if self.keeper.is_held() { PASS } else { TAKE };
        due.unwrap_or(now).saturating_sub(now).min(soon)
    }

    fn link_event(&mut self, event: Option<()>) -> anyhow::Result<()> {
        self.seen.stale = true;
        if event.is_none() {
            tracing::warn!("the connection for link events has ended; connecting again");
            self.events = Events::connect().context("subscribe to link and address events")?;
        }
        Ok(())
    }

    /// Reads links and addresses again if something may have changed, or from time to time.
    async fn look(&mut self, now: Duration) -> Links {
        if self.seen.looked && !self.seen.stale && now < self.seen.audited_at + AUDIT {
            return Links::NotRead;
        }
        match links::dump(&self.requests).await {
            Ok(observed) => {
                self.seen.stale = false;
                self.seen.audited_at = now;
                let same = self.seen.looked && self.seen.observed == observed;
                self.seen.observed = observed;
                self.seen.looked = true;
                if same { Links::Same } else { Links::Changed }
            }
            Err(error) => {
                self.report(vec![anyhow::Error::new(error).context("read links and addresses")]);
                self.seen.audited_at = now;
                self.seen.stale = false;
                self.seen.retry = true;
                Links::NotRead
            }
        }
    }

    /// Logs each error once as long as it lasts, and remembers that there is something to try again.
    fn report(&mut self, errors: Vec<anyhow::Error>) {
        for error in errors {
            self.seen.counters.errors += 1;
            self.seen.retry = true;
            let text = format!("{error:#}");
            if self.seen.reported.insert(text.clone()) {
                tracing::warn!("{text}");
            }
        }
    }
}
