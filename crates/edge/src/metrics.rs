//! Metrics of the edge itself. `weir_event::EventMetrics` has the counters that every role shares.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use weir_process::Room;

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

/// Registers the gauges of the bytes of bodies in flight and of their limit, and the counter of bodies that made room.
pub(crate) fn register_bodies(room: &Room, registry: &mut Registry) {
    registry.register(
        "weir_edge_body_bytes_in_flight",
        "Bytes of webhook bodies that the edge holds, in blocks of 4 KiB",
        room.in_flight(),
    );
    registry.register(
        "weir_edge_body_bytes_limit",
        "The most bytes of webhook bodies that the edge holds; beyond it new bodies are not read",
        room.limit(),
    );
    registry.register(
        "weir_edge_bodies_dropped",
        "Slow webhook bodies that were dropped because others needed their room",
        room.taken(),
    );
}
