//! Binds and runs the edge.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use weir_event::Metrics;
use weir_process::{Latch, RoleReadiness, SharedRegistry, Stop};

use crate::{
    args::{EdgeConfig, Upstreams},
    connections,
    event_lookup::Search,
    metrics::{Connections, Retries, Service},
    middleware::request_metrics,
    reports::Reports,
    router::{EdgeState, router},
    upstream::Upstream,
    webhooks::Webhooks,
};

/// A bound edge.
#[derive(Debug)]
pub struct Edge {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    config: EdgeConfig,
    connections: Connections,
    watched: [(Upstream, Latch); 2],
}

impl Edge {
    /// Listens, without answering yet. `registry` takes the edge's own metrics, `shared_registry` is what `/metrics`
    /// shows.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(
        config: &EdgeConfig,
        upstreams: &Upstreams,
        metrics: Metrics,
        readiness: RoleReadiness,
        registry: &mut Registry,
        shared_registry: SharedRegistry,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("can't listen on {} (EDGE_LISTEN)", config.listen))?;
        let address = listener.local_addr()?;
        let retries = Retries::register(registry);
        let ingest = Upstream::find(Service::Ingest, &upstreams.ingest, retries.clone()).await;
        let reporting = Upstream::find(Service::Reporting, &upstreams.reporting, retries).await;
        let watched = [
            (ingest.clone(), readiness.dependency("ingest", true)),
            (reporting.clone(), readiness.dependency("reporting", false)),
        ];
        let search =
            Search { ingest: ingest.clone(), reporting: reporting.clone(), timeout: config.request_timeout };
        let router = router(EdgeState {
            search,
            webhooks: Webhooks::new(config, ingest, metrics, registry),
            reports: Reports { reporting, timeout: config.request_timeout },
            readiness,
            registry: shared_registry,
            trace_trust: config.trace_trust,
            durations: request_metrics::register(registry),
        });
        let connections = Connections::register(config.max_connections, registry);
        Ok(Self { listener, address, router, config: config.clone(), connections, watched })
    }

    /// Where it listens, port 0 resolved.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then answers what is in flight and returns.
    ///
    /// # Errors
    /// None: whatever goes wrong with a connection ends that connection alone.
    pub async fn run(self, stop: Stop) -> anyhow::Result<()> {
        for (upstream, latch) in self.watched {
            upstream.watch(latch, &stop);
        }
        connections::serve(self.listener, self.router, &self.config, self.connections, stop).await;
        Ok(())
    }
}
