//! Health probes and metrics of the edge. Every process serves the same ones on `ADMIN_LISTEN`.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use weir_process::{RoleReadiness, SharedRegistry, admin};

use crate::problem::Problem;

/// Whether the edge answers at all.
#[utoipa::path(get, path = "/health/live", tag = "health", responses(
    (status = 200, description = "It lives", content_type = "application/json", example = json!({"live": true}))
))]
pub(crate) async fn live() -> Response {
    admin::live().await
}

/// Whether the edge can take events. At least one ingest must serve. The reporting service is listed and does not
/// decide.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, description = "Ready", content_type = "application/json", example = json!({
        "ready": true,
        "dependencies": {"ingest": {"ready": true, "required": true}, "reporting": {"ready": true, "required": false}}
    })),
    (status = 503, description = "Not ready, with the reason", content_type = "application/json", example = json!({
        "ready": false,
        "dependencies": {"ingest": {"ready": false, "required": true, "reason": "http://127.0.0.1:50051 is not ready (INGEST_URL)"}}
    }))
))]
pub(crate) async fn ready(State(readiness): State<RoleReadiness>) -> Response {
    admin::ready(&readiness)
}

/// Every metric of the process
///
/// As OpenMetrics, which carries exemplars, where Accept names it and does not prefer text. Otherwise in Prometheus'
/// text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "In the format that Accept chooses", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    ))
))]
pub(crate) async fn metrics(State(registry): State<SharedRegistry>, headers: HeaderMap) -> Response {
    match registry.get() {
        Some(registry) => admin::metrics(registry, &headers),
        None => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the process is still starting").into_response()
        }
    }
}
