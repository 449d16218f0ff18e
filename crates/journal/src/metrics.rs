//! Metrics of the journal: usage, backlog, dead letters and lost frames. Every process that uses the journal reports
//! them; the highest value over all processes counts.

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
use weir_process::{Latch, Stop};

use crate::{
    checkpoint::JournalCheckpoint, dead_letter_stream::DeadLetterStream, error::JournalError,
    journal::Journal, limits, names,
};

/// Gives a rate over one minute several samples. The load on the server is negligible.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    stream: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: &'static str,
}

impl From<Source> for SourceLabels {
    fn from(source: Source) -> Self {
        Self { source: source.name() }
    }
}

/// The sampled metrics of a journal. A clone is cheap and writes the same series.
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
    /// Registers the families; once per process.
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

    /// Samples `journal` every 5 s until `stop`.
    pub async fn watch(self, journal: Journal, stop: Stop) {
        let mut tick = time::interval(SAMPLE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let sampled = stop.run_until_cancelled(self.sample(&journal)).await;
            self.samples.inc();
            if let Some(Err(error)) = sampled {
                self.failures.inc();
                // The ready probe reports the outage.
                debug!(%error, "the journal can't be sampled");
            }
        }
    }

    async fn sample(&self, journal: &Journal) -> Result<(), JournalError> {
        let usage = journal.usage().await?;
        self.set_stream(names::stream_label(None), usage.bytes, usage.max_bytes, usage.frames);
        for stream in DeadLetterStream::ALL {
            let stats = journal.dead_letter_stats(stream).await?;
            let label = names::stream_label(Some(stream));
            self.set_stream(label, stats.bytes, limits::DEAD_LETTER_STREAM_BYTES, stats.letters);
            self.gone.get_or_create(&StreamLabels { stream: label }).set(gauge_value(stats.gone));
        }
        let now = journal.clock().await?.now();
        for &source in Source::ALL {
            let labels = SourceLabels::from(source);
            let backlog = journal.backlog(source).await?;
            self.lag_frames.get_or_create(&labels).set(gauge_value(backlog.waiting + backlog.in_flight));
            let oldest = journal.oldest_unacknowledged(source).await?;
            let lag = oldest.map_or(0.0, |oldest| seconds_between(oldest, now));
            self.lag_seconds.get_or_create(&labels).set(lag);
        }
        Ok(())
    }

    fn set_stream(&self, stream: &'static str, bytes: u64, limit: u64, messages: u64) {
        let labels = StreamLabels { stream };
        self.bytes.get_or_create(&labels).set(gauge_value(bytes));
        self.limit.get_or_create(&labels).set(gauge_value(limit));
        self.messages.get_or_create(&labels).set(gauge_value(messages));
    }
}

/// The metric `weir_frames_lost{source}`. A clone is cheap and writes the same series.
#[derive(Clone, Debug, Default)]
pub struct LostFrameMetrics {
    frames: Family<SourceLabels, Gauge>,
}

impl LostFrameMetrics {
    /// Registers the family; once per process.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "weir_frames_lost",
            "Accepted frames that can't come any more: their stream was removed, or an older copy of it is back",
            metrics.frames.clone(),
        );
        for &source in Source::ALL {
            metrics.frames.get_or_create(&source.into()).set(0);
        }
        metrics
    }

    /// Sets the gauges to the lost frames of all journals. `latch` reports them in the ready probe.
    pub fn set(&self, checkpoints: &[JournalCheckpoint], latch: &Latch) {
        let mut losses = Vec::new();
        for &source in Source::ALL {
            let lost: u64 = checkpoints.iter().map(|checkpoint| checkpoint.of(source).lost).sum();
            self.frames.get_or_create(&source.into()).set(gauge_value(lost));
            if lost > 0 {
                losses.push(format!("{lost} of {source}"));
            }
        }
        latch.set(if losses.is_empty() { Ok(()) } else { Err(loss_text(&losses.join(" and "))) });
    }
}

fn loss_text(lost: &str) -> String {
    format!(
        "accepted frames can't come any more: {lost}. Their stream was removed or purged, or an older copy of it is back; see \
         WeirFramesLost in docs/runbook.md, and when that is dealt with `weir journal forget-lost`"
    )
}

fn gauge_value(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Seconds from `since` to `now`, both by the clock that stored the frame.
fn seconds_between(since: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (now - since).to_std().unwrap_or_default().as_secs_f64()
}
