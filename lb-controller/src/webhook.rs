//! The validating webhook: answers the API server's question whether an object may be written.
//!
//! Must not: decide ([`lb_plan::controller::admission`] does), or hold anything up. What cannot be read is allowed with
//! a warning: the controller judges everything again, and the configuration says `failurePolicy: Ignore` for the same
//! reason.
//!
//! Every replica serves it. `review` is the question and its answer, `certificate` what they are served with, `keeper`
//! where that comes from, `tls` the port. `admission.k8s.io/v1`.

mod certificate;
mod keeper;
mod review;
mod tls;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{Router, body::Bytes, extract::State, http::header, response::IntoResponse, routing::post};
use k8s_openapi::api::core::v1::{Namespace, Node};
use lb_api::{IPAddressPool, L2Advertisement, MetalLoadBalancerClass, VirtualIP};
use lb_plan::controller::{Configuration, Snapshot};
use lb_store::{Listing, Object, Reflector, Store};
use tokio::net::TcpListener;

pub(crate) use keeper::{Keeper, Settings};
pub(crate) use tls::Served;

use crate::{announced::Announced, listen, metrics::WebhookMetrics};

/// What a question is judged by.
#[derive(Clone)]
pub(crate) struct Judge {
    pools: Reflector<IPAddressPool>,
    classes: Reflector<MetalLoadBalancerClass>,
    advertisements: Reflector<L2Advertisement>,
    virtual_ips: Reflector<VirtualIP>,
    namespaces: Reflector<Namespace>,
    nodes: Reflector<Node>,
    announced: Announced,
    configuration: Configuration,
    metrics: WebhookMetrics,
}

impl Judge {
    /// Shares the caches of the store: nothing is followed twice.
    pub(crate) fn new(store: &Store, configuration: Configuration, metrics: WebhookMetrics) -> Self {
        Self {
            pools: store.reflect(),
            classes: store.reflect(),
            advertisements: store.reflect(),
            virtual_ips: store.reflect(),
            namespaces: store.reflect(),
            nodes: store.reflect(),
            announced: Announced::new(store),
            configuration,
            metrics,
        }
    }

    /// What there is; `None` while not all of it has been read.
    fn snapshot(&self) -> Option<Snapshot> {
        Some(Snapshot {
            ip_address_pools: objects(&self.pools)?,
            classes: objects(&self.classes)?,
            l2_advertisements: objects(&self.advertisements)?,
            virtual_ips: objects(&self.virtual_ips)?,
            namespaces: objects(&self.namespaces)?,
            nodes: objects(&self.nodes)?,
            bgp: self.announced.synced()?,
            configuration: self.configuration.clone(),
            ..Snapshot::default()
        })
    }
}

fn objects<K: Object>(reflector: &Reflector<K>) -> Option<Vec<Arc<K>>> {
    let listing: Arc<Listing<K>> = reflector.current();
    listing.synced.then(|| listing.objects.values().map(Arc::clone).collect())
}

/// Takes the port first, so that a taken one is an error at the start.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen::bind(address).await.with_context(|| format!("listen on {address}: choose another with --webhook-listen"))
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, served: Arc<Served>, judge: Judge) -> anyhow::Result<()> {
    let listener = tls::Listener::start(listener, served)?;
    let app = Router::new().route("/validate", post(validate)).with_state(judge);
    axum::serve(listener, app).await.context("serve the webhook")
}

async fn validate(State(judge): State<Judge>, body: Bytes) -> impl IntoResponse {
    // Ten thousand VirtualIPs are cloned as pointers, and judged in milliseconds.
    let (answer, outcome) = review::answer(&body, judge.snapshot().as_ref());
    judge.metrics.answered(outcome.word());
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string())
}
