//! Health, metrics and the log level over HTTP, on every process's ADMIN_LISTEN.

mod exposition;
mod guard;
mod log_level;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, put},
};
pub use exposition::metrics;
use serde::Serialize;
use tokio::net::TcpListener;

use self::guard::{LISTENER, REASONS};
use super::{
    BodyPace, Dependency, Readiness, RoleReadiness, SharedRegistry, Stop,
    connections::{Connections, Http2Bounds, ListenerSettings, UNREAD_TIMEOUT},
    http_guard::RefusedRequests,
    logging::LogLevel,
};

/// Probes, scrapers and operators hold a few connections.
const MAX_CONNECTIONS: usize = 64;
const HTTP2: Http2Bounds = Http2Bounds {
    stream_window: 64 << 10,
    connection_window: 64 << 10,
    max_streams: 16,
    max_head_bytes: 32 << 10,
};

/// The state that the handlers share. Cheap to clone; every clone is the same state.
#[derive(Clone)]
struct AdminState {
    readiness: Readiness,
    registry: SharedRegistry,
    log_level: LogLevel,
}

/// The body of the ready probe.
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

/// Answers the live probe. An answer is proof enough that the process lives.
pub async fn live() -> Response {
    Json(BTreeMap::from([("live", true)])).into_response()
}

/// Answers the ready probe of one role with 200 or 503 and names each dependency.
#[must_use]
pub fn ready(role: &RoleReadiness) -> Response {
    Ready { ready: role.is_ready(), dependencies: role.dependencies() }.into_response()
}

/// A bound admin server.
pub(super) struct AdminServer {
    listener: TcpListener,
    router: Router,
}

impl AdminServer {
    /// # Errors
    /// The address is taken, or it does not belong to this machine.
    pub(super) async fn bind(
        address: SocketAddr,
        readiness: Readiness,
        registry: SharedRegistry,
        log_level: LogLevel,
        refused: RefusedRequests,
    ) -> std::io::Result<Self> {
        refused.expect(LISTENER, &REASONS);
        let state = AdminState { readiness, registry, log_level };
        let change =
            put(log_level::change).route_layer(from_fn_with_state(refused.clone(), guard::answer_action));
        let router = Router::new()
            .route("/health/live", get(live))
            .route("/health/ready", get(ready_process))
            .route("/metrics", get(metrics_process))
            .route("/log-level", get(log_level::show).merge(change))
            .with_state(state)
            .layer(from_fn_with_state(refused, guard::answer));
        Ok(Self { listener: TcpListener::bind(address).await?, router })
    }

    pub(super) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(super) async fn run(self, connections: Connections, stop: Stop) {
        let settings = ListenerSettings {
            name: LISTENER,
            max_connections: MAX_CONNECTIONS,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            unread_timeout: UNREAD_TIMEOUT,
            drain_timeout: Duration::from_secs(5),
            body: BodyPace { stall: Duration::from_secs(5), whole: Duration::from_secs(10) },
            only_http2: false,
            allowed_hosts: Some(Arc::from([])),
            http2: HTTP2,
        };
        connections.serve(self.listener, self.router, settings, stop).await;
    }
}

async fn ready_process(State(state): State<AdminState>) -> Response {
    let readiness = &state.readiness;
    Ready { ready: readiness.is_ready(), dependencies: readiness.dependencies() }.into_response()
}

async fn metrics_process(State(state): State<AdminState>, headers: HeaderMap) -> Response {
    match state.registry.get() {
        Some(registry) => metrics(registry, &headers),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the process is still starting").into_response(),
    }
}
