//! Health and metrics over HTTP, on every process's ADMIN_LISTEN.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text, registry::Registry};
use serde::Serialize;
use tokio::net::TcpListener;

use super::{Dependency, Readiness, RoleReadiness, SharedRegistry, Stop};

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The answer of the ready probe.
#[derive(Serialize)]
struct Ready<Name: Ord> {
    ready: bool,
    dependencies: BTreeMap<Name, Dependency>,
}

impl<Name: Ord + Serialize> IntoResponse for Ready<Name> {
    fn into_response(self) -> Response {
        let status = if self.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

/// The answer of the live probe: the process answers, so it lives.
pub async fn live() -> Response {
    Json(BTreeMap::from([("live", true)])).into_response()
}

/// The answer of the ready probe for one role: 200 or 503, naming each dependency.
#[must_use]
pub fn ready(role: &RoleReadiness) -> Response {
    Ready { ready: role.is_ready(), dependencies: role.dependencies() }.into_response()
}

/// Every metric of the process, as OpenMetrics text.
#[must_use]
pub fn metrics(registry: &Registry) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    registry: SharedRegistry,
}

/// A bound admin server.
pub(super) struct AdminServer {
    listener: TcpListener,
    router: Router,
}

impl AdminServer {
    /// # Errors
    /// The address is taken or not this machine's.
    pub(super) async fn bind(
        address: SocketAddr,
        readiness: Readiness,
        registry: SharedRegistry,
    ) -> std::io::Result<Self> {
        let admin = Admin { readiness, registry };
        let router = Router::new()
            .route("/health/live", get(live))
            .route("/health/ready", get(ready_process))
            .route("/metrics", get(metrics_process))
            .with_state(admin);
        Ok(Self { listener: TcpListener::bind(address).await?, router })
    }

    pub(super) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(super) async fn run(self, stop: Stop) -> anyhow::Result<()> {
        axum::serve(self.listener, self.router).with_graceful_shutdown(stop.cancelled_owned()).await?;
        Ok(())
    }
}

async fn ready_process(State(admin): State<Admin>) -> Response {
    let readiness = &admin.readiness;
    Ready { ready: readiness.is_ready(), dependencies: readiness.dependencies() }.into_response()
}

async fn metrics_process(State(admin): State<Admin>) -> Response {
    match admin.registry.get() {
        Some(registry) => metrics(registry),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the process is still starting").into_response(),
    }
}
