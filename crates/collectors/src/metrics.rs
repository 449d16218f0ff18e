//! Metrics of the collectors. `weir_event::EventMetrics` has those that every role counts.

use std::{
    fmt,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use weir_event::{EventMetrics, Source};
use weir_journal::LostFrameMetrics;
use weir_process::{LatencyHistogram, TraceContext, clock::ClockMetrics};

/// All metrics of the collectors. Cheap to clone; all clones share one set of series, as do those of its parts.
#[derive(Clone, Debug)]
pub struct CollectorMetrics {
    pub(crate) events: EventMetrics,
    pub(crate) storing: StoringMetrics,
    pub(crate) removal: RemovalMetrics,
    pub(crate) audit: AuditMetrics,
    pub(crate) people: PeopleMetrics,
    pub(crate) rankings: RankingMetrics,
    pub(crate) clock: ClockMetrics,
    pub(crate) lost: LostFrameMetrics,
}

impl CollectorMetrics {
    /// Registers the collectors' own families, once in a process. The families of the arguments are shared with other
    /// roles.
    #[must_use]
    pub fn register(
        registry: &mut Registry,
        events: EventMetrics,
        clock: ClockMetrics,
        lost: LostFrameMetrics,
    ) -> Self {
        let (storing, removal) = (StoringMetrics::register(registry), RemovalMetrics::register(registry));
        let (audit, people) = (AuditMetrics::register(registry), PeopleMetrics::register(registry));
        let rankings = RankingMetrics::register(registry);
        Self { events, storing, removal, audit, people, rankings, clock, lost }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: &'static str,
}

impl SourceLabels {
    fn of(source: Source) -> Self {
        Self { source: source.name() }
    }

    /// The labels of a source by its number in the database.
    fn of_number(source: i16) -> Self {
        Self { source: Source::from_number(source.into()).map_or("unknown", Source::name) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommitLabels {
    source: &'static str,
    outcome: &'static str,
}

/// The sizes and durations of storing transactions.
#[derive(Clone, Debug)]
pub(crate) struct StoringMetrics {
    frames: Family<SourceLabels, Histogram, fn() -> Histogram>,
    events: Family<SourceLabels, Histogram, fn() -> Histogram>,
    commits: LatencyHistogram<CommitLabels>,
}

impl StoringMetrics {
    fn register(registry: &mut Registry) -> Self {
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

    /// Observes one transaction. `trace` becomes the exemplar of its duration.
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
            let labels = SourceLabels::of(source);
            self.frames.get_or_create(&labels).observe(frames as f64);
            self.events.get_or_create(&labels).observe(events as f64);
        }
    }
}

/// The counts of retention. They are labelled by the source of the removed events, because any collector may remove
/// them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemovalMetrics {
    pub(crate) rows: RemovedCounter,
    pub(crate) keys: RemovedCounter,
    pub(crate) frames: RemovedCounter,
    complete_from: Family<SourceLabels, Gauge>,
}

/// The number of removed rows of one table, by source.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemovedCounter(Family<SourceLabels, Counter>);

impl RemovalMetrics {
    fn register(registry: &mut Registry) -> Self {
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

    /// Shows the horizon of a source; `complete_from` in µs since the Unix epoch.
    pub(crate) fn show_horizon(&self, source: i16, complete_from: i64) {
        self.complete_from.get_or_create(&SourceLabels::of_number(source)).set(complete_from / 1_000_000);
    }
}

impl RemovedCounter {
    pub(crate) fn count(&self, source: i16, number: u64) {
        self.0.get_or_create(&SourceLabels::of_number(source)).inc_by(number);
    }
}

/// The result of the audit. Every collector of a store shows the same number.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditMetrics {
    unaccounted: UnaccountedGauge,
    failures: Counter,
}

/// A gauge without a series until the first audit sets it.
#[derive(Clone, Debug, Default)]
struct UnaccountedGauge(Arc<OnceLock<Gauge>>);

impl Collector for UnaccountedGauge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        const NAME: &str = "weir_frames_unaccounted";
        const HELP: &str = "Frames that the journal holds as acknowledged and the store has no record of";
        let Some(gauge) = self.0.get() else { return Ok(()) };
        gauge.encode(encoder.encode_descriptor(NAME, HELP, None, gauge.metric_type())?)
    }
}

impl AuditMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_collector(Box::new(metrics.unaccounted.clone()));
        registry.register(
            "weir_audit_failures",
            "Times that journal or store did not answer the audit; the number of unaccounted frames stays the previous one then",
            metrics.failures.clone(),
        );
        metrics
    }

    pub(crate) fn show(&self, unaccounted: u64) {
        let gauge = self.unaccounted.0.get_or_init(Gauge::default);
        gauge.set(i64::try_from(unaccounted).unwrap_or(i64::MAX));
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }
}

/// The counts of distinct users' folding. Every collector shows the same gauges; each counts its own work.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeopleMetrics {
    waiting: Family<SourceLabels, Gauge>,
    oldest: Family<SourceLabels, Gauge>,
    folded: Family<SourceLabels, Counter>,
    seconds: Family<SourceLabels, Counter<f64, AtomicU64>>,
    rebuilt: Family<SourceLabels, Counter>,
}

