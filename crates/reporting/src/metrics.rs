//! How long reports take (wire.md section 6).

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};

/// Seconds: from what an empty store needs to what a report may take by default.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

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
    duration: Family<Labels, Histogram>,
}

impl Metrics {
    /// Registers the family; once in a process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let duration = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        // Without a unit, which the registry would add to the name a second time.
        registry.register(
            "report_duration_seconds",
            "How long a well-formed question took, answered or not",
            duration.clone(),
        );
        Self { duration }
    }

    pub(crate) fn observe(&self, report_type: ReportType, duration: Duration) {
        self.duration.get_or_create(&Labels { report_type }).observe(duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_has_the_name_of_the_wire() {
        let mut registry = Registry::default();
        Metrics::register(&mut registry).observe(ReportType::Revenue, Duration::from_millis(3));
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
