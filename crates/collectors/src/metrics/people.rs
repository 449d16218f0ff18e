//! What the collectors show of counting distinct users.

use std::time::Duration;

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

/// Gauges of what waits, the same in every collector, and counters of what this process did. Cheap to clone; every
/// clone counts into the same series.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeopleMetrics {
    waiting: Family<Labels, Gauge>,
    oldest: Family<Labels, Gauge>,
    folded: Family<Labels, Counter>,
    seconds: Family<Labels, Counter<f64, std::sync::atomic::AtomicU64>>,
    mended: Family<Labels, Counter>,
}

impl PeopleMetrics {
    /// Registers the families; once in a process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "weir_people_waiting",
            "Observations of people that are stored and not folded yet: reports look them up one by one",
            metrics.waiting.clone(),
        );
        registry.register(
            "weir_people_waiting_oldest_seconds",
            "How long the oldest sighting that is not folded has waited",
            metrics.oldest.clone(),
        );
        registry.register(
            "weir_people_folded",
            "Observations of people that this process folded into the sets that distinct users are counted by",
            metrics.folded.clone(),
        );
        registry.register(
            "weir_people_folding_seconds",
            "How long this process folded people",
            metrics.seconds.clone(),
        );
        registry.register(
            "weir_people_mended_buckets",
            "Buckets of distinct users that this process made anew from rows, because they counted others than the \
             rollups do",
            metrics.mended.clone(),
        );
        metrics
    }

    pub(crate) fn show_waiting(&self, source: Source, sightings: u64, oldest: Duration) {
        let labels = Labels { source: source.name() };
        self.waiting.get_or_create(&labels).set(sightings.cast_signed());
        self.oldest.get_or_create(&labels).set(oldest.as_secs().cast_signed());
    }

    pub(crate) fn count_folded(&self, source: Source, sightings: u64, took: Duration) {
        let labels = Labels { source: source.name() };
        self.folded.get_or_create(&labels).inc_by(sightings);
        self.seconds.get_or_create(&labels).inc_by(took.as_secs_f64());
    }

    pub(crate) fn count_mended(&self, source: Source, buckets: u64) {
        self.mended.get_or_create(&Labels { source: source.name() }).inc_by(buckets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_have_their_names() {
        let mut registry = Registry::default();
        let metrics = PeopleMetrics::register(&mut registry);
        metrics.show_waiting(Source::Tiktok, 3, Duration::from_millis(2_500));
        metrics.count_folded(Source::Facebook, 7, Duration::from_millis(250));
        metrics.count_mended(Source::Facebook, 2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"weir_people_waiting{source="tiktok"} 3"#,
            r#"weir_people_waiting_oldest_seconds{source="tiktok"} 2"#,
            r#"weir_people_folded_total{source="facebook"} 7"#,
            r#"weir_people_folding_seconds_total{source="facebook"} 0.25"#,
            r#"weir_people_mended_buckets_total{source="facebook"} 2"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