impl PeopleMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "weir_people_waiting",
            "Observations of people that are stored and not folded yet: reports look them up one by one",
            metrics.waiting.clone(),
        );
        registry.register(
            "weir_people_waiting_oldest_seconds",
            "How long the oldest observation that is not folded has waited",
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
            "Buckets of distinct users that this process rebuilt from rows, because their counts differed from those of \
             the rollups",
            metrics.rebuilt.clone(),
        );
        metrics
    }

    pub(crate) fn show_waiting(&self, source: Source, observations: u64, oldest: Duration) {
        let labels = SourceLabels::of(source);
        self.waiting.get_or_create(&labels).set(observations.cast_signed());
        self.oldest.get_or_create(&labels).set(oldest.as_secs().cast_signed());
    }

    pub(crate) fn count_folded(&self, source: Source, observations: u64, took: Duration) {
        let labels = SourceLabels::of(source);
        self.folded.get_or_create(&labels).inc_by(observations);
        self.seconds.get_or_create(&labels).inc_by(took.as_secs_f64());
    }

    pub(crate) fn count_rebuilt(&self, source: Source, buckets: u64) {
        self.rebuilt.get_or_create(&SourceLabels::of(source)).inc_by(buckets);
    }
}

/// The counts of the rankings of campaigns. Every collector shows the same gauge; each counts its own work.
#[derive(Clone, Debug, Default)]
pub(crate) struct RankingMetrics {
    waiting: Gauge,
    rebuilt: Counter,
}

impl RankingMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "weir_rankings_waiting",
            "Transactions that are stored and in no ranking of campaigns yet: reports add them up one by one",
            metrics.waiting.clone(),
        );
        registry.register(
            "weir_rankings_mended_buckets",
            "Rankings of campaigns that this process made from the rollups, because their sums differed",
            metrics.rebuilt.clone(),
        );
        metrics
    }

    pub(crate) fn show_waiting(&self, transactions: u64) {
        self.waiting.set(transactions.cast_signed());
    }

    pub(crate) fn count_rebuilt(&self, buckets: u64) {
        self.rebuilt.inc_by(buckets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    fn assert_lines(registry: &Registry, lines: &[&str]) {
        let text = text(registry);
        for line in lines {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_failed_transaction_has_a_duration_and_no_size() {
        let mut registry = Registry::default();
        let metrics = StoringMetrics::register(&mut registry);
        for committed in [true, false] {
            let untraced = TraceContext::default();
            metrics.observe(Source::Tiktok, 2, 700, Duration::from_millis(4), committed, &untraced);
        }
        let lines = [
            r#"weir_batch_frames_count{source="tiktok"} 1"#,
            r#"weir_batch_events_sum{source="tiktok"} 700.0"#,
            r#"weir_commit_duration_seconds_count{source="tiktok",outcome="committed"} 1"#,
            r#"weir_commit_duration_seconds_count{source="tiktok",outcome="failed"} 1"#,
        ];
        assert_lines(&registry, &lines);
    }

    #[test]
    fn the_families_of_removal_have_their_names() {
        let mut registry = Registry::default();
        let metrics = RemovalMetrics::register(&mut registry);
        metrics.rows.count(1, 3);
        metrics.keys.count(2, 2);
        metrics.frames.count(2, 1);
        metrics.show_horizon(1, 1_757_834_520_000_000);
        let lines = [
            r#"rows_removed_total{source="facebook"} 3"#,
            r#"event_keys_removed_total{source="tiktok"} 2"#,
            r#"frames_folded_total{source="tiktok"} 1"#,
            r#"rows_complete_from_timestamp_seconds{source="facebook"} 1757834520"#,
        ];
        assert_lines(&registry, &lines);
    }

    #[test]
    fn the_gauge_of_the_audit_is_absent_before_the_first_audit() {
        let mut registry = Registry::default();
        let metrics = AuditMetrics::register(&mut registry);
        assert!(!text(&registry).contains("weir_frames_unaccounted"));
        metrics.show(0);
        assert!(text(&registry).contains("\nweir_frames_unaccounted 0"));
    }

    #[test]
    fn the_families_of_rankings_have_their_names() {
        let mut registry = Registry::default();
        let metrics = RankingMetrics::register(&mut registry);
        metrics.show_waiting(3);
        metrics.count_rebuilt(2);
        assert_lines(&registry, &["weir_rankings_waiting 3", "weir_rankings_mended_buckets_total 2"]);
    }

    #[test]
    fn the_families_of_people_have_their_names() {
        let mut registry = Registry::default();
        let metrics = PeopleMetrics::register(&mut registry);
        metrics.show_waiting(Source::Tiktok, 3, Duration::from_millis(2_500));
        metrics.count_folded(Source::Facebook, 7, Duration::from_millis(250));
        metrics.count_rebuilt(Source::Facebook, 2);
        let lines = [
            r#"weir_people_waiting{source="tiktok"} 3"#,
            r#"weir_people_waiting_oldest_seconds{source="tiktok"} 2"#,
            r#"weir_people_folded_total{source="facebook"} 7"#,
            r#"weir_people_folding_seconds_total{source="facebook"} 0.25"#,
            r#"weir_people_mended_buckets_total{source="facebook"} 2"#,
        ];
        assert_lines(&registry, &lines);
    }
}
