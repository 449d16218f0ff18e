//! Health and metrics of the edge, as every process has them on ADMIN_LISTEN.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use weir_process::admin;

use crate::{problem::Problem, router::EdgeState};

/// Whether the edge answers at all.
#[utoipa::path(get, path = "/health/live", tag = "health", responses(
    (status = 200, description = "It lives", content_type = "application/json", example = json!({"live": true}))
))]
pub(crate) async fn live() -> Response {
    admin::live().await
}

/// Whether the edge can take events, and who it depends on: at least one ingest has to serve; the reporting service
/// is shown but does not decide.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, description = "Ready", content_type = "application/json", example = json!({
        "ready": true,
        "dependencies": {"ingest": {"ready": true, "required": true}, "reporting": {"ready": true, "required": false}}
    })),
    (status = 503, description = "Not ready, naming why", content_type = "application/json", example = json!({
        "ready": false,
        "dependencies": {"ingest": {"ready": false, "required": true, "reason": "http://127.0.0.1:50051 is not ready (INGEST_URL)"}}
    }))
))]
pub(crate) async fn ready(State(edge): State<Arc<EdgeState>>) -> Response {
    admin::ready(&edge.readiness)
}

/// Every metric of the process
///
/// As OpenMetrics, which carries exemplars, where Accept names it and does not prefer text; else in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "In the format that Accept chooses", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    ))
))]
pub(crate) async fn metrics(State(edge): State<Arc<EdgeState>>, headers: HeaderMap) -> Response {
    match edge.registry.get() {
        Some(registry) => admin::metrics(registry, &headers),
        None => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the process is still starting").into_response()
        }
    }
}
