//! Counters of spans by outcome.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

/// Counts spans. Cheap to clone; every clone counts into the same series.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanMetrics {
    spans: Family<Labels, Counter>,
}

impl SpanMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "weir_spans",
            "Spans that the trace collector took (exported), did not take (failed), or that came faster than it takes them (dropped)",
            self.spans.clone(),
        );
    }

    pub(super) fn exported(&self, spans: usize) {
        self.count("exported", spans);
    }

    pub(super) fn failed(&self, spans: usize) {
        self.count("failed", spans);
    }

    pub(super) fn dropped(&self, spans: usize) {
        self.count("dropped", spans);
    }

    fn count(&self, outcome: &'static str, spans: usize) {
        self.spans.get_or_create(&Labels { outcome }).inc_by(spans as u64);
    }
}
