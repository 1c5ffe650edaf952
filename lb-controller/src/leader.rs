//! Which replica writes: drives [`lb_plan::election`] with a Lease on the API server.
//!
//! Must not: decide. Reads clocks, sends what the machine asks for, and shows everybody the running term.
//!
//! Invariant: nobody writes but in a running term; who writes asks [`Leadership::term`] before each write, so a term
//! ends in time although this task may not run. Clients of the API server: `coordination.k8s.io/v1`.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    time::Instant,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use lb_plan::election::{Answer, Ask, Election, Record, Step, Term, Timing};
use lb_store::{CreateError, Key, Store, UpdateError};
use tokio::{
    sync::watch,
    time::{sleep_until, timeout},
};
use tracing::{info, warn};

use crate::{apply::chain, metrics::ElectionMetrics};

/// Whether this process may write. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Leadership {
    /// There can be no other: a directory's lock says so.
    Alone,
    /// As long as a term runs.
    Elected(watch::Receiver<Standing>),
}

/// How the election stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    term: Option<Term>,
    holder: String,
}

impl Leadership {
    /// The number of the term that runs in this moment.
    pub(crate) fn term(&self) -> Option<u64> {
        match self {
            Self::Alone => Some(0),
            Self::Elected(standing) => {
                let term = standing.borrow().term?;
                (Instant::now() < term.until).then_some(term.number)
            }
        }
    }

    /// Waits until another term than `known` runs, or none any more. Renewals are no news.
    pub(crate) async fn changed(&mut self, known: Option<u64>) {
        let Self::Elected(standing) = self else { return std::future::pending().await };
        // A term ends by the clock; until the campaign says so, which may take a request's time, it is no news again.
        let number =
            |standing: &Standing| standing.term.filter(|term| Instant::now() < term.until).map(|term| term.number);
        if standing.wait_for(|standing| number(standing) != known).await.is_err() {
            // The campaign has ended, and the process is about to.
            std::future::pending().await
        }
    }

    /// `leader` or `standby`.
    pub(crate) fn role(&self) -> &'static str {
        if self.term().is_some() { "leader" } else { "standby" }
    }

    /// Who leads as far as is known here; empty if nobody does, or without an election.
    pub(crate) fn holder(&self) -> String {
        match self {
            Self::Alone => String::new(),
            Self::Elected(standing) => standing.borrow().holder.clone(),
        }
    }
}

/// This process's part in the election.
pub(crate) struct Campaign {
    election: Election,
    timing: Timing,
    store: Store,
    key: Key,
    /// The Lease as last read or written.
    lease: Option<Lease>,
    show: watch::Sender<Standing>,
    metrics: ElectionMetrics,
    /// What was logged last.
    trouble: Option<String>,
}

impl Campaign {
    pub(crate) fn new(store: Store, key: Key, timing: Timing, metrics: ElectionMetrics) -> (Self, Leadership) {
        let (show, standing) = watch::channel(Standing::default());
        let election = Election::new(name(), timing, Instant::now());
        info!(lease = %key, me = election.me(), "one of several may write: waiting for the lease");
        let campaign = Self { election, timing, store, key, lease: None, show, metrics, trouble: None };
        (campaign, Leadership::Elected(standing))
    }

    /// Takes part until it is dropped.
    pub(crate) async fn run(&mut self) -> std::convert::Infallible {
        loop {
            let step = self.election.next(Instant::now());
            self.publish();
            match step {
                Step::Wait(until) => sleep_until(until.into()).await,
                Step::Done => std::future::pending().await,
                Step::Ask(ask) => {
                    let sent = Instant::now();
                    let answer = timeout(self.timing.patience(), self.send(&ask)).await;
                    let answer = answer.unwrap_or_else(|_late| self.failed("the API server does not answer".into()));
                    self.election.answer(sent, Instant::now(), answer);
                    self.publish();
                }
            }
        }
    }

