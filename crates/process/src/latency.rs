//! Histograms of durations with exemplars that name a trace.

use std::{fmt::Debug, hash::Hash, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{exemplar::HistogramWithExemplars, family::Family},
    registry::Registry,
};

use super::TraceContext;

/// In seconds: from the duration of a call on the same machine to the longest deadline.
const BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The label of an exemplar. Dashboards find the trace by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabel {
    trace_id: String,
}

/// A family of histograms, in seconds. Cheap to clone; every clone observes into the same series.
#[derive(Clone, Debug)]
pub struct LatencyHistogram<Labels>(Family<Labels, HistogramWithExemplars<TraceLabel>, Histograms>);

type Histograms = fn() -> HistogramWithExemplars<TraceLabel>;

impl<Labels: Clone + Debug + Hash + Eq + EncodeLabelSet + Send + Sync + 'static> LatencyHistogram<Labels> {
    /// Registers the family under `name`, which ends in `_seconds`.
    #[must_use]
    pub fn register(registry: &mut Registry, name: &'static str, help: &'static str) -> Self {
        let histogram: Histograms = || HistogramWithExemplars::new(BUCKETS.into_iter());
        let durations = Self(Family::new_with_constructor(histogram));
        // The registry would add a unit to the name a second time.
        registry.register(name, help, durations.0.clone());
        durations
    }

    /// Observes one duration. A sampled `trace` becomes the exemplar, because only such a trace can be looked
    /// up.
    pub fn observe(&self, labels: &Labels, duration: Duration, trace: Option<&TraceContext>) {
        let label = trace
            .and_then(TraceContext::sampled_trace_id)
            .map(|trace_id| TraceLabel { trace_id: trace_id.to_owned() });
        self.0.get_or_create(labels).observe(duration.as_secs_f64(), label, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Labels {
        kind: &'static str,
    }

    fn text(trace: &TraceContext) -> String {
        let mut registry = Registry::default();
        let durations = LatencyHistogram::register(&mut registry, "work_seconds", "Work");
        durations.observe(&Labels { kind: "a" }, Duration::from_millis(3), Some(trace));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn a_sampled_trace_is_the_exemplar_of_its_bucket() {
        let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let text = text(&TraceContext::parse(Some(sampled), None));
        let line = r#"work_seconds_bucket{le="0.005",kind="a"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.003"#;
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn an_unsampled_trace_is_not_an_exemplar() {
        let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert!(!text(&TraceContext::parse(Some(unsampled), None)).contains("trace_id"));
        assert!(!text(&TraceContext::default()).contains("trace_id"));
    }
}
