//! The metrics of ingest, besides those of every role.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use weir_journal::{AppendError, Durability, SealedFrame};
use weir_process::{LatencyHistogram, Room, TraceContext};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PromiseLabels {
    promise: &'static str,
}

/// The durability of the journal's acknowledgement: 1 at the promise that holds, 0 at the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct PromiseGauge(Family<PromiseLabels, Gauge>);

impl PromiseGauge {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let gauge = Self::default();
        registry.register(
            "weir_journal_durability",
            "The failure that an acknowledged event survives: 1 at power_loss, process_crash or unknown",
            gauge.0.clone(),
        );
        gauge
    }

    pub(crate) fn show(&self, durability: Durability) {
        for promise in Durability::ALL {
            let labels = PromiseLabels { promise: promise.name() };
            self.0.get_or_create(&labels).set(i64::from(promise == durability));
        }
    }
}

/// Registers the bytes of calls in flight and their limit.
pub(crate) fn register_calls(room: &Room, registry: &mut Registry) {
    registry.register(
        "weir_ingest_call_bytes_in_flight",
        "Bytes of PublishEvents calls in flight, as they arrived over the network, in blocks of 4 KiB",
        room.in_flight(),
    );
    registry.register(
        "weir_ingest_call_bytes_limit",
        "The most bytes of PublishEvents calls in flight; beyond it ingest lets calls wait, then refuses them",
        room.limit(),
    );
    registry.register(
        "weir_ingest_calls_dropped",
        "Slow PublishEvents calls that were dropped because others needed their room",
        room.taken(),
    );
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublishLabels {
    outcome: &'static str,
}

/// Histograms of PublishEvents calls. Cheap to clone; all clones share the same series.
#[derive(Clone, Debug)]
pub(crate) struct PublishMetrics {
    durations: LatencyHistogram<PublishLabels>,
    items: Histogram,
    frames: Histogram,
}

impl PublishMetrics {
    /// Registers the families, once in a process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            durations: LatencyHistogram::register(
                registry,
                "weir_publish_duration_seconds",
                "Time of a call's items from the gate to the journal's acknowledgement or refusal",
            ),
            items: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            frames: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
        };
        registry.register("weir_publish_items", "Items of one PublishEvents call", metrics.items.clone());
        registry.register(
            "weir_frame_events",
            "Events of one frame, with the repeats that it stands for",
            metrics.frames.clone(),
        );
        metrics
    }

    /// Records one call and its frames.
    pub(crate) fn observe(
        &self,
        items: usize,
        frames: &[SealedFrame],
        outcome: &Result<(), AppendError>,
        duration: Duration,
        trace: &TraceContext,
    ) {
        self.durations.observe(&PublishLabels { outcome: outcome_name(outcome) }, duration, Some(trace));
        self.items.observe(items as f64);
        frames.iter().for_each(|frame| self.frames.observe(frame.accepted() as f64));
    }
}

fn outcome_name(outcome: &Result<(), AppendError>) -> &'static str {
    match outcome {
        Ok(()) => "durable",
        Err(AppendError::Full) => "journal_full",
        Err(AppendError::TooLarge { .. }) => "too_large",
        Err(AppendError::Unreachable(_)) => "journal_unavailable",
    }
}
