//! The job of retention: one collector of the fleet at a time sweeps, batch after batch, until no old row is left.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use tracing::{debug, info, warn};
use weir_database::dialect::Dialect;
use weir_event::Source;
use weir_journal::{Journal, JournalError};
use weir_process::{Stop, clock::RoleClock};

use super::{
    batch::{BatchSize, RemovedOfSource, SweptTable},
    cutoffs::{Cutoffs, Retention},
    database::SweepConnection,
    segments::SegmentPart,
};
use crate::{
    metrics::{RemovalMetrics, RemovedCounter},
    outage,
    store::Store,
};

/// The delay of the first sweep, which leaves the workers time to start.
const FIRST_SWEEP: Duration = Duration::from_secs(10);

/// The job that removes rows whose retention is over.
#[derive(Debug)]
pub(crate) struct Sweeper {
    pub(crate) retention: Retention,
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    /// While it can't be trusted, no row is removed.
    pub(crate) clock: RoleClock,
    pub(crate) metrics: RemovalMetrics,
}

impl Sweeper {
    /// Works until `stop`. Waits out an outage of the database.
    pub(crate) async fn run(self, stop: Stop) {
        let Some(interval) = self.retention.interval() else { return };
        let mut pause = interval.min(FIRST_SWEEP);
        while stop.run_until_cancelled(sleep(pause)).await.is_some() {
            self.sweep_with_retry(&stop).await;
            pause = interval;
        }
    }

    /// Logs an outage once when it begins and once when it ends.
    async fn sweep_with_retry(&self, stop: &Stop) {
        let mut backoff = outage::backoff();
        while !stop.is_cancelled() {
            match self.sweep(stop).await {
                Ok(()) => {
                    if backoff.reset() {
                        info!("removing goes on after an outage");
                    }
                    return;
                }
                Err(_) if stop.is_cancelled() => return,
                Err(error) if backoff.is_fresh() => {
                    warn!(%error, "removing waits until the store takes it")
                }
                Err(error) => debug!(%error, "removing still waits"),
            }
            backoff.pause(stop).await;
        }
    }

    async fn sweep(&self, stop: &Stop) -> Result<(), sqlx::Error> {
        self.store.admits_this_build().await?;
        let mut database = SweepConnection::open(&self.store).await?;
        if let Err(reason) = self.may_remove() {
            // The ready probe reports it for as long as it lasts.
            debug!(reason, "nothing is removed");
        } else if database.try_lock().await? {
            self.remove(&mut database, stop).await?;
        } else {
            debug!("another collector removes");
        }
        for (source, complete_from) in database.horizons().await? {
            self.metrics.show_horizon(source, complete_from);
        }
        database.close().await
    }

    /// Age is measured by the database's clock. Where the store is a file, that is this process's clock, which must
    /// have been compared with another one.
    fn may_remove(&self) -> Result<(), String> {
        if self.store.pool.dialect() == Dialect::Sqlite && !self.clock.is_compared("journal") {
            return Err("this process's clock was not compared with another one yet".to_owned());
        }
        self.clock.may_remove()
    }

    async fn remove(&self, database: &mut SweepConnection, stop: &Stop) -> Result<(), sqlx::Error> {
        let started = Instant::now();
        let oldest_waiting = self.oldest_waiting().await;
        let cutoffs = self.retention.cutoffs(database.now().await?, oldest_waiting);
        let swept = Sweep { database, metrics: &self.metrics, stop }.run(cutoffs).await?;
        if !swept.is_empty() {
            info!(
                rows = swept.rows,
                keys = swept.keys,
                frames = swept.frames,
                erasures = swept.erasures,
                took = ?started.elapsed(),
                "removed what was kept long enough"
            );
        }
        Ok(())
    }

