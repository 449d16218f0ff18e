//! How long reports take, and what is kept in memory for them.

use std::time::Duration;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric as _, LabelValueEncoder},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};
use weir_process::{LatencyHistogram, TraceContext};

use crate::demographics::Columns;

/// Which of the reports.
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

/// The histogram of reports. Cheap to clone; every clone observes into the same series.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    duration: LatencyHistogram<Labels>,
}

/// What is kept of people, read at each scrape.
#[derive(Debug)]
struct KeptBytes(Columns);

impl Collector for KeptBytes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Bytes of what is known of people that reporting keeps in memory, at most 256 MiB between answers";
        let kept = ConstGauge::new(self.0.bytes() as i64);
        kept.encode(encoder.encode_descriptor("weir_people_kept_bytes", help, None, MetricType::Gauge)?)
    }
}

impl Metrics {
    /// Registers the family; once in a process.
    pub(crate) fn register(registry: &mut Registry, columns: Columns) -> Self {
        registry.register(
            "weir_demographics_sections",
            "Sections of demographics that were counted from sets of people, or from rows where those miss an event",
            columns.sections.0.clone(),
        );
        registry.register_collector(Box::new(KeptBytes(columns)));
        let help = "How long a well-formed question took, answered or not";
        Self { duration: LatencyHistogram::register(registry, "report_duration_seconds", help) }
    }

    /// One question; `trace` leads to it.
    pub(crate) fn observe(&self, report_type: ReportType, duration: Duration, trace: &TraceContext) {
        self.duration.observe(&Labels { report_type }, duration, Some(trace));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_has_the_name_of_the_wire() {
        let mut registry = Registry::default();
        Metrics::register(&mut registry, Columns::new(0)).observe(
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
