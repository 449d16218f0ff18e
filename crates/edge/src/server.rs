//! The edge's server: binds the address, routes requests to the handlers and runs until the process stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    routing::{MethodRouter, post},
};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};
use weir_event::EventMetrics;
use weir_process::{
    BodyPace, Latch, RoleReadiness, SharedRegistry, Stop,
    connections::{Connections, Http2Bounds, ListenerSettings, UNREAD_TIMEOUT},
    http_guard::RefusedRequests,
};

use crate::{
    args::{EdgeConfig, Upstreams},
    event_lookup::{self, EventLookup},
    health,
    metrics::{Retries, UpstreamService},
    middleware::{RequestLayer, request_metrics},
    openapi,
    reports::{self, Reports},
    state::EdgeState,
    upstream::Upstream,
    webhooks::{self, Webhooks},
};

/// Time for the requests in flight at shutdown. All roles together have 25 s, and the edge stops first.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// The head is bounded above the edge's own limits: the edge's rejection has a correlation id, hyper's is empty.
const HTTP2: Http2Bounds = Http2Bounds {
    stream_window: 256 << 10,
    connection_window: 1 << 20,
    max_streams: 128,
    max_head_bytes: 64 << 10,
};

/// Paths that take the same requests as `/events`, because some senders are configured with them.
const ALIASES: [&str; 2] = ["/webhook", "/webhooks"];

/// A bound edge.
#[derive(Debug)]
pub struct Edge {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    config: EdgeConfig,
    /// The services behind the edge, each with the latch of the ready probe.
    upstreams: [(Upstream, Latch); 2],
}

impl Edge {
    /// Listens, and answers no request yet. The edge registers its metrics in `registry`; `/metrics` shows
    /// `shared_registry`, which holds those of the whole process. `refused` counts for all listeners of the process.
    ///
    /// # Errors
    /// The address of `config` is in use, or it is not an address of this machine.
    pub async fn bind(
        config: &EdgeConfig,
        upstreams: &Upstreams,
        metrics: EventMetrics,
        readiness: RoleReadiness,
        registry: &mut Registry,
        shared_registry: SharedRegistry,
        refused: RefusedRequests,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("can't listen on {} (EDGE_LISTEN)", config.listen))?;
        let address = listener.local_addr()?;
        let retries = Retries::register(registry);
        let ingest = Upstream::resolve(UpstreamService::Ingest, &upstreams.ingest, retries.clone()).await;
        let reporting = Upstream::resolve(UpstreamService::Reporting, &upstreams.reporting, retries).await;
        let upstreams = [
            (ingest.clone(), readiness.dependency("ingest", true)),
            (reporting.clone(), readiness.dependency("reporting", false)),
        ];
        let timeout = config.request_timeout;
        let layer = RequestLayer::new(config.trace_trust, request_metrics::register(registry), refused);
        let state = EdgeState {
            event_lookup: Arc::new(EventLookup::new(ingest.clone(), reporting.clone(), timeout)),
            webhooks: Arc::new(Webhooks::new(config, ingest, metrics, registry)),
            reports: Arc::new(Reports::new(reporting, timeout)),
            readiness,
            registry: shared_registry,
        };
        let router = router(state, layer);
        Ok(Self { listener, address, router, config: config.clone(), upstreams })
    }

    /// The address that the edge listens on. Port 0 of the configuration is resolved to the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then answers the requests in flight and returns.
    ///
    /// # Errors
    /// None: an error of a connection ends that connection alone.
    pub async fn run(self, connections: Connections, stop: Stop) -> anyhow::Result<()> {
        for (upstream, latch) in self.upstreams {
            upstream.watch(latch, &stop);
        }
        connections.serve(self.listener, self.router, listener_settings(&self.config), stop).await;
        Ok(())
    }
}

fn listener_settings(config: &EdgeConfig) -> ListenerSettings {
    ListenerSettings {
        name: "edge",
        max_connections: config.max_connections,
        head_timeout: config.header_timeout,
        idle_timeout: config.idle_timeout,
        unread_timeout: UNREAD_TIMEOUT,
        drain_timeout: DRAIN_TIMEOUT,
        body: BodyPace { stall: config.body_stall_timeout, whole: config.body_timeout },
        only_http2: false,
        allowed_hosts: Some(Arc::clone(&config.allowed_hosts)),
        http2: HTTP2,
    }
}

/// Every route of the edge, and the description of the API.
fn router(state: EdgeState, layer: RequestLayer) -> Router {
    let (router, mut document) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(webhooks::post_events))
        .routes(routes!(event_lookup::get_event))
        .routes(routes!(reports::get_event_report))
        .routes(routes!(reports::get_revenue_report))
        .routes(routes!(reports::get_demographics_report))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .split_for_parts();
    // Some senders end every path with a slash. The API description states that in a sentence.
    let router = ALIASES.into_iter().fold(router.route("/events/", post_events()), |router, alias| {
        openapi::add_alias(&mut document, "/events", alias);
        router.route(alias, post_events()).route(&format!("{alias}/"), post_events())
    });
    openapi::add_head_rejections(&mut document);
    router.merge(openapi::routes(document)).with_state(state).layer(layer)
}

fn post_events() -> MethodRouter<EdgeState> {
    post(webhooks::post_events)
}
