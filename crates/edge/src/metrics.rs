//! What the edge shows of itself besides the metrics of every role.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use weir_process::Budget;

/// A service behind the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Ingest,
    Reporting,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Reporting => "reporting",
        }
    }
}

/// What became of a wish to call again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Made,
    /// The budget for retries was spent.
    Denied,
}

impl Outcome {
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

/// Calls that were made again, or would have been.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retries(Family<RetryLabels, Counter>);

impl Retries {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let retries = Self::default();
        registry.register(
            "weir_edge_retries",
            "Calls to a service behind the edge that were made again, or were not because too many had been",
            retries.0.clone(),
        );
        retries
    }

    pub(crate) fn count(&self, upstream: Service, outcome: Outcome) {
        self.0.get_or_create(&RetryLabels { upstream: upstream.name(), outcome: outcome.name() }).inc();
    }
}

/// Shows the room for bodies.
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

/// Connections that are held open, and the most that may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    pub(crate) open: Gauge,
}

impl Connections {
    pub(crate) fn register(most: usize, registry: &mut Registry) -> Self {
        let (connections, limit) = (Self::default(), Gauge::<i64>::default());
        limit.set(i64::try_from(most).unwrap_or(i64::MAX));
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
