//! How long ingest takes, and how much comes at once.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::histogram::{Histogram, exponential_buckets},
    registry::Registry,
};
use weir_journal::{AppendError, SealedFrame};
use weir_process::{LatencyHistogram, TraceContext};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

/// Histograms of publishing. Cheap to clone; every clone observes into the same series.
#[derive(Clone, Debug)]
pub(crate) struct PublishMetrics {
    durations: LatencyHistogram<Labels>,
    items: Histogram,
    frames: Histogram,
}

impl PublishMetrics {
    /// Registers the families; once in a process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            durations: LatencyHistogram::register(
                registry,
                "weir_publish_duration_seconds",
                "How long items took from the gate to the journal's acknowledgement or refusal",
            ),
            items: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            frames: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
        };
        registry.register("weir_publish_items", "Items of one PublishEvents call", metrics.items.clone());
        registry.register("weir_frame_events", "Events of one frame", metrics.frames.clone());
        metrics
    }

    /// One call, with what it was cut into.
    pub(crate) fn observe(
        &self,
        items: usize,
        frames: &[SealedFrame],
        outcome: &Result<(), AppendError>,
        duration: Duration,
        trace: &TraceContext,
    ) {
        self.durations.observe(&Labels { outcome: name(outcome) }, duration, Some(trace));
        self.items.observe(items as f64);
        frames.iter().for_each(|frame| self.frames.observe(frame.accepted() as f64));
    }
}

fn name(outcome: &Result<(), AppendError>) -> &'static str {
    match outcome {
        Ok(()) => "durable",
        Err(AppendError::Full) => "journal_full",
        Err(AppendError::TooLarge { .. }) => "too_large",
        Err(AppendError::Unreachable(_)) => "journal_unavailable",
    }
}