    /// The time at which the oldest waiting frame was appended, µs since the Unix epoch. The least time where the
    /// journal can't be read, so that all accounts are kept.
    async fn oldest_waiting(&self) -> Option<i64> {
        let mut oldest: Option<DateTime<Utc>> = None;
        for source in Source::ALL {
            let of_source: Result<_, JournalError> = self.journal.oldest_unacknowledged(*source).await;
            match of_source {
                Ok(of_source) => oldest = oldest.into_iter().chain(of_source).min(),
                Err(error) => {
                    debug!(%error, "accounts of frames stay: the waiting frames are unknown");
                    return Some(i64::MIN);
                }
            }
        }
        oldest.map(|oldest| oldest.timestamp_micros())
    }
}

/// The numbers of rows that a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Swept {
    rows: u64,
    keys: u64,
    frames: u64,
    erasures: u64,
}

/// A running sweep. Removed rows stay removed, also where the sweep fails.
#[derive(Debug)]
struct Sweep<'a> {
    database: &'a mut SweepConnection,
    metrics: &'a RemovalMetrics,
    stop: &'a Stop,
}

impl Sweep<'_> {
    /// Removes rows older than `cutoffs`. A stop ends it after the running batch.
    async fn run(mut self, cutoffs: Cutoffs) -> Result<Swept, sqlx::Error> {
        let metrics = self.metrics;
        let mut rows = self.batches(SweptTable::Events, cutoffs.rows, Some(&metrics.rows)).await?;
        rows += self.segments(SegmentPart::Rows, cutoffs.rows, &metrics.rows).await?;
        if !self.stop.is_cancelled() {
            // Every row that refers to them is removed.
            self.batches(SweptTable::FrameOrigins, cutoffs.rows, None).await?;
        }
        let mut keys = self.batches(SweptTable::EventKeys, cutoffs.keys, Some(&metrics.keys)).await?;
        keys += self.segments(SegmentPart::Keys, cutoffs.keys, &metrics.keys).await?;
        Ok(Swept {
            rows,
            keys,
            frames: self.batches(SweptTable::Frames, cutoffs.frames, Some(&metrics.frames)).await?,
            erasures: match cutoffs.erasures {
                Some(before) => self.database.prune_erasures(before).await?,
                None => 0,
            },
        })
    }

    async fn segments(
        &mut self,
        part: SegmentPart,
        before: Option<i64>,
        counter: &RemovedCounter,
    ) -> Result<u64, sqlx::Error> {
        let Some(before) = before else { return Ok(0) };
        let mut all = 0;
        while !self.stop.is_cancelled()
            && let Some(removed) = self.database.remove_segment(part, before, self.stop).await?
        {
            all += count(&removed, counter);
        }
        Ok(all)
    }

    async fn batches(
        &mut self,
        table: SweptTable,
        before: Option<i64>,
        counter: Option<&RemovedCounter>,
    ) -> Result<u64, sqlx::Error> {
        let Some(before) = before else { return Ok(0) };
        let (mut all, mut from, mut size) = (0, i64::MIN, BatchSize::default());
        while !self.stop.is_cancelled() {
            let most = size.rows();
            let batch = self.database.remove(table, from..before, most).await?;
            let number = match counter {
                Some(counter) => count(&batch.removed, counter),
                None => batch.removed.iter().map(|removed| removed.number).sum(),
            };
            all += number;
            debug!(kind = %table, number, held = ?batch.held, "removed a batch");
            if number < u64::from(most) {
                break;
            }
            // The next batch skips the dead rows that this one leaves to the vacuum.
            from = batch.removed.iter().map(|removed| removed.reached).max().unwrap_or(from);
            self.stop.run_until_cancelled(sleep(size.pause_after(batch.held))).await;
        }
        Ok(all)
    }
}

/// Counts what was removed, and returns how much that is.
fn count(removed: &[RemovedOfSource], counter: &RemovedCounter) -> u64 {
    removed.iter().for_each(|removed| counter.count(removed.source, removed.number));
    removed.iter().map(|removed| removed.number).sum()
}

impl Swept {
    fn is_empty(self) -> bool {
        self == Self::default()
    }
}
