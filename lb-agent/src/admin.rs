//! `/metrics`, `/healthz`, `/readyz`, `/state`: reads the view, changes nothing.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use lb_bfd::initiator::Reading;
use lb_plan::bgp::Problem;
use prometheus::{Registry, TextEncoder};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::{bgp::SpeakerStatus, clock, liveness::Whom, metrics, routing, view::View};

/// A loop that has not ended a pass for this long is stuck; a pass is due every second.
const STUCK: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shown {
    view: watch::Receiver<View>,
    registry: Registry,
    speaking: Option<Speaking>,
}

/// The peers of BGP, and what keeps this node from doing what was asked.
type Speaking = (watch::Receiver<SpeakerStatus>, watch::Receiver<Arc<Vec<Problem>>>);

/// Serves until the process ends.
pub(crate) async fn serve(
    listener: TcpListener,
    view: watch::Receiver<View>,
    registry: Registry,
    speaking: Option<Speaking>,
) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/state", get(state))
        .with_state(Shown { view, registry, speaking });
    axum::serve(listener, app).await.context("serve the admin endpoint")
}

/// Takes the port first, so that a taken one is an error at the start.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen on {address}: choose another with --listen"))
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    match TextEncoder::new().encode_to_string(&shown.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn health(State(shown): State<Shown>) -> impl IntoResponse {
    let view = shown.view.borrow();
    let silent = clock::monotonic().saturating_sub(view.completed_at);
    if view.passes > 0 && silent > STUCK {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("no pass has ended for {silent:?}\n"));
    }
    (StatusCode::OK, "ok\n".to_owned())
}

async fn ready(State(shown): State<Shown>) -> impl IntoResponse {
    let view = shown.view.borrow();
    if view.ready {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let mut why = format!("{} passes, lease {:?}\n", view.passes, view.lease.state);
    for interface in view.interfaces.iter() {
        let attach = &interface.attach;
        why.push_str(&format!("{}: {:?} {}\n", interface.name, attach.mode, attach.reason));
    }
    (StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn state(State(shown): State<Shown>) -> impl IntoResponse {
    let view = shown.view.borrow().clone();
    let peer = |((segment, node), reading): (&Whom, &Reading)| json!({ "node": node, "segment": segment, "state": metrics::ownership::state(*reading) });
    let bgp = shown.speaking.as_ref().map(|(status, problems)| {
        let told =
            |problem: &Problem| format!("{} {}: {}: {}", problem.kind, problem.name, problem.field, problem.message);
        json!({
            "sessions": routing::sessions(&status.borrow()),
            "listener": status.borrow().listener,
            "problems": problems.borrow().iter().map(told).collect::<Vec<_>>(),
        })
    });
    Json(json!({
        "bgp": bgp,
        "manifests": &*view.manifests,
        "passes": view.passes,
        "lease": view.lease,
        "holds": view.held.iter().map(|held| held.address).collect::<Vec<_>>(),
        "waits": view.waits.iter().map(|(why, count)| (why.word(), *count)).collect::<BTreeMap<_, _>>(),
        "entries": view.entries,
        "interfaces": &*view.interfaces,
        "peers": view.peers.iter().map(peer).collect::<Vec<_>>(),
        "announcing": view.announcing,
        "blind": &*view.blind,
        "problems": &*view.problems,
        "ready": view.ready,
    }))
}
