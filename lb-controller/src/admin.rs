//! `/metrics`, `/healthz`, `/readyz`, `/state`: reads the view, changes nothing.

use std::net::SocketAddr;

use anyhow::Context;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use prometheus::{Registry, TextEncoder};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::{leader::Leadership, listen, view::View};

#[derive(Clone)]
struct Shown {
    view: watch::Receiver<View>,
    registry: Registry,
    leadership: Leadership,
}

/// Takes the port first, so that a taken one is an error at the start.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen::bind(address).await.with_context(|| format!("listen on {address}: choose another with --listen"))
}

/// Serves until the process ends.
pub(crate) async fn serve(
    listener: TcpListener,
    view: watch::Receiver<View>,
    registry: Registry,
    leadership: Leadership,
) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/state", get(state))
        .with_state(Shown { view, registry, leadership });
    axum::serve(listener, app).await.context("serve the admin endpoint")
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    match TextEncoder::new().encode_to_string(&shown.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(shown): State<Shown>) -> impl IntoResponse {
    match shown.view.borrow().synced {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the objects have not been read yet\n"),
    }
}

async fn state(State(shown): State<Shown>) -> impl IntoResponse {
    let view = shown.view.borrow().clone();
    Json(json!({
        "manifests": &*view.manifests,
        "passes": view.passes,
        "synced": view.synced,
        "role": shown.leadership.role(),
        "leader": shown.leadership.holder(),
        "services": view.figures.services,
        "addresses": {
            "wanted": view.figures.wanted,
            "assigned": view.figures.assigned,
            "released": view.figures.released,
        },
        "rejections": &*view.rejections,
        "failures": view.failures,
    }))
}
