//! What the collectors show of removing; what they show of storing is every role's (`weir_event::Metrics`).

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use weir_event::Source;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    source: &'static str,
}

/// Counters and gauges of removing, by the source whose events it concerns and not by the process that removes: any
/// collector may. Cheap to clone; every clone counts into the same series.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemovalMetrics {
    pub(crate) rows: RemovedCounter,
    pub(crate) keys: RemovedCounter,
    pub(crate) frames: RemovedCounter,
    complete_from: Family<Labels, Gauge>,
}

/// How many of one kind were removed.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemovedCounter(Family<Labels, Counter>);

impl RemovalMetrics {
    /// Registers the families; once in a process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for (name, help, counter) in [
            ("rows_removed", "Rows of events that were kept for EVENT_RETENTION and removed", &metrics.rows),
            (
                "event_keys_removed",
                "Keys of removed events that were kept for EVENT_KEY_RETENTION and forgotten",
                &metrics.keys,
            ),
            ("frames_folded", "Accounts of single frames that were added to the totals", &metrics.frames),
        ] {
            registry.register(name, help, counter.0.clone());
        }
        registry.register(
            "rows_complete_from_timestamp_seconds",
            "Since which event time every stored event still has its row; absent where none was removed",
            metrics.complete_from.clone(),
        );
        metrics
    }

    /// `complete_from` in µs since the Unix epoch.
    pub(crate) fn show_horizon(&self, source: i16, complete_from: i64) {
        self.complete_from.get_or_create(&labels(source)).set(complete_from / 1_000_000);
    }
}

impl RemovedCounter {
    pub(crate) fn count(&self, source: i16, number: u64) {
        self.0.get_or_create(&labels(source)).inc_by(number);
    }
}

/// `source` as the database has it.
fn labels(source: i16) -> Labels {
    Labels { source: Source::from_number(source.into()).map_or("unknown", Source::name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_have_their_names() {
        let mut registry = Registry::default();
        let metrics = RemovalMetrics::register(&mut registry);
        metrics.rows.count(1, 3);
        metrics.keys.count(2, 2);
        metrics.frames.count(2, 1);
        metrics.show_horizon(1, 1_757_834_520_000_000);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"rows_removed_total{source="facebook"} 3"#,
            r#"event_keys_removed_total{source="tiktok"} 2"#,
            r#"frames_folded_total{source="tiktok"} 1"#,
            r#"rows_complete_from_timestamp_seconds{source="facebook"} 1757834520"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
