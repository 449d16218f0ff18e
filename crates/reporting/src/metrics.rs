//! Metrics of reports: the time that each one takes.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    registry::Registry,
};
use weir_process::{LatencyHistogram, TraceContext};

/// The reports that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ReportType {
    Events,
    Revenue,
    Demographics,
}

impl ReportType {
    /// The `report_type` label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Revenue => "revenue",
            Self::Demographics => "demographics",
        }
    }
}

impl EncodeLabelValue for ReportType {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.name(), encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    report_type: ReportType,
}

/// The histogram of reports. Cheap to clone; all clones observe into the same series.
#[derive(Clone, Debug)]
pub(crate) struct ReportMetrics {
    duration: LatencyHistogram<Labels>,
}

impl ReportMetrics {
    /// Registers the histogram. A process calls it once.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let help = "Duration of a report with a valid request, answered or not";
        Self { duration: LatencyHistogram::register(registry, "report_duration_seconds", help) }
    }

    /// Observes one report; `trace` is the trace of its call.
    pub(crate) fn observe(&self, report_type: ReportType, duration: Duration, trace: &TraceContext) {
        self.duration.observe(&Labels { report_type }, duration, Some(trace));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_has_its_documented_name() {
        let mut registry = Registry::default();
        ReportMetrics::register(&mut registry).observe(
            ReportType::Revenue,
            Duration::from_millis(3),
            &TraceContext::default(),
        );
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"report_duration_seconds_bucket{le="0.005",report_type="revenue"} 1"#,
            r#"report_duration_seconds_sum{report_type="revenue"} 0.003"#,
            r#"report_duration_seconds_count{report_type="revenue"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
