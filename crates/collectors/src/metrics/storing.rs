//! What collectors show of storing, besides the counters of every role.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use weir_event::Source;
use weir_process::{LatencyHistogram, TraceContext};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommitLabels {
    source: &'static str,
    outcome: &'static str,
}

/// How much is stored at once, and how long that takes. Cheap to clone; every clone observes into the same series.
#[derive(Clone, Debug)]
pub(crate) struct StoringMetrics {
    frames: Family<SourceLabels, Histogram, fn() -> Histogram>,
    events: Family<SourceLabels, Histogram, fn() -> Histogram>,
    commits: LatencyHistogram<CommitLabels>,
}

impl StoringMetrics {
    /// Registers the families; once in a process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let frames =
            Family::new_with_constructor((|| Histogram::new(exponential_buckets(1.0, 2.0, 6))) as fn() -> _);
        let events =
            Family::new_with_constructor((|| Histogram::new(exponential_buckets(1.0, 4.0, 8))) as fn() -> _);
        registry.register("weir_batch_frames", "Frames that were stored in one transaction", frames.clone());
        registry.register("weir_batch_events", "Events that were stored in one transaction", events.clone());
        let commits = LatencyHistogram::register(
            registry,
            "weir_commit_duration_seconds",
            "How long a storing transaction took, from its beginning to its commit or its failure",
        );
        Self { frames, events, commits }
    }

    /// One transaction; `trace` leads to it.
    pub(crate) fn observe(
        &self,
        source: Source,
        frames: usize,
        events: u64,
        duration: Duration,
        committed: bool,
        trace: &TraceContext,
    ) {
        let outcome = if committed { "committed" } else { "failed" };
        self.commits.observe(&CommitLabels { source: source.name(), outcome }, duration, Some(trace));
        if committed {
            let labels = SourceLabels { source: source.name() };
            self.frames.get_or_create(&labels).observe(frames as f64);
            self.events.get_or_create(&labels).observe(events as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_transaction_has_a_duration_and_no_size() {
        let mut registry = Registry::default();
        let metrics = StoringMetrics::register(&mut registry);
        for committed in [true, false] {
            let untraced = TraceContext::default();
            metrics.observe(Source::Tiktok, 2, 700, Duration::from_millis(4), committed, &untraced);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"weir_batch_frames_count{source="tiktok"} 1"#,
            r#"weir_batch_events_sum{source="tiktok"} 700.0"#,
            r#"weir_commit_duration_seconds_count{source="tiktok",outcome="committed"} 1"#,
            r#"weir_commit_duration_seconds_count{source="tiktok",outcome="failed"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
