//! Metrics of the journal, sampled: how full it is, how much waits and since when, what lies in the
//! graveyards. Every process that uses the journal shows it; over several the greatest is the figure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::time::{self, MissedTickBehavior};
use tracing::debug;
use weir_event::Source;
use weir_process::Stop;

use super::{DeadLetterStream, Journal, JournalError, names};

/// How often the journal is asked. A rate over a minute has some samples, and a broker does not notice.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    stream: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: &'static str,
}

/// The gauges. Cheap to clone; every clone shows into the same series.
#[derive(Clone, Debug, Default)]
pub struct JournalMetrics {
    bytes: Family<StreamLabels, Gauge>,
    limit: Family<StreamLabels, Gauge>,
    messages: Family<StreamLabels, Gauge>,
    gone: Family<StreamLabels, Gauge>,
    lag_frames: Family<SourceLabels, Gauge>,
    lag_seconds: Family<SourceLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    samples: Counter,
    failures: Counter,
}

impl JournalMetrics {
    /// Registers the families; once in a process.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let streams = [
            ("weir_stream_bytes", "Bytes that a stream of the journal holds", &metrics.bytes),
            ("weir_stream_limit_bytes", "The most bytes that it may hold", &metrics.limit),
            ("weir_stream_messages", "Frames or dead letters that it holds", &metrics.messages),
            (
                "weir_stream_gone_messages",
                "Dead letters that were dropped, removed or past their age, over the stream's life",
                &metrics.gone,
            ),
        ];
        for (name, help, family) in streams {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "weir_consumer_lag_frames",
            "Frames that collectors have not acknowledged",
            metrics.lag_frames.clone(),
        );
        registry.register(
            "weir_consumer_lag_seconds",
            "Age of the oldest frame that collectors have not acknowledged; 0 without one",
            metrics.lag_seconds.clone(),
        );
        registry.register(
            "weir_journal_samples",
            "Times that the journal was asked",
            metrics.samples.clone(),
        );
        registry.register(
            "weir_journal_sample_failures",
            "Times that it did not answer: the figures are those of the time before",
            metrics.failures.clone(),
        );
        metrics
    }

    /// Samples `journal` until `stop`.
    pub async fn watch(self, journal: Journal, stop: Stop) {
        let mut tick = time::interval(SAMPLE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let sampled = stop.run_until_cancelled(self.sample(&journal)).await;
            self.samples.inc();
            if let Some(Err(error)) = sampled {
                self.failures.inc();
                // Readiness tells the outage.
                debug!(%error, "the journal can't be sampled");
            }
        }
    }

    async fn sample(&self, journal: &Journal) -> Result<(), JournalError> {
        let fill = journal.usage().await?;
        self.show_stream(names::stream_label(None), fill.bytes, fill.max_bytes, fill.frames);
        for graveyard in DeadLetterStream::ALL {
            let stats = journal.dead_letter_stats(graveyard).await?;
            let stream = names::stream_label(Some(graveyard));
            self.show_stream(stream, stats.bytes, super::limits::GRAVEYARD_BYTES, stats.letters);
            self.gone.get_or_create(&StreamLabels { stream }).set(gauged(stats.gone));
        }
        let now = journal.clock().await?.now();
        for source in Source::ALL {
            let labels = SourceLabels { source: source.name() };
            let backlog = journal.backlog(*source).await?;
            self.lag_frames.get_or_create(&labels).set(gauged(backlog.waiting + backlog.in_flight));
            let oldest = journal.oldest_waiting(*source).await?;
            self.lag_seconds.get_or_create(&labels).set(oldest.map_or(0.0, |oldest| age(oldest, now)));
        }
        Ok(())
    }

    fn show_stream(&self, stream: &'static str, bytes: u64, limit: u64, messages: u64) {
        let labels = StreamLabels { stream };
        self.bytes.get_or_create(&labels).set(gauged(bytes));
        self.limit.get_or_create(&labels).set(gauged(limit));
        self.messages.get_or_create(&labels).set(gauged(messages));
    }
}

fn gauged(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

/// Seconds, by the clock that wrote the time down.
fn age(since: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (now - since).to_std().unwrap_or_default().as_secs_f64()
}