    /// Gives the lease back, so that the other replica need not wait for its end. Everything that writes has ended.
    pub(crate) async fn release(mut self) {
        let held = self.election.release().is_some();
        self.publish();
        if !held {
            return;
        }
        // A renewal on its way changes the version once.
        for _ in 0..2 {
            match timeout(self.timing.patience(), self.give_back()).await {
                Ok(true) => return info!(lease = %self.key, "the lease is given back"),
                Ok(false) => {}
                Err(_late) => break,
            }
        }
        warn!(lease = %self.key, "the lease could not be given back: another replica takes it when it has run out");
    }

    /// Shows a change once.
    fn publish(&mut self) {
        let standing = Standing { term: self.election.term(Instant::now()), holder: self.election.holder().to_owned() };
        let before = self.show.borrow().term.map(|term| term.number);
        let after = standing.term.map(|term| term.number);
        match (before, after) {
            (None, Some(_)) => info!(lease = %self.key, "this replica leads"),
            (Some(_), None) => warn!(lease = %self.key, "this replica does not lead any more"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if before != after {
            self.metrics.term(after.is_some());
        }
        self.show.send_if_modified(|shown| {
            let changed = *shown != standing;
            *shown = standing;
            changed
        });
    }

    async fn send(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Read => match self.store.get::<Lease>(&self.key).await {
                Ok(Some(lease)) => {
                    self.trouble = None;
                    Answer::Found(record(self.lease.insert(lease)))
                }
                Ok(None) => Answer::Missing,
                Err(error) => self.failed(chain(&error)),
            },
            Ask::Create => match self.store.create(&self.mine(None)).await {
                Ok(lease) => self.written(lease),
                Err(CreateError::AlreadyExists(_)) => Answer::Conflict,
                Err(error) => self.failed(chain(&error)),
            },
            Ask::Hold { version } => {
                let judged =
                    self.lease.clone().filter(|lease| lease.metadata.resource_version.as_ref() == Some(version));
                let Some(judged) = judged else { return Answer::Conflict };
                match self.store.update(&self.mine(Some(judged))).await {
                    Ok(lease) => self.written(lease),
                    Err(UpdateError::Conflict(_)) => Answer::Conflict,
                    Err(UpdateError::NotFound(_)) => Answer::Missing,
                    Err(error) => self.failed(chain(&error)),
                }
            }
        }
    }

    fn written(&mut self, lease: Lease) -> Answer {
        self.trouble = None;
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        self.lease = Some(lease);
        Answer::Written(version)
    }

    fn failed(&mut self, cause: String) -> Answer {
        self.metrics.failed();
        if self.trouble.as_ref() != Some(&cause) {
            warn!(lease = %self.key, "ask for the lease: {cause}");
            self.trouble = Some(cause);
        }
        Answer::Failed
    }

    /// The Lease with this process as its holder. Its times are for people.
    fn mine(&self, judged: Option<Lease>) -> Lease {
        let now = Some(MicroTime(Timestamp::now()));
        let me = Some(self.election.me().to_owned());
        let metadata = ObjectMeta {
            name: Some(self.key.name.clone()),
            namespace: Some(self.key.namespace.clone()),
            ..ObjectMeta::default()
        };
        let mut lease = judged.unwrap_or_else(|| Lease { metadata, ..Lease::default() });
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity != me {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |number| number.saturating_add(1)));
            spec.acquire_time.clone_from(&now);
        }
        spec.holder_identity = me;
        spec.lease_duration_seconds = i32::try_from(self.timing.lease().as_secs()).ok();
        spec.renew_time = now;
        lease
    }

    /// Whether the Lease is not this process's any more.
    async fn give_back(&self) -> bool {
        let Ok(Some(mut lease)) = self.store.get::<Lease>(&self.key).await else { return false };
        let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(self.election.me()))
        else {
            return true;
        };
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        self.store.update(&lease).await.is_ok()
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        lease: seconds.filter(|&seconds| seconds > 0).map(std::time::Duration::from_secs),
    }
}

/// The Pod's name, for people, and what no other process has.
fn name() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // Seeded by the system for each process.
    let unique = RandomState::new().hash_one(std::process::id());
    format!("{}_{unique:016x}", host.trim())
}
