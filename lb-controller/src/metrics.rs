//! What is counted. Label sets are closed: no names of objects.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use lb_plan::controller::Figures;
use lb_store::{Effect, Rejection};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// What the election counts. Clones count the same.
#[derive(Debug, Clone)]
pub(crate) struct ElectionMetrics {
    leader: IntGauge,
    terms: IntCounter,
    errors: IntCounter,
}

impl ElectionMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(format!("herald_controller_{name}"), help);
        let metrics = Self {
            leader: IntGauge::with_opts(opts("leader", "1 while this replica may write."))?,
            terms: IntCounter::with_opts(opts("terms_total", "How often this replica became the leader."))?,
            errors: IntCounter::with_opts(opts("lease_errors_total", "Requests for the lease that failed."))?,
        };
        registry.register(Box::new(metrics.leader.clone()))?;
        registry.register(Box::new(metrics.terms.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        Ok(metrics)
    }

    /// A term begins or ends.
    pub(crate) fn term(&self, begins: bool) {
        self.leader.set(begins.into());
        if begins {
            self.terms.inc();
        }
    }

    pub(crate) fn failed(&self) {
        self.errors.inc();
    }
}

/// What the webhook counts. Clones count the same.
#[derive(Debug, Clone)]
pub(crate) struct WebhookMetrics {
    reviews: IntCounterVec,
    issued: IntGauge,
}

impl WebhookMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(format!("herald_controller_webhook_{name}"), help);
        let metrics = Self {
            reviews: IntCounterVec::new(opts("reviews_total", "Questions answered, by what was said."), &["outcome"])?,
            issued: IntGauge::with_opts(opts(
                "certificate_issued_timestamp_seconds",
                "Since when the certificate that is served is in use; 0 if that is unknown.",
            ))?,
        };
        registry.register(Box::new(metrics.reviews.clone()))?;
        registry.register(Box::new(metrics.issued.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn answered(&self, outcome: &str) {
        self.reviews.with_label_values(&[outcome]).inc();
    }

    /// A certificate is served from now on.
    pub(crate) fn certified(&self, issued: Option<Timestamp>) {
        self.issued.set(issued.map_or(0, |issued| issued.as_second()));
    }
}

/// The controller's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    passes: IntCounter,
    plan: HistogramVec,
    steps: IntCounterVec,
    services: IntGauge,
    addresses: IntGaugeVec,
    rejections: IntGaugeVec,
    pub(crate) election: ElectionMetrics,
    pub(crate) webhook: WebhookMetrics,
}

impl Metrics {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(format!("herald_controller_{name}"), help);
        let plan =
            HistogramOpts::new("herald_controller_plan_seconds", "How long a plan takes, of the whole or of a part.")
                .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]);
        let registry = Registry::new();
        let metrics = Self {
            election: ElectionMetrics::new(&registry).context("make the metrics of the election")?,
            webhook: WebhookMetrics::new(&registry).context("make the metrics of the webhook")?,
            registry,
            passes: IntCounter::with_opts(opts("passes_total", "Passes completed.")).context("make a counter")?,
            plan: HistogramVec::new(plan, &["of"]).context("make a histogram")?,
            steps: IntCounterVec::new(opts("steps_total", "Writes, by what and outcome."), &["action", "outcome"])
                .context("make a counter")?,
            services: IntGauge::with_opts(opts("services", "Services that have a class.")).context("make a gauge")?,
            addresses: IntGaugeVec::new(
                opts("addresses", "Addresses: wanted by Services, assigned to them, released and kept."),
                &["state"],
            )
            .context("make a gauge")?,
            rejections: IntGaugeVec::new(
                opts("rejected_documents", "What users wrote and cannot be used, by what is used in its place."),
                &["effect"],
            )
            .context("make a gauge")?,
        };
        metrics.register().context("register the metrics")?;
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        self.registry.register(Box::new(self.passes.clone()))?;
        self.registry.register(Box::new(self.plan.clone()))?;
        self.registry.register(Box::new(self.steps.clone()))?;
        self.registry.register(Box::new(self.services.clone()))?;
        self.registry.register(Box::new(self.addresses.clone()))?;
        self.registry.register(Box::new(self.rejections.clone()))
    }

    /// `of` is `whole` or `part`.
    pub(crate) fn planned(&self, of: &str, took: Duration, figures: Figures) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.plan.with_label_values(&[of]).observe(took.as_secs_f64());
        self.services.set(gauge(figures.services as u64));
        self.addresses.with_label_values(&["wanted"]).set(gauge(figures.wanted));
        self.addresses.with_label_values(&["assigned"]).set(gauge(figures.assigned));
        self.addresses.with_label_values(&["released"]).set(gauge(figures.released as u64));
    }

    pub(crate) fn stepped(&self, action: &str, outcome: &str) {
        self.steps.with_label_values(&[action, outcome]).inc();
    }

    pub(crate) fn passed(&self) {
        self.passes.inc();
    }

    pub(crate) fn rejected(&self, rejections: &[Rejection]) {
        for (effect, word) in [(Effect::Unused, "unused"), (Effect::LastGood, "last-good"), (Effect::Partly, "partly")]
        {
            let count = rejections.iter().filter(|rejection| rejection.effect == effect).count();
            self.rejections.with_label_values(&[word]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
