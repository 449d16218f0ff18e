//! Metrics of the edge itself. `weir_event::EventMetrics` has the counters that every role shares.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use weir_process::Budget;

/// A service behind the edge: the `upstream` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamService {
    Ingest,
    Reporting,
}

impl UpstreamService {
    fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Reporting => "reporting",
        }
    }
}

/// The result of a decision to retry a call: the `outcome` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryOutcome {
    Made,
    /// The retry budget was empty.
    Denied,
}

impl RetryOutcome {
    fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Denied => "denied",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RetryLabels {
    upstream: &'static str,
    outcome: &'static str,
}

/// Counts retries, those that the budget denied among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retries(Family<RetryLabels, Counter>);

impl Retries {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let retries = Self::default();
        registry.register(
            "weir_edge_retries",
            "Retries of calls to a service behind the edge, made or denied by the retry budget",
            retries.0.clone(),
        );
        retries
    }

    pub(crate) fn count(&self, upstream: UpstreamService, outcome: RetryOutcome) {
        self.0.get_or_create(&RetryLabels { upstream: upstream.name(), outcome: outcome.name() }).inc();
    }
}

/// Registers the gauges of the bytes of bodies in flight and of their limit.
pub(crate) fn register_bodies(budget: &Budget, registry: &mut Registry) {
    registry.register(
        "weir_edge_body_bytes_in_flight",
        "Bytes of webhook bodies that the edge holds, in blocks of 4 KiB",
        budget.in_flight(),
    );
    registry.register(
        "weir_edge_body_bytes_limit",
        "The most bytes of webhook bodies that the edge holds; beyond it new bodies are not read",
        budget.limit(),
    );
}

/// The gauge of open connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    pub(crate) open: Gauge,
}

impl Connections {
    /// Registers the gauge, and one of the limit `max`.
    pub(crate) fn register(max: usize, registry: &mut Registry) -> Self {
        let (connections, limit) = (Self::default(), Gauge::<i64>::default());
        limit.set(i64::try_from(max).unwrap_or(i64::MAX));
        registry.register(
            "weir_edge_connections",
            "Connections that the edge holds open",
            connections.open.clone(),
        );
        registry.register(
            "weir_edge_connections_limit",
            "The most connections that the edge holds open; more wait to be accepted",
            limit,
        );
        connections
    }
}
